//! The executor against a cluster in memory that does what a script says, on paused time.

mod fake;
mod journal;
mod model;
mod order;
mod outcomes;
mod preconditions;
mod resume;
mod rounds;
mod stop;
mod walks;

pub(super) use fake::{plan, steps};
