//! The list of models in OpenAI's shape.

use bytes::Bytes;

use crate::call::ModelInfo;
use crate::dialect::json::{ObjectWriter, array};

/// `GET /v1/models`.
pub(crate) fn render_models(models: &[ModelInfo]) -> Bytes {
    let data: Vec<String> = models.iter().map(object).collect();
    let mut out = ObjectWriter::new();
    out.string("object", "list");
    out.raw("data", &array(&data));
    Bytes::from(out.finish())
}

/// `GET /v1/models/{id}`.
pub(crate) fn render_model(model: &ModelInfo) -> Bytes {
    Bytes::from(object(model))
}

fn object(model: &ModelInfo) -> String {
    let mut out = ObjectWriter::new();
    out.string("id", &model.id);
    out.string("object", "model");
    out.plain("created", model.created);
    out.string("owned_by", model.providers.first().map_or("llm-orchestrator", String::as_str));
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_provider_owns_a_model() {
        let model = |id: &str, providers: &[&str]| ModelInfo {
            id: id.to_owned(),
            created: 1_700_000_000,
            providers: providers.iter().map(ToString::to_string).collect(),
        };
        let list = render_models(&[model("a/b", &["acme", "other"]), model("c", &[])]);
        insta::assert_snapshot!(
            String::from_utf8(list.to_vec()).unwrap(),
            @r#"{"object":"list","data":[{"id":"a/b","object":"model","created":1700000000,"owned_by":"acme"},{"id":"c","object":"model","created":1700000000,"owned_by":"llm-orchestrator"}]}"#
        );
        assert_eq!(
            render_model(&model("c", &[])),
            r#"{"id":"c","object":"model","created":1700000000,"owned_by":"llm-orchestrator"}"#
        );
    }
}
