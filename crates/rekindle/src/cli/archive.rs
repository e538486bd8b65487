//! The words of what the archive is for: snapshots, generations, proofs.

use super::{Cluster, InventoryFile};
use clap::{Args, Subcommand, ValueEnum};
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
    /// Seal what this node's disk has of etcd, where there is no quorum. It never counts, since nobody confirms it.
    #[arg(long, value_name = "NODE", conflicts_with = "node")]
    pub from_disk: Option<String>,
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

/// What an archive is read by: an inventory, or a recovery kit instead; no node is asked.
#[derive(Clone, Debug, Args)]
pub struct Reading {
    /// The inventory; default: rekindle.toml, and none with --kit.
    #[arg(short, long, value_name = "FILE", env = "REKINDLE_INVENTORY")]
    pub inventory: Option<PathBuf>,
    /// A recovery kit, as `archive kit` printed it. With an inventory too, both must be of one archive.
    #[arg(long, value_name = "FILE")]
    pub kit: Option<PathBuf>,
    /// An age identity that opens the archive; may be given more than once.
    #[arg(long, value_name = "FILE", env = "REKINDLE_IDENTITY", value_delimiter = ':')]
    pub identity: Vec<PathBuf>,
    /// Ask this destination only, called as `archive list` does.
    #[arg(long, value_name = "DEST")]
    pub from: Option<String>,
    /// Believe the archive's root key although no `trust` line names it.
    #[arg(long)]
    pub trust_on_first_use: bool,
}

/// `archive kit`.
#[derive(Debug, Args)]
pub struct KitArgs {
    /// What opens the archive; only --confirm needs an identity.
    #[command(flatten)]
    pub opening: Opening,
    /// Write the page there instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Type the four words of the printed page again; the archive remembers that it was done.
    #[arg(long, conflicts_with = "to")]
    pub confirm: bool,
    /// The words, where there is no terminal.
    #[arg(long, value_name = "WORDS", requires = "confirm")]
    pub words: Option<String>,
}

/// Whose generations are left out.
#[derive(Clone, Debug, Default, Args)]
pub struct Distrust {
    /// Leave out what was taken from this node or signed by it; may be given more than once.
    #[arg(long, value_name = "NODE")]
    pub not_from: Vec<String>,
}

/// `archive fence`.
#[derive(Debug, Args)]
pub struct Fence {
    /// What opens the archive: the claim is signed with the root key.
    #[command(flatten)]
    pub opening: Opening,
    /// FENCE-NAME with the cluster's name; asked for on a terminal.
    #[arg(long, value_name = "FENCE-NAME")]
    pub yes: Option<String>,
    /// Do without a destination that is lost for good, called as `archive list` does; may be given more than once.
    #[arg(long, value_name = "DEST")]
    pub without: Vec<String>,
    /// Claim over somebody else's claim of an epoch in which no cluster was born.
    #[arg(long)]
    pub take_over: bool,
}

/// `archive`.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// List every generation: age, revision, what was proven, where it lies. Needs no identity.
    #[command(after_help = "Examples:
  rekindle archive list -i prod.toml
  rekindle archive list -i prod.toml --not-from cp2  cp2 was stolen
  rekindle archive list --kit kit.txt      on a machine that has nothing else")]
    List {
        /// What is read.
        #[command(flatten)]
        reading: Reading,
        /// Whose are left out.
        #[command(flatten)]
        distrust: Distrust,
    },
    /// Show what is in a generation: every entry with its size.
    #[command(after_help = "Examples:
  rekindle archive show -i prod.toml             the newest
  rekindle archive show -i prod.toml 1-770-ab12  one of the list")]
    Show {
        /// What opens it.
        #[command(flatten)]
        reading: Reading,
        /// Whose are left out.
        #[command(flatten)]
        distrust: Distrust,
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
    /// Print the recovery kit: one page that says which archive is the right one, and where it lies. Needs no identity.
    #[command(after_help = "Examples:
  rekindle archive kit -i prod.toml --to kit.txt && lp kit.txt
  rekindle archive kit -i prod.toml --confirm      asks for the four words on the page")]
    Kit(KitArgs),
    /// Stop a cluster that can't be reached: claims the next epoch, and its control planes stop themselves when they
    /// read that.
    #[command(after_help = "Example:\n  rekindle archive fence -i prod.toml --yes=FENCE-prod")]
    Fence(Fence),
    /// Print what the credentials of a place may do, for whoever hands them out.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Who can open the archive, where the inventory does not say it.
    #[command(subcommand)]
    Recipients(RecipientsCommand),
    /// Take entries out of a generation, into files that only you can read.
    #[command(after_help = "Examples:
  rekindle archive extract -i prod.toml --all ./recovered
  rekindle archive extract -i prod.toml --name etcd/snapshot.db ./recovered
  rekindle archive extract -i prod.toml --payload ./k8s     for `source = { folder = \"./k8s\" }` under [artifacts]")]
    Extract {
        /// What opens it.
        #[command(flatten)]
        reading: Reading,
        /// Whose are left out.
        #[command(flatten)]
        distrust: Distrust,
        /// The generation; default: the newest.
        #[arg(long, value_name = "GEN")]
        generation: Option<String>,
        /// The entry; may be given more than once.
        #[arg(long, value_name = "ENTRY", required_unless_present_any = ["all", "payload"])]
        name: Vec<String>,
        /// All entries.
        #[arg(long, conflicts_with = "name")]
        all: bool,
        /// The programs and images instead, as a folder that `[artifacts] source` takes.
        #[arg(long, conflicts_with_all = ["name", "all"])]
        payload: bool,
        /// A new or empty folder; with --payload also one that a killed run left.
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
#[derive(Clone, Debug, Args)]
pub struct Generation {
    /// What opens the archive.
    #[command(flatten)]
    pub reading: Reading,
    /// Whose are left out.
    #[command(flatten)]
    pub distrust: Distrust,
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
    /// As on a machine that was bought this morning: by kit and identity alone. No inventory is read, nor what this
    /// user trusts or owns.
    #[arg(long, requires_all = ["kit", "identity"], conflicts_with = "snapshot")]
    pub from_nothing: bool,
    /// Rebuild it in a lab on this host: one control plane, held, with no way out. Nothing is written to the archive, and
    /// nothing stays.
    #[arg(long, conflicts_with_all = ["snapshot", "from_nothing"])]
    pub lab: bool,
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
    /// Say how long this node's certificates last.
    Certificates,
    /// Ask the archive for its newest identity set.
    Look,
    /// Stop this control plane where the archive says that its cluster is no more.
    Fence,
    /// Take a snapshot of etcd, prove and encrypt it.
    Capture,
    /// Publish it.
    Upload,
}

/// `archive policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// For each bucket of the inventory: get, list, put what is not there yet; for operators, delete too.
    #[command(after_help = "Examples:
  rekindle archive policy s3 -i prod.toml                 attach it to the nodes' user or role
  rekindle archive policy s3 -i prod.toml --for operator  the same, and what `archive prune` needs
  rekindle archive policy s3 -i prod.toml --principal arn:aws:iam::111122223333:user/nodes > bucket.json")]
    S3 {
        /// The inventory.
        #[command(flatten)]
        file: InventoryFile,
        /// Whose credential.
        #[arg(long = "for", value_enum, default_value_t = PolicyFor::Nodes)]
        wanted: PolicyFor,
        /// Who it is, for a bucket's own policy; without it the policy is a user's or a role's.
        #[arg(long, value_name = "ARN")]
        principal: Option<String>,
    },
}

/// Whose credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyFor {
    /// The nodes'.
    Nodes,
    /// An operator's.
    Operator,
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
