//! Which role opens which method: the one place that says so.
//!
//! A viewer may look at what holds no secret; an operator may change what requests meet; operators' keys and the audit log are for admins
//! alone. A method that is not in the table is for admins, and a test misses it.

use orchestrator_core::{
    admin::Role::{self, Admin, Operator, Viewer},
    error::{Error, ErrorKind, Result},
};

/// What every request's type ends with, after its method's name.
const REQUEST: &str = "Request";

/// Each method, and the least role that opens it.
#[rustfmt::skip]
const LEAST: &[(&str, Role)] = &[
    ("ListProviders",           Viewer),
    ("GetProvider",             Viewer),
    ("CreateProvider",          Operator),
    ("UpdateProvider",          Operator),
    ("DeleteProvider",          Operator),
    ("ListProviderKeys",        Viewer),
    ("GetProviderKey",          Viewer),
    ("CreateProviderKey",       Operator),
    ("UpdateProviderKey",       Operator),
    ("DeleteProviderKey",       Operator),
    ("ListModels",              Viewer),
    ("GetModel",                Viewer),
    ("CreateModel",             Operator),
    ("UpdateModel",             Operator),
    ("DeleteModel",             Operator),
    ("ListModelProviders",      Viewer),
    ("GetModelProvider",        Viewer),
    ("CreateModelProvider",     Operator),
    ("UpdateModelProvider",     Operator),
    ("DeleteModelProvider",     Operator),
    ("ListApiKeys",             Viewer),
    ("GetApiKey",               Viewer),
    ("CreateApiKey",            Operator),
    ("UpdateApiKey",            Operator),
    ("DeleteApiKey",            Operator),
    ("RotateApiKey",            Operator),
    ("ListTeams",               Viewer),
    ("GetTeam",                 Viewer),
    ("CreateTeam",              Operator),
    ("UpdateTeam",              Operator),
    ("DeleteTeam",              Operator),
    ("ListProviderHealth",      Viewer),
    ("GetProviderHealth",       Viewer),
    ("CheckProvider",           Operator),
    ("GetHealthCheckConfig",    Viewer),
    ("UpdateHealthCheckConfig", Operator),
    ("ListBreakers",            Viewer),
    ("ResetBreakers",           Operator),
    ("GetQueue",                Viewer),
    ("ListAdminKeys",           Admin),
    ("GetAdminKey",             Admin),
    ("CreateAdminKey",          Admin),
    ("UpdateAdminKey",          Admin),
    ("DeleteAdminKey",          Admin),
    ("RotateAdminKey",          Admin),
    ("ListAuditLog",            Admin),
    ("ListAlerts",              Viewer),
    ("AcknowledgeAlert",        Operator),
    ("GetSession",              Viewer),
    ("GetStatus",               Viewer),
    ("ListPrices",              Viewer),
    ("GetPrice",                Viewer),
    ("CreatePrice",             Operator),
    ("UpdatePrice",             Operator),
    ("DeletePrice",             Operator),
    ("ListRequestLogs",         Viewer),
    // With bodies: an admin.
    ("GetRequestLog",           Viewer),
    ("ExportRequestLogs",       Viewer),
    ("TailRequestLogs",         Viewer),
    ("PurgeRequestLogs",        Operator),
    ("GetRetention",            Viewer),
    ("UpdateRetention",         Operator),
    ("GetStats",                Viewer),
    ("ListUsage",               Viewer),
    ("ListProviderStats",       Viewer),
    ("ListModelProviderOutcomes", Viewer),
    // Each with secrets: an admin.
    ("ExportConfig",            Viewer),
    ("ImportConfig",            Operator),
    ("ApplyConfig",             Operator),
    // Whoever wrote the file has its secrets.
    ("Reload",                  Operator),
    ("GetLogLevel",             Viewer),
    ("SetLogLevel",             Operator),
];

/// Whether the role opens the method that is called with a `T`.
///
/// Errors: [`ErrorKind::PermissionDenied`], with the role that is needed.
pub(super) fn check<T: prost::Name>(role: Role) -> Result<()> {
    let method = T::NAME.strip_suffix(REQUEST).unwrap_or(T::NAME);
    let least = least(method).unwrap_or(Admin);
    if role >= least {
        return Ok(());
    }
    Err(too_small(method, least, role))
}

/// The same, for what only an admin may ask of a method that is open to others too.
pub(super) fn check_admin(role: Role, what: &str) -> Result<()> {
    if role >= Admin { Ok(()) } else { Err(too_small(what, Admin, role)) }
}

fn too_small(what: &str, least: Role, role: Role) -> Error {
    let message = format!("{what} needs the role {}; this key's role is {}", least.name(), role.name());
    Error::new(ErrorKind::PermissionDenied, message).with_code("role_too_small")
}

/// The least role that opens a method.
pub(super) fn least(method: &str) -> Option<Role> {
    LEAST.iter().find(|(name, _)| *name == method).map(|(_, role)| *role)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_method_of_admin_has_one_role_and_a_request_of_its_own_name() {
        let set = FileDescriptorSet::decode(crate::descriptor()).unwrap();
        let services = set.file.iter().flat_map(|file| &file.service);
        let admin = services.into_iter().find(|service| service.name() == "Admin").unwrap();
        for method in &admin.method {
            let request = format!(".orchestrator.v1.{}{REQUEST}", method.name());
            assert_eq!(method.input_type(), request, "roles are looked up by it");
        }
        let methods: BTreeSet<_> =
            admin.method.iter().map(prost_types::MethodDescriptorProto::name).collect();
        let rows: BTreeSet<_> = LEAST.iter().map(|(name, _)| *name).collect();
        assert_eq!(rows, methods);
        assert_eq!(rows.len(), LEAST.len(), "no method stands twice");
    }
}
