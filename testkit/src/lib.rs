//! Test equipment of LLM Orchestrator. Nothing here is published or linked into a binary.
//!
//! * [`provider`]: a provider on a local port that answers byte for byte as a script says, misbehaves on demand, and
//!   remembers what it was asked.
//! * [`judge`]: reads what a provider is asked as strictly as a vendor would, and refuses what is wrong.
//! * [`recorded`]: real provider traffic, where its folder is there, and the project's own [`fixtures`] in the same form,
//!   so that one suite runs over both.
//! * [`openapi`]: OpenAI's published description, where it is there, and what is said of answers by it.
//! * [`databases`]: real MariaDB, PostgreSQL and Redis servers, which end with the test process.
//! * [`certificates`]: an authority of a test's own, for whatever speaks TLS.
//! * [`otlp`]: a collector that keeps the spans that it is sent.
//! * [`scenes`]: providers with one behaviour each for clients that nobody here wrote; `testkit-provider` is the program.
//!
//! The repository's own rules (import walls, sizes, purity) are the test `tests/tidy`.

pub mod provider;

pub mod judge;

pub mod certificates;
pub mod databases;
pub mod fixtures;
pub mod openapi;
pub mod otlp;
pub mod recorded;
pub mod scenes;
pub mod sqlite;
