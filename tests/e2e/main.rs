//! The whole program, as a user runs it: the `pvx` binary against the simulator.

mod broken;
mod environment;
mod first_light;
mod formats;
mod secrets;
mod workspace;
