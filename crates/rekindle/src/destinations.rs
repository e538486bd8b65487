//! The places of an inventory's archive, as destinations.

use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::ssh_destination::SshFolder;
use archive::{Destination, Folder, S3, S3Settings};
use engine::{SshAddress, SshOptions};
use inventory::{Bucket, Credentials, Place, Ssh};
use std::path::{Path, PathBuf};

/// The destination of one place; relative paths start at `base`. Nothing is asked of it yet.
pub fn destination(
    to: &inventory::Destination,
    base: &Path,
    ssh: &Ssh,
    environment: &Environment,
) -> Result<Box<dyn Destination>, Failure> {
    let path = |path: &PathBuf| environment.path(base, path);
    match &to.place {
        Place::Folder { path: folder, .. } => Ok(Box::new(Folder::new(path(folder), environment.owner))),
        Place::S3(bucket) => {
            let Bucket { endpoint, region, path_style, ca, .. } = bucket;
            let credentials = match &to.credentials {
                Some(Credentials::File(file)) => archive::Credentials::File(path(file)),
                Some(Credentials::Command(command)) => archive::Credentials::Command(command.clone()),
                Some(Credentials::Instance) => archive::Credentials::Instance,
                None => environment.s3_credentials.clone().ok_or_else(|| {
                    Failure::refused(format!("{}: there are no credentials", to.url())).hint(
                        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write `credentials` beside its `url`",
                    )
                })?,
            };
            let settings = S3Settings {
                url: to.url(),
                endpoint: endpoint.clone(),
                region: region.clone(),
                path_style: Some(*path_style),
                ca: ca.as_ref().map(path),
                credentials,
            };
            Ok(Box::new(S3::new(&settings).map_err(|error| Failure::refused(chain(&error)))?))
        }
        Place::Ssh { target, path: folder } => {
            let files = |paths: &[PathBuf], usual: &[&str]| -> Vec<PathBuf> {
                if paths.is_empty() {
                    return usual.iter().map(|name| environment.home.join(".ssh").join(name)).collect();
                }
                paths.iter().map(path).collect()
            };
            let identities = match &to.credentials {
                Some(Credentials::File(key)) => vec![path(key)],
                _ => files(&ssh.identity, &["id_ed25519", "id_ecdsa", "id_rsa"]),
            };
            let options = SshOptions {
                identities,
                agent: environment.ssh_agent.clone(),
                known_hosts: files(&ssh.known_hosts, &["known_hosts"]),
                ..SshOptions::default()
            };
            let address = SshAddress::new(&target.host, target.port, &target.user).without_root();
            let made = SshFolder::new(to.url(), address, folder, options);
            Ok(Box::new(made.map_err(|error| Failure::refused(format!("{}: {error}", to.url())))?))
        }
    }
}
