//! The words of what the archive is for: snapshots, generations, proofs.

use super::{Cluster, InventoryFile};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `snapshot`.
#[derive(Debug, Args)]
pub struct Snapshot {
    /// The cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// The control plane on which it is taken, instead of the first that can.
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
}

/// What opens an archive; no node is asked.
#[derive(Clone, Debug, Args)]
pub struct Opening {
    /// The inventory.
    #[command(flatten)]
    pub file: InventoryFile,
    /// An age identity that opens the archive; may be given more than once.
    #[arg(long, value_name = "FILE", env = "REKINDLE_IDENTITY", value_delimiter = ':')]
    pub identity: Vec<PathBuf>,
    /// Believe the archive's root key although no `trust` line names it.
    #[arg(long)]
    pub trust_on_first_use: bool,
}

/// `archive`.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// List every generation: age, revision, what was proven, where it lies. Needs no identity.
    #[command(after_help = "Example:\n  rekindle archive list -i prod.toml")]
    List(Opening),
    /// Show what is in a generation: every entry with its size.
    #[command(after_help = "Examples:
  rekindle archive show -i prod.toml             the newest
  rekindle archive show -i prod.toml 1-770-ab12  one of the list")]
    Show {
        /// What opens it.
        #[command(flatten)]
        opening: Opening,
        /// The generation: its name in the list, or the beginning of it. Default: the newest.
        generation: Option<String>,
    },
    /// Remove the generations that `keep` under [archive] does not keep; says first which, and why.
    #[command(after_help = "Examples:
  rekindle archive prune -i prod.toml        shows the table and asks
  rekindle archive prune -i prod.toml --yes  for a timer")]
    Prune {
        /// What opens it: the removal is signed with the root key.
        #[command(flatten)]
        opening: Opening,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Who can open the archive, where the inventory does not say it.
    #[command(subcommand)]
    Recipients(RecipientsCommand),
    /// Take entries out of a generation, into files that only you can read.
    #[command(after_help = "Examples:
  rekindle archive extract -i prod.toml --all ./recovered
  rekindle archive extract -i prod.toml --name etcd/snapshot.db ./recovered")]
    Extract {
        /// What opens it.
        #[command(flatten)]
        opening: Opening,
        /// The generation; default: the newest.
        #[arg(long, value_name = "GEN")]
        generation: Option<String>,
        /// The entry; may be given more than once.
        #[arg(long, value_name = "ENTRY", required_unless_present = "all")]
        name: Vec<String>,
        /// All entries.
        #[arg(long, conflicts_with = "name")]
        all: bool,
        /// A new or empty folder.
        to: PathBuf,
    },
    /// Write all objects of a generation as manifests that `kubectl apply -R -f` takes: those that a node attached when
    /// it booted the generation, else it is booted here, as root.
    #[command(
        after_help = "Example:\n  sudo rekindle archive export -i prod.toml --to objects && kubectl apply -R -f objects/shop"
    )]
    Export {
        /// Which.
        #[command(flatten)]
        generation: Generation,
        /// A folder that is not there yet, or empty.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
}

/// Which generation, and where it is booted.
#[derive(Debug, Args)]
pub struct Generation {
    /// What opens the archive.
    #[command(flatten)]
    pub opening: Opening,
    /// The generation; the newest where none is named.
    pub generation: Option<String>,
    /// An etcd snapshot as a file instead: what `etcdctl snapshot save` wrote.
    #[arg(long, value_name = "FILE", conflicts_with = "generation")]
    pub snapshot: Option<PathBuf>,
    /// A folder on a disk with room for 1.5 times the snapshot.
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
}

/// `drill`.
#[derive(Debug, Args)]
pub struct Drill {
    /// Which.
    #[command(flatten)]
    pub generation: Generation,
}

/// `at`.
#[derive(Debug, Args)]
pub struct At {
    /// Which.
    #[command(flatten)]
    pub generation: Generation,
    /// kubectl's own arguments.
    #[arg(last = true, required = true)]
    pub arguments: Vec<String>,
}

/// `node`: the units that `up` writes on control planes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Ask the archive for its newest identity set.
    Look,
    /// Take a snapshot of etcd, prove and encrypt it.
    Capture,
    /// Publish it.
    Upload,
}

/// `archive recipients`.
#[derive(Debug, Subcommand)]
pub enum RecipientsCommand {
    /// List them. Needs no identity.
    List(Opening),
    /// Seal the newest identity set for one more.
    #[command(after_help = "Example:\n  rekindle archive recipients add -i prod.toml age1…")]
    Add {
        /// What opens it.
        #[command(flatten)]
        opening: Opening,
        /// `age1…` or `ssh-ed25519 …`.
        recipient: String,
    },
    /// Seal it for all but one. What he could open before he can open still.
    Remove {
        /// What opens it.
        #[command(flatten)]
        opening: Opening,
        /// `age1…` or `ssh-ed25519 …`.
        recipient: String,
    },
}
