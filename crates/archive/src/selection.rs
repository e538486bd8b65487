//! Which generations a decision looks at: those that nobody distrusts, and those of clusters that may still run.

use crate::{Generation, Generations, Signer};
use std::collections::BTreeSet;

impl Generations {
    /// The same without what was taken from these nodes or signed by them. `Err` is a node that has none.
    ///
    /// # Errors
    /// The name of the first node of which there is no generation: it may be mistyped, and then those of a node
    /// that is distrusted would stay.
    pub fn not_from(mut self, nodes: &[String]) -> Result<Self, String> {
        let of = |one: &Generation, node: &String| {
            one.public.node == *node || one.signed_by == Signer::Node(node.clone())
        };
        for node in nodes {
            if !self.all.iter().any(|one| of(one, node)) {
                return Err(node.clone());
            }
        }
        self.all.retain(|one| !nodes.iter().any(|node| of(one, node)));
        let left: BTreeSet<_> = self.all.iter().map(|one| one.id).collect();
        self.heads.retain(|head| left.contains(head));
        Ok(self)
    }

    /// The newest generation of each etcd cluster that may still run: of each one that a signer of the newest
    /// epoch named last. Newest first; those that are suspect have no word in it.
    pub fn running(&self) -> Vec<&Generation> {
        let Some(epoch) = self.newest().map(|newest| newest.public.epoch) else { return Vec::new() };
        let sound = self.all.iter().filter(|one| one.suspect.is_none() && one.public.epoch == epoch);
        let (mut signers, mut clusters) = (BTreeSet::new(), BTreeSet::new());
        sound
            .filter(|one| signers.insert(&one.signed_by) && clusters.insert(&one.public.etcd_cluster))
            .collect()
    }
}
