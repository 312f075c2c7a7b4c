//! What both binaries need before they have a domain.
//!
//! Reading order: [`config`] (what can be set, and how it is read), then the doors that everything else must use:
//! [`clock`] for wall-clock time, [`random`] for randomness and ids, [`task`] for spawned tasks. Then what a `main` needs:
//! [`telemetry`], [`tls`], [`runtime`], [`signals`], [`keyfile`]. [`mask`] is for whoever shows a
//! secret, [`network`] for whoever tells addresses apart.

pub mod config;

pub mod clock;
pub mod random;
pub mod task;

pub mod keyfile;
pub mod mask;
pub mod network;
pub mod process;
pub mod runtime;
pub mod signals;
pub mod telemetry;
pub mod tls;
