//! Windows, and what is wrong with rules.

mod rules;
mod windows;
