//! From files to guests and rendered problems.

mod apply;
mod broken;
mod firstboot;
mod ha;
mod known;
mod lab;
mod random;
mod resolved;
mod reuse;
mod reuse_broken;
mod settings;
