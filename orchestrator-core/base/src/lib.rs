//! What both binaries need before they have a domain.
//!
//! Reading order: [`config`] (what can be set, and how it is read), then the doors that everything else must use:
//! [`clock`] for wall-clock time, [`random`] for randomness and ids, [`task`] for spawned tasks. Then what a `main` needs:
//! [`telemetry`], [`live`] (settings that change), [`tls`], [`runtime`], [`keyfile`], and for its end [`signals`], [`stopping`] with its
//! [`curfew`], [`supervisor`]. [`mask`] is for whoever shows a secret, [`network`] for whoever tells
//! addresses apart.

pub mod config;

pub mod clock;
pub mod curfew;
pub mod random;
pub mod task;

pub mod house;
pub mod keyfile;
pub mod live;
pub mod mask;
pub mod metrics;
pub mod network;
pub mod process;
pub mod runtime;
pub mod signals;
pub mod stopping;
pub mod supervisor;
pub mod telemetry;
pub mod tls;
