//! From files to guests and rendered problems.

mod broken;
mod known;
mod lab;
mod random;
mod resolved;
