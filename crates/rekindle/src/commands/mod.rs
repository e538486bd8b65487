//! A file a verb.

pub mod adopt;
pub mod archive;
pub mod artifacts;
pub mod at;
pub mod check;
pub mod drill;
pub mod export;
pub mod init;
pub mod kubeconfig;
pub mod kubectl;
pub mod lab;
pub mod plan;
pub mod rebuild;
pub mod snapshot;
pub mod status;
pub mod up;
