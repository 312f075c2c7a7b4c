//! The core server: the domain of `orchestrator-core`, spoken over gRPC.
//!
//! Reading order: [`routes`] is the list of all services and layers, which the listening [`server`] and an embedding edge both
//! use. [`orchestrate`] holds the handlers; [`convert`] is the only place that sees protobuf and domain types side by side;
//! [`status`] turns the core's errors into gRPC's. [`layers`] is what every call passes before its handler. [`health`] says
//! whether this core takes calls, [`metrics_listener`] shows what it does. [`boot`] makes a running core out of a configuration, step by step.

pub mod boot;
pub mod commands;

pub mod routes;
pub mod server;

pub mod layers;

pub mod admin;
pub mod orchestrate;

pub mod convert;
pub mod edges;
pub mod status;

pub mod health;
pub mod metrics_listener;

#[cfg(test)]
mod testing;

/// The contract as an encoded `google.protobuf.FileDescriptorSet`, imports included: what the subcommand `descriptor` writes.
pub fn descriptor() -> &'static [u8] {
    orchestrator_proto::DESCRIPTORS
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    #[test]
    fn the_descriptor_set_holds_both_services_and_all_that_they_import() {
        let set = prost_types::FileDescriptorSet::decode(super::descriptor()).unwrap();
        let services: Vec<_> = set
            .file
            .iter()
            .flat_map(|file| &file.service)
            .map(prost_types::ServiceDescriptorProto::name)
            .collect();
        assert!(services.contains(&"Orchestrate") && services.contains(&"Admin"), "{services:?}");

        let files: Vec<_> = set.file.iter().map(prost_types::FileDescriptorProto::name).collect();
        for import in set.file.iter().flat_map(|file| &file.dependency) {
            assert!(files.contains(&import.as_str()), "{import} is imported but missing");
        }
    }
}
