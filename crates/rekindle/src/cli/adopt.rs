//! The words of `adopt`.

use super::InventoryFile;
use clap::Args;
use std::path::PathBuf;

/// `adopt`.
#[derive(Clone, Debug, Args)]
pub struct Adopt {
    /// A control plane that kubeadm made, and other nodes that are not reached at their own address as the same user;
    /// may be given more than once.
    #[arg(long, value_name = "USER@HOST[:PORT]", required_unless_present = "schedule")]
    pub ssh: Vec<String>,
    /// The inventory that is written; no file is ever overwritten.
    #[arg(short, long = "out", value_name = "FILE", required_unless_present = "schedule")]
    pub out: Option<PathBuf>,
    /// The cluster's name, instead of the one that kubeadm was told.
    #[arg(long)]
    pub name: Option<String>,
    /// Where the archive will lie, as `to` takes it; may be given more than once.
    #[arg(long, value_name = "DEST", default_value = "./archive")]
    pub to: Vec<String>,
    /// An age recipient that can open the archive; may be given more than once. Default: one is made.
    #[arg(long = "recipient", value_name = "AGE1…")]
    pub recipients: Vec<String>,
    /// Where programs and images come from: `upstream`, `modules`, a mirror's URL, or a folder.
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Do not seal programs and images: a rebuild then needs their source.
    #[arg(long)]
    pub no_payload: bool,
    /// The key of a CA that no control plane has, PEM; may be given more than once.
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// A private key file for SSH; may be given more than once. Default: the agent's keys, and the usual ones in ~/.ssh.
    #[arg(long, value_name = "FILE")]
    pub ssh_identity: Vec<PathBuf>,
    /// A jump host: user@host:port.
    #[arg(long, value_name = "HOST")]
    pub bastion: Option<String>,
    /// An age identity that opens the archive; may be given more than once.
    #[arg(long, value_name = "FILE", env = "REKINDLE_IDENTITY", value_delimiter = ':')]
    pub identity: Vec<PathBuf>,
    /// Believe the host key of a node that nothing is known about, and record it.
    #[arg(long)]
    pub accept_new: bool,
    /// A file that holds the sudo password of the nodes' user.
    #[arg(long, value_name = "FILE")]
    pub sudo_password_file: Option<PathBuf>,
    /// Install the snapshots' timer on the control planes of a cluster that was adopted, and nothing else.
    #[arg(long, conflicts_with_all = ["ssh", "out", "name", "to", "recipients", "source", "no_payload", "keys"])]
    pub schedule: bool,
    /// The inventory, for --schedule.
    #[command(flatten)]
    pub file: InventoryFile,
}
