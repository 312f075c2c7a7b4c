//! Lists of models: <https://docs.anthropic.com/en/api/models-list>. All of them stand on one page.

use bytes::Bytes;

use crate::{
    call::ModelInfo,
    dialect::{
        json::{ObjectWriter, array},
        splice::quoted,
    },
};

/// `GET /v1/models`.
pub(super) fn render_models(models: &[ModelInfo]) -> Bytes {
    let list: Vec<String> = models.iter().map(object).collect();
    let id = |model: Option<&ModelInfo>| model.map_or("null".to_owned(), |model| quoted(&model.id));
    let mut out = ObjectWriter::new();
    out.raw("data", &array(&list));
    out.raw("first_id", &id(models.first()));
    out.raw("last_id", &id(models.last()));
    out.plain("has_more", false);
    Bytes::from(out.finish())
}

/// `GET /v1/models/{id}`.
pub(super) fn render_model(model: &ModelInfo) -> Bytes {
    Bytes::from(object(model))
}

fn object(model: &ModelInfo) -> String {
    let created = jiff::Timestamp::from_second(model.created).unwrap_or_default();
    let mut out = ObjectWriter::new();
    out.string("type", "model");
    out.string("id", &model.id);
    out.string("display_name", &model.id);
    out.string("created_at", &created.to_string());
    out.finish()
}
