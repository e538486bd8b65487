//! The places of an inventory's archive, as destinations.

use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::loaded::Loaded;
use crate::report::Reporter;
use crate::ssh_destination::{self, SshFolder};
use archive::{Destination, Folder, S3, S3Settings, Site};
use engine::{SshAddress, SshOptions};
use inventory::{Bucket, Credentials, Place, Ssh, SshTarget, Writer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// From where places are reached.
pub struct Viewpoint<'a> {
    /// Relative paths start here.
    pub base: &'a Path,
    /// How SSH hosts are reached.
    pub ssh: &'a Ssh,
    /// Home, agent, credentials.
    pub environment: &'a Environment,
}

/// A place, and what is known of it.
pub type Placed = (Site, Box<dyn Destination>);

/// Every place of an inventory's archive, with what is known of it. Nothing is asked of them yet.
pub fn destinations(loaded: &Loaded, environment: &Environment) -> Result<Vec<Placed>, Failure> {
    let (cluster, from) = (loaded.cluster(), Viewpoint::of(loaded, environment));
    let place = |to: &inventory::Destination| {
        let destination: Box<dyn Destination> = open(to, &from)?.into();
        let (domain, nodes) = (cluster.domain_of(to), to.from == Writer::Nodes);
        Ok((Site { at: destination.describe(), domain, nodes }, destination))
    };
    cluster.archive.to.iter().map(place).collect()
}

/// A place of its kind.
pub enum Opened {
    /// A folder.
    Folder(Folder),
    /// A bucket.
    S3(S3),
    /// A folder of a host.
    Ssh(SshFolder),
}

impl From<Opened> for Box<dyn Destination> {
    fn from(opened: Opened) -> Self {
        match opened {
            Opened::Folder(folder) => Box::new(folder),
            Opened::S3(bucket) => Box::new(bucket),
            Opened::Ssh(folder) => Box::new(folder),
        }
    }
}

/// One place of an inventory. Nothing is asked of it yet.
pub fn open(to: &inventory::Destination, from: &Viewpoint) -> Result<Opened, Failure> {
    let (environment, path) = (from.environment, |path: &PathBuf| from.path(path));
    match &to.place {
        Place::Folder { path: folder, mounted: true } => Ok(Opened::Folder(Folder::mounted(path(folder)))),
        Place::Folder { path: folder, .. } => {
            Ok(Opened::Folder(Folder::new(path(folder), environment.owner)))
        }
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
            Ok(Opened::S3(S3::new(&settings).map_err(|error| Failure::refused(chain(&error)))?))
        }
        Place::Ssh { target, path: folder } => {
            let (address, options) = from.reach(to, target);
            let made = SshFolder::new(to.url(), address, folder, options);
            Ok(Opened::Ssh(made.map_err(|error| Failure::refused(format!("{}: {error}", to.url())))?))
        }
    }
}

/// The keys of the SSH hosts that nodes write to, by URL: what each proved to us, by what our known hosts believe. One
/// that does not answer has no key here; why is said.
pub async fn host_keys(
    loaded: &Loaded,
    environment: &Environment,
    report: &Reporter,
) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for to in loaded.cluster().archive.written_by_nodes() {
        let Place::Ssh { target, .. } = &to.place else { continue };
        let (address, options) = Viewpoint::of(loaded, environment).reach(to, target);
        match ssh_destination::host_key(address, options).await {
            Ok(key) => drop(keys.insert(to.url(), key)),
            Err(why) => report.say(format!("{}: {why}", to.url())),
        }
    }
    keys
}

impl<'a> Viewpoint<'a> {
    /// That of an inventory.
    pub fn of(loaded: &'a Loaded, environment: &'a Environment) -> Self {
        Self { base: &loaded.folder, ssh: &loaded.cluster().ssh, environment }
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.environment.path(self.base, path)
    }

    /// How an operator's run reaches the host of an archive.
    fn reach(&self, to: &inventory::Destination, target: &SshTarget) -> (SshAddress, SshOptions) {
        let files = |paths: &[PathBuf], usual: &[&str]| -> Vec<PathBuf> {
            if paths.is_empty() {
                let home = self.environment.home.join(".ssh");
                return usual.iter().map(|name| home.join(name)).collect();
            }
            paths.iter().map(|path| self.path(path)).collect()
        };
        let identities = match &to.credentials {
            Some(Credentials::File(key)) => vec![self.path(key)],
            _ => files(&self.ssh.identity, &["id_ed25519", "id_ecdsa", "id_rsa"]),
        };
        let options = SshOptions {
            identities,
            agent: self.environment.ssh_agent.clone(),
            known_hosts: files(&self.ssh.known_hosts, &["known_hosts"]),
            ..SshOptions::default()
        };
        (SshAddress::new(&target.host, target.port, &target.user).without_root(), options)
    }
}
