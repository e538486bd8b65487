//! The words of `rebuild`.

use super::{Cluster, Distrust};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `rebuild`.
#[derive(Clone, Debug, Args)]
pub struct Rebuild {
    /// The cluster.
    #[command(flatten)]
    pub cluster: Cluster,
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
    /// A folder on a disk with room for 1.5 times the snapshot.
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
}

/// Keys that were taken.
#[derive(Clone, Debug, Args)]
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
