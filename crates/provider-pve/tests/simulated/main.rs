//! Documents, planner, executor and provider together, against the simulator in this process.

mod convergence;
mod harness;
mod requests;
