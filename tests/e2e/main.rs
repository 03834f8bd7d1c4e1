//! The whole program, as a user runs it: the `pvx` binary against the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod apply_changes;
mod broken;
mod cloudinit;
mod connect;
mod disks;
mod environment;
mod first_light;
mod formats;
mod kill_matrix;
mod killed;
mod obstacles;
mod pipelines;
mod policy;
mod preflight;
mod privileges;
mod race;
mod reference;
mod reuse;
mod review;
mod root_keys;
mod rounds;
mod saved;
mod secrets;
mod served;
mod sim;
mod state;
mod undo;
mod watch;
mod workspace;
