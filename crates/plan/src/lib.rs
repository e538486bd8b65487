//! A cluster and what stands of it, to a plan.
//!
//! [`ask`] holds the questions to nodes, [`standing()`] judges the answers, [`up()`] makes the plan; [`adopt`] says a
//! cluster that somebody else made as an inventory. Nothing here
//! does IO: answers, certificates, digests and file contents come in with the [`Context`], and a
//! [`step::Plan`] without any choice left goes out.

pub mod access;
pub mod adopt;
pub mod ask;
pub mod capture;
pub mod drill;
pub mod encryption;
pub mod export;
mod fence;
pub mod kubeadm;
mod parts;
pub mod patches;
mod payload;
mod programs;
mod rebuild;
mod render;
mod running;
mod standing;
mod up;
mod yaml;

use ask::survey::Answer;
use inventory::{Cluster, Node};
use pki::{Bundle, ExposeSecret, NodeFiles};
use std::collections::BTreeMap;
use step::HostId;

pub use fence::{Fencing, fence};
pub use parts::etcd::QUORUM;
pub use parts::preflight::{Problem, problems, room};
pub use parts::snapshots::{Snapshots, schedule};
pub use payload::{Image, Payload, Program};
pub use rebuild::{Aside, CLEARED, MadeAnew, Objects, Rebuild, Volume, fence_before};
pub use render::{TemplateError, template};
pub use running::{Running, running};
pub use standing::{Known, Standing, standing};
pub use up::up;

/// The answers of the nodes that gave one.
pub type Answers = BTreeMap<HostId, Answer>;

/// How an etcd member without data comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// The cluster is empty: every member is laid with the whole list.
    Laid,
    /// The cluster stands: a member is added as a learner.
    Added,
}

/// Everything that a plan is made from.
pub struct Context<'a> {
    /// What is wanted.
    pub cluster: &'a Cluster,
    /// CAs, keys, identifiers.
    pub bundle: &'a Bundle,
    /// Every PKI file, by node.
    pub node_files: &'a BTreeMap<String, NodeFiles>,
    /// `super-admin.conf` for the one call that needs it.
    pub super_admin: &'a pki::Secret,
    /// Programs and images.
    pub payload: &'a Payload,
    /// Facts and what stands.
    pub answers: &'a Answers,
    /// Files that arguments name, by their path on the control planes.
    pub files: &'a BTreeMap<String, pki::Secret>,
    /// The user's kubeadm patches, by file name.
    pub patches: &'a BTreeMap<String, String>,
    /// What the nodes' cgroups ask for.
    pub cgroups: kubeadm::Cgroups,
    /// Laid or added.
    pub growth: Growth,
    /// The epoch whose cluster this is.
    pub epoch: u64,
    /// What comes back, where the cluster is built again from the archive.
    pub rebuild: Option<&'a Rebuild>,
    /// What the nodes' own snapshots are made by, where they can write a destination.
    pub snapshots: Option<&'a Snapshots>,
}

impl Context<'_> {
    fn answer(&self, node: &Node) -> Option<&Answer> {
        self.answers.get(&HostId::new(&node.name))
    }

    fn answered(&self, node: &Node) -> bool {
        self.answer(node).is_some()
    }

    fn has_etcd_data(&self, node: &Node) -> bool {
        self.answer(node).is_some_and(|answer| answer.today.etcd_data)
    }

    /// The control plane that does what is done once: one whose apiserver is ready, or the first that answered.
    fn coordinator<'n>(&self, control_planes: &[&'n Node]) -> Option<&'n Node> {
        let ready = |node: &&&Node| self.answer(node).is_some_and(|answer| answer.today.api_ready);
        control_planes.iter().find(ready).or(control_planes.first()).copied()
    }

    /// Whether the rebuild stops when the apiservers are there.
    fn holds(&self) -> bool {
        self.rebuild.is_some_and(|rebuild| rebuild.hold)
    }

    fn coordinates(&self, node: &Node) -> bool {
        let answered: Vec<&Node> = self.cluster.control_planes().filter(|node| self.answered(node)).collect();
        self.coordinator(&answered).is_some_and(|coordinator| coordinator.name == node.name)
    }
}

/// A PEM as bytes for a node.
fn secret(text: &pki::Secret) -> step::Secret {
    step::Secret::new(text.expose_secret())
}
