//! The executor against a cluster in memory that does what a script says, on paused time.

mod fake;
mod journal;
mod order;
mod preconditions;
mod stop;

pub(super) use fake::{plan, steps};
