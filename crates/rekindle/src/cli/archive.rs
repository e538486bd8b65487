//! The words of `rekindle archive`.

use super::Opening;
use clap::Subcommand;
use std::path::PathBuf;

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
