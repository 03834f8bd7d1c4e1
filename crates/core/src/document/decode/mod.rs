//! From YAML trees to typed documents. Every problem is collected; a value that cannot be used is
//! left out, and decoding goes on.

mod apply;
pub(crate) mod cdrom;
pub(crate) mod cloudinit;
pub(crate) mod config;
pub(crate) mod disk;
pub(crate) mod fields;
pub(crate) mod firmware;
pub(crate) mod firstboot;
pub(crate) mod group;
mod ha;
pub(crate) mod kind;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod policy;
pub(crate) mod profile;
mod raw;
mod setting;
mod slots;
pub(crate) mod standalone;
pub(crate) mod value;
pub(crate) mod vm;

#[cfg(test)]
mod tests;
