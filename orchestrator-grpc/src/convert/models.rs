//! The list of models, out of the domain and by the page.

use orchestrator_core::call::ModelInfo;
use orchestrator_proto::v1;

/// The page that was asked for. `models` is sorted by id, and a page's token is the id that it ended with: a model that comes
/// or goes between two pages shifts nothing.
pub fn encode_page(
    models: Vec<ModelInfo>,
    request: &v1::ListServedModelsRequest,
) -> v1::ListServedModelsResponse {
    let mut rest = models.into_iter().filter(|model| model.id > request.page_token);
    let size = match request.page_size {
        0 => usize::MAX,
        size => size as usize,
    };
    let page: Vec<_> = rest.by_ref().take(size).map(encode_model).collect();
    let last = page.last().map(|model| model.id.clone());
    let next_page_token = rest.next().and(last).unwrap_or_default();
    v1::ListServedModelsResponse { models: page, next_page_token }
}

fn encode_model(model: ModelInfo) -> v1::ModelInfo {
    v1::ModelInfo { id: model.id, created_unix: model.created, providers: model.providers }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(size: u32, token: &str) -> (Vec<String>, String) {
        let model = |id: &str| ModelInfo { id: id.into(), created: 7, providers: vec!["p".into()] };
        let models = ["a", "b", "c"].map(model).into();
        let request = v1::ListServedModelsRequest { page_size: size, page_token: token.into() };
        let answer = encode_page(models, &request);
        (answer.models.into_iter().map(|model| model.id).collect(), answer.next_page_token)
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        assert_eq!(page(2, ""), (vec!["a".into(), "b".into()], "b".into()));
        assert_eq!(page(2, "b"), (vec!["c".into()], String::new()));
        assert_eq!(page(3, ""), (vec!["a".into(), "b".into(), "c".into()], String::new()));
        assert_eq!(page(0, "a"), (vec!["b".into(), "c".into()], String::new()));
        assert_eq!(page(5, "z"), (vec![], String::new()));
    }
}
