//! The fault table as scenes: providers that fail on cue, a clock that stands still while nobody waits, dice that are seeded.
//!
//! A scene is written down with [`script`], played by a [`world::World`] that drives the front door itself, and judged by who was
//! asked when, and by what the caller got when: to the millisecond.

mod script;
mod wires;
mod world;

mod accounts;
mod breaking;
mod cooling;
mod endings;
mod faults;
mod keyed;
mod limits;
mod patience;
mod stopping;
mod storm;
mod turns;
