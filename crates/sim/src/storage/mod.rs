//! What a storage type is: which content, formats and options it has, how it names volumes and
//! where they are, what allocating and freeing refuse (`PVE::Storage` and its plugins).

pub(crate) mod activate;
pub(crate) mod alloc;
pub(crate) mod config;
pub(crate) mod filename;
pub(crate) mod free;
pub(crate) mod hash;
pub(crate) mod kind;
pub(crate) mod options;
pub(crate) mod path;
pub(crate) mod probe;
pub(crate) mod prune;
pub(crate) mod volname;
