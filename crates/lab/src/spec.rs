//! What a new lab is made of, and what is settled before its first node boots: names and the subnet.

use crate::names::{self, LabId};
use crate::state::{Recorded, State};
use crate::{Error, Lab, Result, Rootfs, lock, network};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a new lab is made of.
#[derive(Debug, Clone)]
pub struct LabSpec {
    /// Name of the lab, an RFC 1123 label.
    pub name: String,
    /// Folder that holds the folders of all labs.
    pub labs_dir: PathBuf,
    /// Root file system that the nodes share.
    pub rootfs: Rootfs,
    /// The nodes, at most 200.
    pub nodes: Vec<NodeSpec>,
    /// User and group that the key pair and `known_hosts` belong to (who called `sudo`); `None`: root.
    pub owner: Option<(u32, u32)>,
}

/// What a new node is made of.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Name of the node, an RFC 1123 label.
    pub name: String,
    /// Host name of the machine where it is not the node's name.
    pub foreign_host_name: Option<String>,
}

/// Checks the names of nodes and hosts, and that no two are equal.
pub(crate) fn valid_names(nodes: &[NodeSpec]) -> Result<Vec<(String, String)>> {
    let wrong = |name: &str, rule| Error::Name { name: name.to_owned(), kind: "name of a node", rule };
    if nodes.len() > MAX_NODES {
        return Err(wrong(&nodes[MAX_NODES].name, "a lab has 200 nodes at most"));
    }
    let mut seen = BTreeSet::new();
    let valid = |node: &NodeSpec| {
        let name = names::label(&node.name, "name of a node")?;
        if !seen.insert(name.clone()) {
            return Err(wrong(&name, "another node has it"));
        }
        let host = node.foreign_host_name.as_deref().map_or(Ok(name.clone()), names::host_name)?;
        Ok((name, host))
    };
    nodes.iter().map(valid).collect()
}

/// The last numbers 11 to 210 of a /24.
const MAX_NODES: usize = 200;

/// Chooses the lab's subnet, writes its state, and takes the subnet by making the bridge. One lab of this host at a
/// time, wherever its folder is.
pub(crate) fn settle(id: &LabId, spec: &LabSpec, names: Vec<(String, String)>) -> Result<State> {
    let _subnets = lock::wait_for(Path::new(network::LINKS))?;
    let mut taken: Vec<Ipv4Net> = network::routes()?.into_iter().map(|(net, _)| net).collect();
    // Labs of which the bridge is gone (the host was booted) come back with their subnet.
    for other in Lab::list(&spec.labs_dir)? {
        taken.extend(State::read(&spec.labs_dir.join(other)).ok().flatten().map(|state| state.subnet));
    }
    let subnet = network::choose(&taken)?;
    let nodes = names.into_iter().zip(0..).map(|((name, host_name), index)| Recorded {
        name,
        host_name,
        address: network::address(subnet, index),
    });
    let state = State::new(subnet, spec.rootfs.clone(), spec.owner, nodes.collect());
    state.write(id.dir())?;
    network::ensure_bridge(id, subnet)?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, host: Option<&str>) -> NodeSpec {
        NodeSpec { name: name.into(), foreign_host_name: host.map(str::to_owned) }
    }

    #[test]
    fn a_host_name_is_the_nodes_unless_another_is_given() {
        let names = valid_names(&[node("cp1", None), node("w1", Some("other.example.com"))]).unwrap();
        assert_eq!(names[0], ("cp1".into(), "cp1".into()));
        assert_eq!(names[1], ("w1".into(), "other.example.com".into()));
    }

    #[test]
    fn bad_and_equal_names_and_too_many_nodes_are_refused() {
        let many: Vec<NodeSpec> = (0..=200).map(|i| node(&format!("n{i}"), None)).collect();
        let all = [
            valid_names(&[node("A", None)]),
            valid_names(&[node("a", None), node("a", None)]),
            valid_names(&[node("a", Some("b_c"))]),
            valid_names(&many),
        ];
        let errors: Vec<String> = all.into_iter().map(|e| e.unwrap_err().to_string()).collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        `A` is no name of a node: 1 to 63 characters a-z, 0-9 and `-`, which is neither first nor last
        `a` is no name of a node: another node has it
        `b_c` is no host name: 1 to 63 characters a-z, 0-9 and `-`, which is neither first nor last
        `n200` is no name of a node: a lab has 200 nodes at most
        "#);
        assert!(valid_names(&many[..200]).is_ok());
    }
}
