//! `settings.json`: what `up` lays on a control plane for its own snapshots. No secret is in it; credentials lie in
//! files beside it.

use crate::failure::{Exit, Failure, file_error};
use crate::vault::failure;
use archive::{Archive, Credentials, Destination, RootPublic, S3, S3Settings, Trust};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::Path;

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

/// A destination that nodes write.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// `s3://BUCKET/PREFIX`.
    pub url: String,
    /// The server, where it is not AWS.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Whether the bucket is a part of the path.
    pub path_style: Option<bool>,
    /// The file with the server's CA.
    pub ca: Option<String>,
    /// The file with the credentials; without it, the instance's own.
    pub credentials: Option<String>,
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
        let open = |place: &Place| -> Result<Box<dyn Destination>, Failure> {
            let settings = S3Settings {
                url: place.url.clone(),
                endpoint: place.endpoint.clone(),
                region: place.region.clone(),
                path_style: place.path_style,
                ca: place.ca.as_ref().map(|name| folder.join(name)),
                credentials: match &place.credentials {
                    Some(name) => Credentials::File(folder.join(name)),
                    None => Credentials::Instance,
                },
            };
            Ok(Box::new(S3::new(&settings).map_err(|error| Failure::because(&error))?))
        };
        let places = self.to.iter().map(open).collect::<Result<_, _>>()?;
        Archive::at(places).map_err(|error| failure(&error))
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
