//! The words of the lab.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `lab`.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Make machines on this host, and a cluster of them.
    #[command(after_help = "Examples:
  rekindle lab up
  rekindle lab up --name two --control-planes 1 --workers 2
  rekindle lab up mine.toml           nodes and settings of an inventory of yours")]
    Up(LabUp),
    /// Make empty machines only, and their inventory.
    Nodes(LabUp),
    /// Take a lab down: nothing of it is left.
    Down(LabName),
    /// List the labs of this host.
    List,
    /// Print the path of a lab's inventory.
    #[command(after_help = "Example:\n  rekindle up -i \"$(rekindle lab inventory)\"")]
    Inventory(LabName),
    /// Open a shell on a node, or run a command there.
    #[command(after_help = "Example:\n  rekindle lab ssh cp1 -- ctr -n k8s.io containers ls")]
    Ssh {
        /// The node.
        node: String,
        /// The lab.
        #[command(flatten)]
        lab: LabName,
        /// A command instead of a shell.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// End a node as if its power had failed.
    Kill(LabNode),
    /// Boot a node that is off.
    Start(LabNode),
    /// Make a node an empty machine with the same address.
    Wipe(LabNode),
    /// What on this host would hurt a lab, each with its mend.
    Check {
        /// How many nodes it is to have.
        #[arg(long, default_value_t = 4)]
        nodes: usize,
    },
}

/// Which lab.
#[derive(Clone, Debug, Args)]
pub struct LabName {
    /// The lab.
    #[arg(long, default_value = "lab")]
    pub name: String,
}

/// Which node of which lab.
#[derive(Debug, Args)]
pub struct LabNode {
    /// The node.
    pub node: String,
    /// The lab.
    #[command(flatten)]
    pub lab: LabName,
}

/// `lab up`.
#[derive(Clone, Debug, Args)]
pub struct LabUp {
    /// An inventory whose nodes and settings the lab takes; addresses are the lab's own.
    pub inventory: Option<PathBuf>,
    /// The lab.
    #[command(flatten)]
    pub lab: LabName,
    /// Control planes.
    #[arg(long, default_value_t = 3, conflicts_with = "inventory")]
    pub control_planes: u32,
    /// Workers.
    #[arg(long, default_value_t = 1, conflicts_with = "inventory")]
    pub workers: u32,
    /// Kubernetes version.
    #[arg(long, conflicts_with = "inventory")]
    pub kubernetes: Option<semver::Version>,
    /// Where programs and images come from: `modules` builds them with the go client. Default: upstream, or
    /// modules where upstream can't be reached.
    #[arg(long, value_enum)]
    pub source: Option<LabSource>,
    /// Give one node a host name that is not its node name.
    #[arg(long, value_name = "NODE=HOSTNAME")]
    pub foreign_host_name: Option<String>,
    /// Install missing Debian packages without asking, and raise the host's inotify limits where they are too low.
    #[arg(long)]
    pub yes: bool,
}

/// A lab's source of programs and images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LabSource {
    /// The projects' own sites.
    Upstream,
    /// Built here from Go modules.
    Modules,
}
