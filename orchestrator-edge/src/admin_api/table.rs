//! Which path is which method of Admin.

use http::Method;

/// How a method's request and answer are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Path and query fill the request; the answer is the array.
    List,
    /// The path fills the request; the answer is the resource.
    Get,
    /// Path and query fill the request; the answer is the resource.
    Find,
    /// The body is the resource; 201.
    Create,
    /// The body's keys are the mask; the path fills the resource.
    Update,
    /// The path fills the request; 204.
    Delete,
    /// Path and body, which may be missing, fill the request; the answer is the resource, or 204 where there is none.
    Do,
    /// As [`Shape::Do`]; the answer is the document that its only field holds.
    Document,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) method: Method,
    /// Below the prefix. Names in braces are fields.
    pub(super) path: &'static str,
    pub(super) rpc: &'static str,
    pub(super) shape: Shape,
    /// The only field that the body may have, and must.
    pub(super) only: Option<&'static str>,
    /// For a resource inside another: the method that shows it, and the field that must equal the path's. The request itself
    /// names the inner resource alone, so a path that puts it elsewhere has to be refused here.
    pub(super) inside: Option<(&'static str, &'static str)>,
}

const fn row(method: Method, path: &'static str, rpc: &'static str, shape: Shape) -> Row {
    Row { method, path, rpc, shape, only: None, inside: None }
}

const fn in_provider(method: Method, rpc: &'static str, shape: Shape) -> Row {
    let inside = Some(("GetProviderKey", "provider_id"));
    Row { method, path: "/providers/{provider_id}/keys/{id}", rpc, shape, only: None, inside }
}

const fn only(
    field: &'static str,
    method: Method,
    path: &'static str,
    rpc: &'static str,
    shape: Shape,
) -> Row {
    Row { method, path, rpc, shape, only: Some(field), inside: None }
}

/// Every row. `verify` alone is no row: it is not a method.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(Method::GET,    "/providers",                    "ListProviders",       Shape::List),
    row(Method::POST,   "/providers",                    "CreateProvider",      Shape::Create),
    row(Method::GET,    "/providers/{id}",               "GetProvider",         Shape::Get),
    row(Method::PATCH,  "/providers/{id}",               "UpdateProvider",      Shape::Update),
    row(Method::DELETE, "/providers/{id}",               "DeleteProvider",      Shape::Delete),
    row(Method::GET,    "/providers/{provider_id}/keys", "ListProviderKeys",    Shape::List),
    row(Method::POST,   "/providers/{provider_id}/keys", "CreateProviderKey",   Shape::Create),
    in_provider(Method::GET,                             "GetProviderKey",      Shape::Get),
    in_provider(Method::PATCH,                           "UpdateProviderKey",   Shape::Update),
    in_provider(Method::DELETE,                          "DeleteProviderKey",   Shape::Delete),
    row(Method::GET,    "/models",                       "ListModels",          Shape::List),
    row(Method::POST,   "/models",                       "CreateModel",         Shape::Create),
    row(Method::GET,    "/models/{id}",                  "GetModel",            Shape::Get),
    row(Method::PATCH,  "/models/{id}",                  "UpdateModel",         Shape::Update),
    row(Method::DELETE, "/models/{id}",                  "DeleteModel",         Shape::Delete),
    row(Method::GET,    "/model-providers",              "ListModelProviders",  Shape::List),
    row(Method::POST,   "/model-providers",              "CreateModelProvider", Shape::Create),
    row(Method::GET,    "/model-providers/{id}",         "GetModelProvider",    Shape::Get),
    row(Method::PATCH,  "/model-providers/{id}",         "UpdateModelProvider", Shape::Update),
    row(Method::DELETE, "/model-providers/{id}",         "DeleteModelProvider", Shape::Delete),
    only("enabled", Method::PATCH, "/model-providers/{id}/status", "UpdateModelProvider", Shape::Update),
    row(Method::GET,    "/keys",                         "ListApiKeys",         Shape::List),
    row(Method::POST,   "/keys",                         "CreateApiKey",        Shape::Create),
    row(Method::GET,    "/keys/{id}",                    "GetApiKey",           Shape::Get),
    row(Method::PATCH,  "/keys/{id}",                    "UpdateApiKey",        Shape::Update),
    row(Method::DELETE, "/keys/{id}",                    "DeleteApiKey",        Shape::Delete),
    row(Method::POST,   "/keys/{id}/rotate",             "RotateApiKey",        Shape::Do),
    row(Method::GET,    "/teams",                        "ListTeams",           Shape::List),
    row(Method::POST,   "/teams",                        "CreateTeam",          Shape::Create),
    row(Method::GET,    "/teams/{id}",                   "GetTeam",             Shape::Get),
    row(Method::PATCH,  "/teams/{id}",                   "UpdateTeam",          Shape::Update),
    row(Method::DELETE, "/teams/{id}",                   "DeleteTeam",          Shape::Delete),
    row(Method::GET,    "/health",                       "ListProviderHealth",  Shape::List),
    row(Method::GET,    "/health/{id}",                  "GetProviderHealth",   Shape::Get),
    row(Method::POST,   "/providers/{id}/check",         "CheckProvider",       Shape::Do),
    row(Method::GET,    "/health-check/config",          "GetHealthCheckConfig",    Shape::Get),
    row(Method::PUT,    "/health-check/config",          "UpdateHealthCheckConfig", Shape::Update),
    row(Method::PATCH,  "/health-check/config",          "UpdateHealthCheckConfig", Shape::Update),
    row(Method::GET,    "/breakers",                     "ListBreakers",        Shape::List),
    row(Method::POST,   "/breakers/reset",               "ResetBreakers",       Shape::Do),
    row(Method::GET,    "/queue",                        "GetQueue",            Shape::Get),
    row(Method::GET,    "/prices",                       "ListPrices",          Shape::List),
    row(Method::POST,   "/prices",                       "CreatePrice",         Shape::Create),
    row(Method::GET,    "/prices/{kind}/{upstream_model}", "GetPrice",          Shape::Get),
    row(Method::PATCH,  "/prices/{kind}/{upstream_model}", "UpdatePrice",       Shape::Update),
    row(Method::DELETE, "/prices/{kind}/{upstream_model}", "DeletePrice",       Shape::Delete),
    row(Method::GET,    "/logs",                         "ListRequestLogs",     Shape::List),
    row(Method::DELETE, "/logs",                         "PurgeRequestLogs",    Shape::Find),
    row(Method::GET,    "/logs/{id}",                    "GetRequestLog",       Shape::Find),
    row(Method::GET,    "/retention",                    "GetRetention",        Shape::Get),
    row(Method::PUT,    "/retention",                    "UpdateRetention",     Shape::Update),
    row(Method::PATCH,  "/retention",                    "UpdateRetention",     Shape::Update),
    row(Method::GET,    "/stats",                        "GetStats",            Shape::Find),
    row(Method::GET,    "/usage",                        "ListUsage",           Shape::List),
    row(Method::GET,    "/provider-stats",               "ListProviderStats",   Shape::List),
    row(Method::GET,    "/model-providers/{id}/status",  "ListModelProviderOutcomes", Shape::List),
    row(Method::GET,    "/config/export",                "ExportConfig",        Shape::Document),
    row(Method::POST,   "/config/export",                "ExportConfig",        Shape::Document),
    row(Method::POST,   "/config/import",                "ImportConfig",        Shape::Do),
    row(Method::POST,   "/config/apply",                 "ApplyConfig",         Shape::Do),
    row(Method::POST,   "/reload",                       "Reload",              Shape::Do),
    row(Method::GET,    "/log-level",                    "GetLogLevel",         Shape::Get),
    row(Method::PUT,    "/log-level",                    "SetLogLevel",         Shape::Do),
    row(Method::GET,    "/admin-keys",                   "ListAdminKeys",       Shape::List),
    row(Method::POST,   "/admin-keys",                   "CreateAdminKey",      Shape::Create),
    row(Method::GET,    "/admin-keys/{id}",              "GetAdminKey",         Shape::Get),
    row(Method::PATCH,  "/admin-keys/{id}",              "UpdateAdminKey",      Shape::Update),
    row(Method::DELETE, "/admin-keys/{id}",              "DeleteAdminKey",      Shape::Delete),
    row(Method::POST,   "/admin-keys/{id}/rotate",       "RotateAdminKey",      Shape::Do),
    row(Method::GET,    "/audit",                        "ListAuditLog",        Shape::List),
    row(Method::GET,    "/alerts",                       "ListAlerts",          Shape::List),
    row(Method::POST,   "/alerts/{id}/acknowledge",      "AcknowledgeAlert",    Shape::Do),
    row(Method::GET,    "/session",                      "GetSession",          Shape::Get),
    row(Method::GET,    "/status",                       "GetStatus",           Shape::Get),
];
