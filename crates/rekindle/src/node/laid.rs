//! What `up` lays on control planes for their own snapshots: settings, credentials, this program.

use super::settings::{self, At, Settings};
use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::loaded::Loaded;
use inventory::{Bucket, Credentials, Place, SshTarget, Writer};
use pki::Bundle;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often nodes take a snapshot where the inventory does not say.
pub const EVERY: Duration = Duration::from_secs(600);

/// What the timers of the control planes are made from; `None` where no destination can be written from nodes.
/// `epoch` is the one that the nodes are of.
/// `host_keys` has the keys of SSH hosts by their URLs.
pub fn for_nodes(
    loaded: &Loaded,
    bundle: &Bundle,
    host_keys: &BTreeMap<String, String>,
    environment: &Environment,
    program: Option<(step::Digest, u64)>,
    epoch: u64,
) -> Result<Option<plan::Snapshots>, Failure> {
    let cluster = loaded.cluster();
    let (mut files, mut folders, mut to) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (i, one) in cluster.archive.to.iter().enumerate().filter(|(_, one)| one.from == Writer::Nodes) {
        let mut lay = |path: &std::path::Path, name: String| -> Result<String, Failure> {
            let path = environment.path(&loaded.folder, path);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| file_error("cannot be read", &path, &error))?;
            files.insert(name.clone(), text.into());
            Ok(name)
        };
        let url = one.url();
        let credentials = match &one.credentials {
            Some(Credentials::File(path)) => Some(lay(path, format!("credentials-{i}"))?),
            Some(Credentials::Command(_)) => {
                return Err(Failure::refused(format!("{url}: nodes cannot run that command")).hint(
                    "nodes take `credentials = { file = … }` or `\"instance\"`; from = \"operator\" leaves the place to you",
                ));
            }
            Some(Credentials::Instance) | None => None,
        };
        let at = match &one.place {
            Place::Folder { path, .. } => {
                folders.push(path.to_string_lossy().into_owned());
                At::Folder(path.clone())
            }
            Place::S3(Bucket { endpoint, region, path_style, ca, .. }) => At::S3 {
                url,
                endpoint: endpoint.clone(),
                region: region.clone(),
                path_style: Some(*path_style),
                ca: ca.as_ref().map(|path| lay(path, format!("ca-{i}.crt"))).transpose()?,
                credentials,
            },
            Place::Ssh { target: SshTarget { host, port, user }, path } => {
                let host_key = host_keys.get(&url).cloned().ok_or_else(|| {
                    Failure::refused(format!("{url}: its host key is not known, and nodes believe no other"))
                        .hint("it must answer at the first `up`; `ssh-keyscan` and your known_hosts make it known")
                })?;
                let key =
                    credentials.ok_or_else(|| Failure::refused(format!("{url}: nodes have no key to it")))?;
                At::Ssh {
                    url,
                    host: host.clone(),
                    port: *port,
                    user: user.clone(),
                    path: path.clone(),
                    host_key,
                    key,
                }
            }
        };
        to.push(settings::Place { domain: cluster.domain_of(one), at });
    }
    if to.is_empty() {
        return Ok(None);
    }
    let root = archive::RootPublic::from(bundle.root_public()).to_string();
    let every = cluster.archive.every.unwrap_or(EVERY);
    let settings = cluster.control_planes().map(|node| {
        let settings = Settings {
            node: node.name.clone(),
            address: node.address,
            root: root.clone(),
            epoch,
            every: i64::try_from(every.as_secs()).unwrap_or(i64::MAX),
            to: to.clone(),
        };
        // A struct of strings and numbers serializes.
        (node.name.clone(), serde_json::to_string_pretty(&settings).unwrap_or_default() + "\n")
    });
    Ok(Some(plan::Snapshots { program, every, settings: settings.collect(), files, folders }))
}
