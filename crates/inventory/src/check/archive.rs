//! Where the archive lies: not on the cluster alone.

use crate::Cluster;
use crate::document::Document;
use crate::error::Mistake;
use crate::parse::Found;

/// What lies on the cluster's own machines goes with them.
pub(super) fn off_the_cluster(document: &Document, cluster: &Cluster, found: &mut Found) {
    let to = &cluster.archive.to;
    if to.is_empty() || to.iter().any(|one| cluster.domain_of(one).is_some()) {
        return;
    }
    let Some(at) = &document.raw.archive.to else { return };
    let message = "every place of the archive is a machine of the cluster".into();
    let mistake = Mistake::new(at.span.clone(), message, "one place off the cluster at least");
    found.error(mistake.hint(
        "add a folder of yours, a bucket, or a host that is no node: nothing counts before it lies there",
    ));
}
