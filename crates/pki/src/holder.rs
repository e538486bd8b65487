//! Which nodes have which files.

use inventory::{Cluster, Node, Role};

/// Which nodes have a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Control planes.
    ControlPlane,
    /// One control plane, for as long as the cluster has no roles yet: given on demand only.
    Coordinator,
    /// Nodes with a kubelet: control planes and workers.
    Kubelet,
    /// Nodes with an etcd member.
    EtcdMember,
    /// Nodes with an etcd member or an apiserver.
    EtcdUser,
    /// Control planes with an etcd member of their own.
    StackedEtcd,
}

impl Holder {
    /// Whether `node` is one of them.
    pub fn includes(self, cluster: &Cluster, node: &Node) -> bool {
        let control_plane = node.role == Role::ControlPlane;
        let stacked = control_plane && !cluster.has_external_etcd();
        match self {
            Self::ControlPlane => control_plane,
            Self::Coordinator => false,
            Self::Kubelet => node.role != Role::Etcd,
            Self::EtcdMember => stacked || node.role == Role::Etcd,
            Self::EtcdUser => control_plane || node.role == Role::Etcd,
            Self::StackedEtcd => stacked,
        }
    }
}
