//! What providers list: decode, call, encode.

use orchestrator_core::{admin::health::HealthDesk, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::filter;

pub(super) async fn list(
    desk: &HealthDesk,
    request: v1::ListProviderModelsRequest,
) -> Result<v1::ListProviderModelsResponse> {
    let models = desk.provider_models(&request.id).await?.into_iter();
    let models = models.map(|(name, imported)| v1::ProviderModel { name, imported }).collect();
    Ok(v1::ListProviderModelsResponse { models })
}

pub(super) async fn import(
    desk: &HealthDesk,
    request: v1::ImportProviderModelsRequest,
) -> Result<v1::ImportProviderModelsResponse> {
    let mut names = request.models;
    if names.is_empty() {
        let listed = desk.provider_models(&request.id).await?;
        names = listed.into_iter().filter(|(_, imported)| !imported).map(|(name, _)| name).collect();
    }
    let imported = desk.admin.import_models(&request.id, names).await?;
    Ok(v1::ImportProviderModelsResponse {
        models_created: imported.models,
        associations_created: imported.associations,
        skipped: imported.skipped,
    })
}

pub(super) async fn test_tools(
    desk: &HealthDesk,
    request: v1::TestProviderToolsRequest,
) -> Result<v1::TestProviderToolsResponse> {
    let test = desk.test_tools(&request.id, filter(&request.model)).await?;
    Ok(v1::TestProviderToolsResponse {
        model: test.model,
        called: test.called,
        arguments: test.arguments,
        error: test.error,
        duration_ms: u64::try_from(test.took.as_millis()).unwrap_or(u64::MAX),
    })
}
