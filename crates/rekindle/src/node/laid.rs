//! What `up` lays on control planes for their own snapshots: settings, credentials, this program.

use super::settings::{self, Settings};
use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::loaded::Loaded;
use inventory::{Bucket, Credentials, Place, Writer};
use pki::Bundle;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often nodes take a snapshot where the inventory does not say.
pub const EVERY: Duration = Duration::from_secs(600);

/// What the timers of the control planes are made from; `None` where no destination can be written from nodes.
/// `epoch` is the one that the nodes are of.
pub fn for_nodes(
    loaded: &Loaded,
    bundle: &Bundle,
    environment: &Environment,
    program: Option<(step::Digest, u64)>,
    epoch: u64,
) -> Result<Option<plan::Snapshots>, Failure> {
    let cluster = loaded.cluster();
    let mut files = BTreeMap::new();
    let mut to = Vec::new();
    for (i, one) in cluster.archive.to.iter().enumerate().filter(|(_, one)| one.from == Writer::Nodes) {
        let mut lay = |path: &std::path::Path, name: String| -> Result<String, Failure> {
            let path = environment.path(&loaded.folder, path);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| file_error("cannot be read", &path, &error))?;
            files.insert(name.clone(), text.into());
            Ok(name)
        };
        let (bucket, credentials) = match (&one.place, &one.credentials) {
            (Place::S3(bucket), Some(Credentials::File(path))) => {
                (bucket, Some(lay(path, format!("credentials-{i}"))?))
            }
            (Place::S3(bucket), Some(Credentials::Instance)) => (bucket, None),
            _ => {
                return Err(Failure::refused(format!("{}: nodes cannot write there", one.url())).hint(
                    "nodes write buckets of S3, with `credentials = { file = … }` or `\"instance\"`; from = \"operator\" leaves it to you",
                ));
            }
        };
        let ca = bucket.ca.as_ref().map(|path| lay(path, format!("ca-{i}.crt"))).transpose()?;
        to.push(place(one, bucket, ca, credentials));
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
    Ok(Some(plan::Snapshots { program, every, settings: settings.collect(), files }))
}

fn place(
    one: &inventory::Destination,
    bucket: &Bucket,
    ca: Option<String>,
    credentials: Option<String>,
) -> settings::Place {
    settings::Place {
        url: one.url(),
        endpoint: bucket.endpoint.clone(),
        region: bucket.region.clone(),
        path_style: Some(bucket.path_style),
        ca,
        credentials,
    }
}
