//! The client against a server that can answer oddly: drop connections, send half an answer, keep
//! silent, or speak in Proxmox's own status codes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected has to stop"
)]

mod answers;
mod busy;
mod ha;
mod lost;
mod power;
mod reboot;
mod routing;
mod secrecy;
mod server;
mod tasks;
mod tls;
mod volumes;
