//! From files to guests and rendered problems.

mod broken;
mod firstboot;
mod lab;
mod random;
mod resolved;
