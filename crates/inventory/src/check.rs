//! Rules across values: what each value alone can't show.

mod archive;
pub(crate) mod kubeadm;
pub(crate) mod labels;
mod networks;
mod nodes;
mod paths;

pub use paths::{can_be_laid, is_laid};

use crate::Cluster;
use crate::document::Document;
use crate::lower::Places;
use crate::parse::Found;

/// Every rule, in the order of the file's sections.
pub(crate) fn rules(document: &Document, cluster: &Cluster, places: &Places, found: &mut Found) {
    nodes::unique(cluster, places, found);
    nodes::host_only_addresses(cluster, places, found);
    // Who counts nodes that could not be read counts wrong.
    let written = document.raw.nodes.as_ref().map_or(0, |nodes| nodes.len());
    if written == cluster.nodes.len() && !document.is_broken("nodes") {
        nodes::quorum(document, cluster, places, found);
    }
    nodes::endpoint(cluster, places, found);
    networks::families(document, cluster, places, found);
    networks::sizes(cluster, places, found);
    networks::overlaps(cluster, places, found);
    networks::proxy(document, found);
    archive::off_the_cluster(document, cluster, found);
    kubeadm::rules(document, found);
    paths::rules(document, found);
}
