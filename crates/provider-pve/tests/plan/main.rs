//! The planner with the provider's knowledge of VMs, on a cluster that is built by hand: goldens
//! of whole plans, and after each one the same plan on the cluster it leads to (law 7).
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected has to stop"
)]

mod allow;
mod corpus;
mod create;
mod drives;
mod keep;
mod lab;
mod membership;
mod moved;
mod order;
mod ownership;
mod policy;
mod preflight;
mod privileges;
mod random;
mod read;
mod relocate;
mod remove;
mod replace;
mod reset;
mod scale;
mod simulate;
mod simulate_ha;
mod snippets;
mod text;
mod undo;
mod update;
mod value;
