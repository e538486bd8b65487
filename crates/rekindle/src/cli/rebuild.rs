//! What a rebuild starts from.

use super::{Cluster, InventoryFile};
use clap::Args;
use std::path::PathBuf;

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
