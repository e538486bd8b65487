//! Empty machines on this Linux host: systemd-nspawn containers of Debian bookworm with systemd and sshd,
//! on a bridge of their own, as near to real nodes as one kernel allows.
//!
//! ```text
//! packages ─► check ─► rootfs::prepare (once, cached) ─► Lab::create ─► nodes() ssh_args() quirks()
//!                                                          kill · start · wipe · down
//! ```
//! Nodes share the host's kernel: what a kubelet sets there (`kernel.panic`, `kernel.panic_on_oops`,
//! `vm.overcommit_memory`, `kernel.keys.*`) it sets for the host, and a lab does not put it back.
//!
//! A lab is known by its folder. Everything that it puts on the host carries a name derived from that folder
//! ([`names`]), so that [`Lab::down`] finds it again after any crash, and touches nothing else.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod boot;
mod cgroup;
pub mod check;
mod command;
mod error;
mod files;
mod host;
mod keys;
mod lab;
mod lock;
pub mod names;
mod network;
mod node;
pub mod packages;
pub mod rootfs;
mod spec;
mod state;

pub use check::{Finding, Severity, Want, check};
pub use error::{Error, Result};
pub use host::Quirks;
pub use lab::{Lab, Node};
pub use rootfs::{Rootfs, RootfsSpec};
pub use spec::{LabSpec, NodeSpec};

/// Receives one short line for each thing that takes time, such as `unpack 9 images`.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);
