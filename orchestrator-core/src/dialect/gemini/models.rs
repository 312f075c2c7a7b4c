//! The list of models in Gemini's shape: <https://ai.google.dev/api/models>.

use bytes::Bytes;

use crate::{
    call::ModelInfo,
    dialect::json::{ObjectWriter, array},
};

/// `GET /v1beta/models`.
pub(in crate::dialect) fn render_models(models: &[ModelInfo]) -> Bytes {
    let list: Vec<String> = models.iter().map(object).collect();
    let mut out = ObjectWriter::new();
    out.raw("models", &array(&list));
    Bytes::from(out.finish())
}

/// `GET /v1beta/models/{id}`.
pub(in crate::dialect) fn render_model(model: &ModelInfo) -> Bytes {
    Bytes::from(object(model))
}

/// What a model can do is known once a provider is asked, so all methods are named.
fn object(model: &ModelInfo) -> String {
    let mut out = ObjectWriter::new();
    out.string("name", &format!("models/{}", model.id));
    out.string("displayName", &model.id);
    out.raw(
        "supportedGenerationMethods",
        r#"["generateContent","streamGenerateContent","embedContent","batchEmbedContents"]"#,
    );
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_its_name_behind_the_collections() {
        let model = ModelInfo { id: "a/b:c".to_owned(), created: 0, providers: Vec::new() };
        assert_eq!(
            render_models(std::slice::from_ref(&model)),
            format!("{{\"models\":[{}]}}", String::from_utf8_lossy(&render_model(&model)))
        );
        insta::assert_snapshot!(
            String::from_utf8_lossy(&render_model(&model)),
            @r#"{"name":"models/a/b:c","displayName":"a/b:c","supportedGenerationMethods":["generateContent","streamGenerateContent","embedContent","batchEmbedContents"]}"#
        );
    }
}
