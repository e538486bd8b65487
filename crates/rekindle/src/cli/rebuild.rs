//! The words of `rebuild`.

use super::{Cluster, Distrust, InventoryFile};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `rebuild`.
#[derive(Clone, Debug, Default, Args)]
pub struct Rebuild {
    /// What it starts from.
    #[command(flatten)]
    pub from: RebuildFrom,
    /// The generation; default: the newest that counts.
    pub generation: Option<String>,
    /// Whose generations are left out.
    #[command(flatten)]
    pub distrust: Distrust,
    /// REBUILD-NAME with the cluster's name; asked for on a terminal.
    #[arg(long, value_name = "REBUILD-NAME")]
    pub yes: Option<String>,
    /// The cluster's name: its old control planes are gone, whatever still answers at their addresses. Agrees, too.
    #[arg(long, value_name = "NAME")]
    pub old_cluster_is_gone: Option<String>,
    /// A node of the old cluster that is switched off for good: its pods are not waited for; may be given more than once.
    #[arg(long, value_name = "NODE")]
    pub fenced: Vec<String>,
    /// Do without a destination that is lost for good, called as `archive list` does; may be given more than once.
    #[arg(long, value_name = "DEST")]
    pub without: Vec<String>,
    /// Claim over somebody else's claim of an epoch in which no cluster was born.
    #[arg(long)]
    pub take_over: bool,
    /// Keys that were taken.
    #[command(flatten)]
    pub renewal: Renewal,
    /// Stop when etcd and the apiservers are there; nothing acts on what came back yet.
    #[arg(long)]
    pub hold: bool,
    /// Go on where `--hold` stopped.
    #[arg(long, conflicts_with = "hold")]
    pub release: bool,
    /// Go back on a cluster that lives: it is sealed as it is, its control planes are stopped, and laid from the generation.
    #[arg(long)]
    pub in_place: bool,
    /// Take what this node's disk has of etcd, where no quorum is left and it is newer than the archive; may be given
    /// more than once: the newest is taken.
    #[arg(long, value_name = "NODE", conflicts_with_all = ["generation", "in_place"])]
    pub from_disk: Vec<String>,
    /// A folder on a disk with room for 1.5 times the snapshot.
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
}

/// Keys that were taken.
#[derive(Clone, Debug, Default, Args)]
pub struct Renewal {
    /// Keys were taken: `--new ca,front-proxy,sa,encryption`, and what changed in roles and webhooks is shown.
    #[arg(long, conflicts_with = "new")]
    pub after_theft: bool,
    /// What is made anew, so that nothing is believed that the old one signed.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub new: Vec<NewKey>,
}

/// A key that a rebuild can make anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum NewKey {
    /// The cluster's CA: certificates of people, kubelets and apiservers.
    Ca,
    /// The CA by which aggregated apiservers know this one.
    FrontProxy,
    /// The key that signs service accounts' tokens.
    Sa,
    /// The key that encrypts what the API stores; the old one stays to read with.
    Encryption,
}

/// An inventory, or a recovery kit instead: then the archived inventory is the inventory.
#[derive(Clone, Debug, Default, Args)]
pub struct RebuildFrom {
    /// The inventory; default: rekindle.toml, and the archived one with --kit.
    #[arg(short, long, value_name = "FILE", env = "REKINDLE_INVENTORY")]
    pub inventory: Option<PathBuf>,
    /// A recovery kit, as `archive kit` printed it. Alone it is enough: the inventory comes from the archive, and is left
    /// as NAME.toml in this folder. With an inventory too, both must be of one archive.
    #[arg(long, value_name = "FILE")]
    pub kit: Option<PathBuf>,
    /// An age identity that opens the archive; may be given more than once.
    #[arg(long, value_name = "FILE", env = "REKINDLE_IDENTITY", value_delimiter = ':')]
    pub identity: Vec<PathBuf>,
    /// With --kit alone: another name or address of a node (OLD=ADDRESS, OLD=NAME@ADDRESS, either followed by
    /// ,ssh=HOST:PORT), or none any more (OLD=-); may be given more than once.
    #[arg(long, value_name = "OLD=NEW", requires = "kit", conflicts_with = "inventory")]
    pub map: Vec<String>,
    /// With --kit alone: a private key for SSH instead of those of the archived inventory; may be given more than once.
    #[arg(long, value_name = "FILE", requires = "kit", conflicts_with = "inventory")]
    pub ssh_identity: Vec<PathBuf>,
    /// A node that was installed anew, or `all`: known_hosts or --accept-new say which host key it has, not the archive;
    /// may be given more than once.
    #[arg(long, value_name = "NODE")]
    pub reinstalled: Vec<String>,
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

impl RebuildFrom {
    /// The same as every command takes it that has an inventory.
    pub fn cluster(&self) -> Cluster {
        let inventory = self.inventory.clone().unwrap_or_else(|| "rekindle.toml".into());
        Cluster {
            file: InventoryFile { inventory },
            identity: self.identity.clone(),
            accept_new: self.accept_new,
            trust_on_first_use: self.trust_on_first_use,
            sudo_password_file: self.sudo_password_file.clone(),
        }
    }
}
