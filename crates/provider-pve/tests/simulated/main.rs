//! Documents, planner, executor and provider together, against the simulator in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod convergence;
mod drives;
mod effects;
mod failover;
mod harness;
mod keys;
mod observe;
mod outcomes;
mod placement;
mod preflight;
mod privileges;
mod requests;
mod snippets;
mod untouched;
