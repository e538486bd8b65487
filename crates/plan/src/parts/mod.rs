//! The steps of a node, a file a subject. Each function returns steps in the order in which they run.

pub mod addons;
pub mod api_endpoint;
pub mod certificates;
pub mod control_plane;
pub mod etcd;
pub mod health;
pub mod host;
pub mod kubelet;
pub mod network;
pub mod preflight;
pub mod runtime;
pub mod service;
pub mod snapshots;
