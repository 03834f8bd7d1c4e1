//! From files to guests and rendered problems.

mod broken;
mod ha;
mod lab;
mod random;
mod resolved;
