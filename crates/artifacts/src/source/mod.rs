//! The sources, a module each; they share nothing but the cache.

mod download;
pub(crate) mod folder;
pub(crate) mod go_build;
pub(crate) mod http;
mod packages;
mod published;
mod registry;
pub(crate) mod upstream;
