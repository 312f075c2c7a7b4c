//! Compiles `proto/` with protox (pure Rust: no protoc on the machine) and writes the descriptor set beside the code.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its OUT_DIR through the environment"
)]

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 3] =
    ["orchestrator/v1/orchestrate.proto", "orchestrator/v1/admin.proto", "orchestrator/v1/edges.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let descriptors = protox::Compiler::new(["proto"])?
        .include_source_info(true)
        .include_imports(true)
        .open_files(FILES)?
        .file_descriptor_set();
    // `compile_fds` ignores `file_descriptor_set_path`, so the set is written here.
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    // `bytes` fields become `Bytes`: no copy on the native plane. Maps hold a handful of names: a tree of them is one allocation,
    // and hashes none.
    // A message knows its own name: Admin looks up by it who may call a method.
    let mut names = tonic_prost_build::Config::new();
    names.enable_type_names();
    tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds_with_config(descriptors, names)?;
    Ok(())
}
