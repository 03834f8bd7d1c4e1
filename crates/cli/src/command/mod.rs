//! One file a command.

pub(crate) mod apply;
pub(crate) mod completions;
pub(crate) mod destroy;
pub(crate) mod graph;
pub(crate) mod init;
pub(crate) mod plan;
pub(crate) mod privileges;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod sim;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod version;

mod execute;

pub(crate) use execute::Undone;
