//! Delegated keys: which key of which node may sign what beside the root key, and for how long.

use crate::manifest::{ascends, is_display, is_word};
use crate::{RootPublic, canonical};
use serde::{Deserialize, Serialize};

/// What a [`Delegation`] may allow: to sign snapshot sets.
pub const MAY_SNAPSHOT: &str = "snapshot";

/// What a [`Delegation`] may allow: to sign proofs of the node's own snapshot sets.
pub const MAY_PROOF: &str = "proof";

/// A key that may sign for one node. It counts where the root key signed it, so in an identity set only, and ends
/// with its epoch or with a newer identity set of that epoch that does not name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Delegation {
    /// The epoch in which it counts.
    pub epoch: u64,
    /// The public half of the node's key.
    pub key: RootPublic,
    /// [`MAY_SNAPSHOT`], [`MAY_PROOF`]; in order. Words that are not known allow nothing.
    pub may: Vec<String>,
    /// The node whose name everything that it signs carries.
    pub node: String,
}

impl Delegation {
    /// Whether it allows `what` for `key` as `node` in `epoch`.
    pub(crate) fn allows(&self, what: &str, key: &RootPublic, epoch: u64, node: &str) -> bool {
        (self.key, self.epoch, self.node.as_str()) == (*key, epoch, node)
            && self.may.iter().any(|word| word == what)
    }

    pub(crate) fn is_well_formed(&self) -> bool {
        (1..=canonical::MAX_INTEGER).contains(&self.epoch)
            && is_word(&self.node, 253)
            && self.may.len() <= 16
            && ascends(&self.may)
            && self.may.iter().all(|word| is_display(word, 64))
    }
}
