//! Everything that can be set, as plain structs with their defaults.
//!
//! Adding a setting: a field in its section's struct whose doc names its variable and default, a row in the loader's table
//! where it has a conventional name, its effect, and a test of that effect. Deep code takes a section's struct (or a value
//! out of it) as an argument; nothing but `config*` reads the environment.

pub mod sections;

pub use sections::*;
