//! The gRPC contract of LLM Orchestrator, as code: messages, clients and servers generated from `proto/orchestrator/v1`
//! at build time, and the descriptor set for reflection and for the REST transcoder.

pub mod in_process;

/// Package `orchestrator.v1`.
pub mod v1 {
    tonic::include_proto!("orchestrator.v1");
}

/// The encoded `google.protobuf.FileDescriptorSet` of the contract with everything it imports, comments included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
