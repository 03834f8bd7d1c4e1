//! The heart of pvx: documents become a desired graph, a snapshot of the live cluster is compared
//! with it, and a pure planner turns the two into a [`plan::Plan`], which is data. The executor
//! carries a plan out and decides nothing.
//!
//! This crate never talks to a cluster, never prints, and reads neither the environment nor the
//! clock: whoever calls hands those in.

pub mod address;
pub mod desired;
pub mod diagnostic;
pub mod document;
pub mod execute;
mod json_schema;
pub mod late;
pub mod live;
pub mod plan;
pub mod planner;
pub mod policy;
pub mod preflight;
pub mod provider;
pub mod read;
pub mod schema;
pub mod secret;
pub mod snippet;
pub mod state;
pub mod undo;
