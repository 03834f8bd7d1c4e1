//! What the preflight finds: each finding where it is the only thing wrong, with the failure that it
//! foresees.

mod moves;
mod places;
mod scenario;
