//! `settings.json`: what `up` lays on a control plane for its own snapshots. No secret is in it; credentials lie in
//! files beside it.

use crate::failure::{Exit, Failure, file_error};
use crate::ssh_destination::{SshFolder, pattern};
use crate::vault::failure;
use archive::{Archive, Credentials, Destination, Folder, RootPublic, S3, S3Settings, Site, Trust};
use engine::{SshAddress, SshOptions};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Where it lies, with the files that it names.
pub const FOLDER: &str = "/etc/rekindle/archive";

/// What a node's run needs to know.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The node's name.
    pub node: String,
    /// Its address, at which its etcd member serves.
    pub address: IpAddr,
    /// The archive's root public key.
    pub root: String,
    /// The epoch of the cluster whose node this is; a later one may fence it.
    #[serde(default)]
    pub epoch: u64,
    /// Seconds between two snapshots.
    pub every: i64,
    /// The destinations that nodes write.
    pub to: Vec<Place>,
}

/// A destination that nodes write. Files lie beside the settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What fails together with it; `None`: a machine of the cluster.
    pub domain: Option<String>,
    /// Where it is.
    pub at: At,
}

/// Where a destination is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum At {
    /// A folder of a file system that all nodes mount.
    Folder(PathBuf),
    /// A bucket.
    S3 {
        /// `s3://BUCKET/PREFIX`.
        url: String,
        /// The server, where it is not AWS.
        endpoint: Option<String>,
        /// The region.
        region: Option<String>,
        /// Whether the bucket is a part of the path.
        path_style: Option<bool>,
        /// The file with the server's CA.
        ca: Option<String>,
        /// The file with the credentials; without it, the instance's own.
        credentials: Option<String>,
    },
    /// A folder of a host that is reached by SSH.
    Ssh {
        /// `ssh://USER@HOST:PORT/PATH`.
        url: String,
        /// The host.
        host: String,
        /// Its port.
        port: u16,
        /// Who we are there.
        user: String,
        /// The folder.
        path: String,
        /// The host's only key that is believed, as `known_hosts` writes it.
        host_key: String,
        /// The file with the private key.
        key: String,
    },
}

impl At {
    fn open(&self, folder: &Path) -> Result<Box<dyn Destination>, Failure> {
        match self {
            Self::Folder(path) => Ok(Box::new(Folder::mounted(path))),
            Self::S3 { url, endpoint, region, path_style, ca, credentials } => {
                let settings = S3Settings {
                    url: url.clone(),
                    endpoint: endpoint.clone(),
                    region: region.clone(),
                    path_style: *path_style,
                    ca: ca.as_ref().map(|name| folder.join(name)),
                    credentials: match credentials {
                        Some(name) => Credentials::File(folder.join(name)),
                        None => Credentials::Instance,
                    },
                };
                Ok(Box::new(S3::new(&settings).map_err(|error| Failure::because(&error))?))
            }
            Self::Ssh { url, host, port, user, path, host_key, key } => {
                let address = SshAddress::new(host, *port, user).without_root();
                let options = SshOptions {
                    identities: vec![folder.join(key)],
                    pinned: vec![(pattern(host, *port), host_key.clone())],
                    ..SshOptions::default()
                };
                let made = SshFolder::new(url.clone(), address, path, options);
                Ok(Box::new(made.map_err(|error| Failure::refused(format!("{url}: {error}")))?))
            }
        }
    }
}

impl Settings {
    /// Reads it from `folder`.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("settings.json");
        let text = std::fs::read(&path).map_err(|error| file_error("cannot be read", &path, &error))?;
        serde_json::from_slice(&text).map_err(|error| {
            Failure::refused(format!("{}: {error}", path.display())).hint("`rekindle up` writes it anew")
        })
    }

    /// The archive, with the files of its destinations in `folder`.
    pub fn archive(&self, folder: &Path) -> Result<Archive, Failure> {
        let open = |place: &Place| {
            let destination = place.at.open(folder)?;
            let site = Site { at: destination.describe(), domain: place.domain.clone(), nodes: true };
            Ok((site, destination))
        };
        let places = self.to.iter().map(open).collect::<Result<_, Failure>>()?;
        Archive::on(places).map_err(|error| failure(&error))
    }

    /// The root public key.
    pub fn root(&self) -> Result<RootPublic, Failure> {
        self.root.parse().map_err(|error| failure(&error).exit(Exit::Bug))
    }

    /// By what the archive is judged.
    pub fn trust(&self) -> Result<Trust, Failure> {
        Ok(Trust::Anchor(self.root()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_up_lays_opens_as_places() {
        let at = |at| Place { domain: Some("site-a".into()), at };
        let bucket = |credentials: Option<&str>| At::S3 {
            url: "s3://backups/prod".into(),
            endpoint: Some("http://127.0.0.1:1".into()),
            region: None,
            path_style: Some(true),
            ca: None,
            credentials: credentials.map(Into::into),
        };
        let ssh = At::Ssh {
            url: "ssh://backup@127.0.0.1:1/srv/archive".into(),
            host: "127.0.0.1".into(),
            port: 1,
            user: "backup".into(),
            path: "/srv/archive".into(),
            host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"
                .into(),
            key: "credentials-2".into(),
        };
        let folder = At::Folder("/mnt/backup/prod".into());
        let settings = Settings {
            node: "cp1".into(),
            address: "10.0.0.11".parse().unwrap(),
            epoch: 1,
            root: format!("ed25519:{}", "d7".repeat(32)),
            every: 600,
            to: vec![at(bucket(None)), at(folder), Place { domain: None, at: ssh }],
        };
        let laid = tempfile::tempdir().unwrap();
        let text = serde_json::to_string_pretty(&settings).unwrap();
        std::fs::write(laid.path().join("settings.json"), &text).unwrap();
        let archive = Settings::read(laid.path()).unwrap().archive(laid.path()).unwrap();
        let names = [
            "s3://backups/prod (http://127.0.0.1:1)",
            "/mnt/backup/prod",
            "ssh://backup@127.0.0.1:1/srv/archive",
        ];
        assert_eq!(archive.names(), names);
        // The SSH host is a machine of the cluster: a copy there is none that counts.
        assert!(
            !archive.copies(&names[2..].iter().map(|at| (*at).to_owned()).collect::<Vec<_>>()).off_cluster
        );
        // Another program's settings are not half understood.
        std::fs::write(laid.path().join("settings.json"), text.replace("\"every\"", "\"often\"")).unwrap();
        let failure = Settings::read(laid.path()).unwrap_err();
        assert!(failure.message.contains("often") && failure.hint.is_some(), "{failure:?}");
    }
}
