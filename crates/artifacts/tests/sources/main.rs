//! The sources against servers and folders with upstream's layout.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod distribution;
mod folder;
mod modules;
mod own_program;
mod registry;
mod server;
mod upstream;
mod world;
