//! The words of the command line.

mod adopt;
mod archive;
mod lab;
mod rebuild;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

pub use adopt::Adopt;
pub use archive::{
    ArchiveCommand, At, Distrust, Drill, Fence, Generation, KitArgs, NodeCommand, Opening, PolicyCommand,
    PolicyFor, Reading, RecipientsCommand, Snapshot,
};
pub use lab::{Lab, LabSource, LabUp};
pub use rebuild::{NewKey, Rebuild, Renewal};

/// Highly available Kubernetes control planes with kubeadm over SSH, and the same cluster again from an archive.
#[derive(Debug, Parser)]
#[command(name = "rekindle", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  rekindle lab up                     a real HA cluster on this machine, to break and mend
  rekindle init > prod.toml           a commented inventory to fill in
  rekindle check -i prod.toml         is it right, and what does it mean
  rekindle up -i prod.toml            make it so, as often as you like
  rekindle plan -i prod.toml          what `up` would change

Exit codes: 0 done · 1 a bug · 2 refused before any change · 3 partly done, run again ·
4 a node's state is unknown · 5 done, but something is due · 10 `plan --exit-code`: there are changes")]
pub struct Cli {
    /// How results and progress are written.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// When to use colour; NO_COLOR is heeded.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub colour: Colour,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results and progress are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented inventory to standard output.
    #[command(after_help = "Example:\n  rekindle init --name prod > prod.toml")]
    Init(Init),
    /// Check an inventory offline and print all that it means, defaults included.
    #[command(after_help = "Examples:
  rekindle check -i prod.toml
  rekindle check -i prod.toml --archive   ask the archive's places: what may the nodes' credentials do there")]
    Check(Check),
    /// Make the cluster what the inventory says: build it, or converge it.
    #[command(after_help = "Examples:
  rekindle up -i prod.toml
  rekindle up -i prod.toml --accept-new         first contact: record the nodes' host keys
  rekindle up -i prod.toml --output json | jq   one event a line")]
    Up(Up),
    /// Build the same cluster again from the archive: same CAs, keys and objects, on the machines of the inventory.
    #[command(after_help = "Examples:
  sudo rekindle rebuild -i prod.toml                      shows what it would do, and asks
  sudo rekindle rebuild -i prod.toml --old-cluster-is-gone=prod
  sudo rekindle rebuild --kit kit.txt --identity identity.txt --map cp1=10.1.0.11 --reinstalled all --accept-new
  sudo rekindle rebuild -i prod.toml 1-770-ab12 --yes=REBUILD-prod --after-theft
  sudo rekindle rebuild -i prod.toml --hold               stop when the apiservers are there; --release goes on
  sudo rekindle rebuild -i prod.toml --in-place 1-770     a cluster that lives, back to what it was then
  sudo rekindle rebuild -i prod.toml --from-disk cp3      no quorum is left, and its disk is newer than the archive")]
    Rebuild(Rebuild),
    /// Show what `up` would change: the diff of every file, and the restarts in their order. Changes nothing.
    #[command(after_help = "Example:\n  rekindle plan -i prod.toml --exit-code || echo there are changes")]
    Plan(Plan),
    /// Give a kubeadm cluster that somebody else made the same safety: an inventory, a sealed archive, a drilled
    /// generation. Changes nothing of it.
    #[command(after_help = "Examples:
  sudo rekindle adopt --ssh ops@10.0.0.11 -o prod.toml --accept-new
  rekindle adopt --ssh ops@10.0.0.11 -o prod.toml --to s3://backups/prod
  rekindle adopt --schedule -i prod.toml          the snapshots' timer on its control planes, and nothing else")]
    Adopt(Adopt),
    /// Ask the cluster how it is.
    #[command(after_help = "Examples:
  rekindle status -i prod.toml
  rekindle status -i prod.toml --strict     for a timer: 5 where something was never set up, too")]
    Status(Status),
    /// Seal a snapshot of etcd now: taken and proven on a control plane, published at every destination.
    #[command(after_help = "Examples:
  rekindle snapshot -i prod.toml
  rekindle snapshot -i prod.toml --node cp2
  rekindle snapshot -i prod.toml --from-disk cp3   no quorum is left, and its disk is there")]
    Snapshot(Snapshot),
    /// What the archive holds, and how to get it out.
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Write a kubeconfig that works from here.
    #[command(
        after_help = "Example:\n  rekindle kubeconfig -i prod.toml > ~/.kube/prod && chmod 600 ~/.kube/prod"
    )]
    Kubeconfig(Kubeconfig),
    /// Run kubectl on any control plane whose apiserver answers.
    #[command(after_help = "Examples:
  rekindle kubectl -i prod.toml -- get nodes
  rekindle kubectl -i prod.toml -- apply -f - < app.yaml")]
    Kubectl(Kubectl),
    /// Prove a generation: boot its own kube-apiserver on its etcd snapshot, on this machine, and read all of it.
    #[command(after_help = "Examples:
  sudo rekindle drill -i prod.toml
  sudo rekindle drill --from-nothing --kit kit.txt --identity identity.txt
  sudo rekindle drill -i prod.toml --lab            rebuilt in a lab on this host, as one held control plane")]
    Drill(Drill),
    /// Ask a generation: run kubectl against its own kube-apiserver, booted on this machine. Nothing stays.
    #[command(
        after_help = "Example:\n  sudo rekindle at -i prod.toml 1-770-ab12 -- get deploy -n shop -o yaml"
    )]
    At(At),
    /// Real multi-node clusters on this Linux host.
    #[command(subcommand)]
    Lab(Lab),
    /// Programs and images: fetch or build them beforehand, export them to a folder.
    #[command(subcommand)]
    Artifacts(ArtifactsCommand),
    /// What a control plane's own units run.
    #[command(subcommand, hide = true)]
    Node(NodeCommand),
    /// Print the JSON Schema of the inventory, for editors.
    Schema,
    /// Print a completion script.
    #[command(after_help = "Example:\n  rekindle completions bash > /etc/bash_completion.d/rekindle")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The cluster's name.
    #[arg(long, default_value = "prod")]
    pub name: String,
    /// Its Kubernetes version.
    #[arg(long)]
    pub kubernetes: Option<semver::Version>,
}

/// Which inventory.
#[derive(Clone, Debug, Default, Args)]
pub struct InventoryFile {
    /// The inventory.
    #[arg(short, long, value_name = "FILE", default_value = "rekindle.toml", env = "REKINDLE_INVENTORY")]
    pub inventory: PathBuf,
}

/// `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// The inventory.
    #[command(flatten)]
    pub file: InventoryFile,
    /// Ask the archive's places too: each must take what nodes write, and refuse them to overwrite and to delete.
    #[arg(long)]
    pub archive: bool,
}

/// What reaches a cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct Cluster {
    /// The inventory.
    #[command(flatten)]
    pub file: InventoryFile,
    /// An age identity that opens the archive; may be given more than once.
    #[arg(long, value_name = "FILE", env = "REKINDLE_IDENTITY", value_delimiter = ':')]
    pub identity: Vec<PathBuf>,
    /// Believe the host key of a node that nothing is known about, and record it.
    #[arg(long)]
    pub accept_new: bool,
    /// Believe the archive's root key although no `trust` line names it.
    #[arg(long)]
    pub trust_on_first_use: bool,
    /// A file that holds the sudo password of the nodes' user.
    #[arg(long, value_name = "FILE")]
    pub sudo_password_file: Option<PathBuf>,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// Exit with 5 too where something was never set up, or nobody opened the archive for 30 days.
    #[arg(long)]
    pub strict: bool,
}

/// `up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// The cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// Put back what somebody else changed since our last write.
    #[arg(long)]
    pub overwrite: bool,
    /// Change a cluster that stands without sealing its etcd before.
    #[arg(long)]
    pub without_snapshot: bool,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// As for `up`.
    #[command(flatten)]
    pub up: Up,
    /// Exit with 10 where there are changes.
    #[arg(long)]
    pub exit_code: bool,
}

/// `kubeconfig`.
#[derive(Debug, Args)]
pub struct Kubeconfig {
    /// The cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// The server to name instead of the first control plane's address.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// `kubectl`.
#[derive(Debug, Args)]
pub struct Kubectl {
    /// The cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// kubectl's own arguments.
    #[arg(last = true, required = true)]
    pub arguments: Vec<String>,
}

/// `artifacts`.
#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
    /// Fetch or build what the inventory's cluster needs, into the cache.
    Fetch(InventoryFile),
    /// The same, copied to a folder that `[artifacts] source = { folder = "…" }` takes.
    Export {
        /// The inventory.
        #[command(flatten)]
        file: InventoryFile,
        /// The folder.
        to: PathBuf,
    },
}
