//! The line up to the plan: inventory, archive, connections, survey. Every command that reaches a cluster
//! starts here.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::loaded::Loaded;
use crate::report::Reporter;
use crate::vault::{Remembered, Vault};
use engine::{ConnectError, Events, HostKeyProblem, Hosts, Options, SshAddress, SshOptions, Target};
use inventory::{Cluster, SshTarget};
use plan::Answers;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use step::{HostId, Secret};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A survey takes a second; a node that needs longer than this is not well.
const SURVEY: Duration = Duration::from_secs(30);

/// What a command knows before it decides.
pub struct Session {
    /// The inventory.
    pub loaded: Loaded,
    /// The archive.
    pub vault: Vault,
    /// What it gave back, if it holds anything.
    pub remembered: Option<Remembered>,
    /// Connections to the nodes that let us in.
    pub hosts: Hosts,
    /// Why the others did not.
    pub absent: BTreeMap<HostId, Absent>,
    /// What the nodes answered.
    pub answers: Answers,
    /// Where events go.
    pub events: Events,
    /// When the nodes were asked: none of their clocks may be behind it.
    pub now: OffsetDateTime,
}

/// Why a node did not answer, in words.
pub struct Absent {
    why: String,
    hint: Option<String>,
}

impl Absent {
    /// An engine's error names its host, and so does whoever tells this.
    fn new(host: &HostId, error: &dyn std::error::Error, hint: Option<String>) -> Self {
        let why = crate::failure::chain(error);
        let why = why.strip_prefix(&format!("{host}: ")).unwrap_or(&why).to_owned();
        Self { why, hint }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Session {
    /// Opens everything, in the order of the line.
    pub async fn open(
        args: &cli::Cluster,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        let loaded = Loaded::read(&args.file.inventory, report)?;
        let vault = Vault::new(&loaded, &args.identity, args.trust_on_first_use, environment)?;
        Self::reach(loaded, vault, args, None, environment, report).await
    }

    /// The same with an inventory and an archive that are there already. In a rebuild, host keys of nodes that were
    /// installed anew (or of `all`) are not the archive's.
    pub async fn reach(
        loaded: Loaded,
        vault: Vault,
        args: &cli::Cluster,
        reinstalled: Option<&[String]>,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        let remembered = vault.open()?;
        Self::of(loaded, (vault, remembered), args, reinstalled, environment, report).await
    }

    /// The same with an archive that was opened. The host keys that it remembers are the only ones that are believed.
    pub async fn of(
        loaded: Loaded,
        (vault, remembered): (Vault, Option<Remembered>),
        args: &cli::Cluster,
        reinstalled: Option<&[String]>,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        let events = report.listen(journal(&loaded, environment));
        let anew = |name: &String| {
            reinstalled.is_some_and(|list| list.iter().any(|one| one == name || one == "all"))
        };
        let mut pinned = remembered.as_ref().map_or_else(BTreeMap::new, |archive| archive.host_keys.clone());
        pinned.retain(|name, _| !anew(name));
        let (hosts, failed) = connect(&loaded, &pinned, args, environment, &events).await?;
        let mut absent = BTreeMap::new();
        for (host, error) in failed {
            let hint = hint(&error, &host, remembered.is_some(), reinstalled.is_some());
            absent.insert(host.clone(), Absent::new(&host, &error, hint));
        }
        let mut answers = Answers::new();
        let now = OffsetDateTime::now_utc();
        for (host, answer) in engine::ask_all(&hosts, &plan::ask::survey::survey(), SURVEY).await {
            match answer {
                Ok(answer) => drop(answers.insert(host, answer)),
                Err(error) => {
                    drop(absent.insert(host.clone(), Absent::new(&host, &error, error.hint())));
                }
            }
        }
        Ok(Self { loaded, vault, remembered, hosts, absent, answers, events, now })
    }

    /// The wanted cluster.
    pub fn cluster(&self) -> &Cluster {
        self.loaded.cluster()
    }

    /// Host keys by node: those that the archive knows, and those that nodes showed today.
    pub async fn host_keys(&self) -> BTreeMap<String, String> {
        let mut keys =
            self.remembered.as_ref().map(|remembered| remembered.host_keys.clone()).unwrap_or_default();
        let today = self.hosts.host_keys().await.into_iter();
        keys.extend(today.map(|(host, key)| (host.as_str().to_owned(), key)));
        keys
    }

    /// The epoch whose cluster is wanted.
    pub fn epoch(&self) -> u64 {
        self.remembered.as_ref().map_or(1, |remembered| remembered.holding().epoch)
    }

    /// What stands.
    pub fn standing(&self) -> plan::Standing {
        let known = self.remembered.as_ref().map(Remembered::known);
        plan::standing(self.cluster(), known.as_ref(), &self.answers)
    }

    /// That these nodes were stopped, and by which epoch.
    pub fn fenced(&self, nodes: &[(HostId, String)]) -> Failure {
        let list: String = nodes.iter().map(|(host, by)| format!("\n  {host} was fenced by {by}")).collect();
        self.with_absent(Failure::refused(format!("the cluster is fenced, and stays down:{list}")).hint(
            "its data and manifests lie on the nodes (/var/lib/etcd, /var/lib/rekindle/fenced); `rekindle rebuild` will make the cluster again from the archive",
        ))
    }

    /// A control plane whose apiserver answers.
    pub fn any_control_plane(&self) -> Result<HostId, Failure> {
        let ready = self
            .cluster()
            .control_planes()
            .map(|node| HostId::new(&node.name))
            .find(|host| self.answers.get(host).is_some_and(|answer| answer.today.api_ready));
        ready.ok_or_else(|| {
            if let plan::Standing::Fenced(nodes) = self.standing() {
                return self.fenced(&nodes);
            }
            let failure = Failure::refused("no control plane's apiserver answers").exit(Exit::Unknown);
            if self.absent.is_empty() {
                return failure.hint("`rekindle up` builds the cluster, or says what stands in the way");
            }
            self.with_absent(failure)
        })
    }

    /// Adds why nodes are absent to a failure. A hint that is the same for all of them is given once.
    pub fn with_absent(&self, mut failure: Failure) -> Failure {
        let hints: BTreeSet<&String> =
            self.absent.values().filter_map(|absent| absent.hint.as_ref()).collect();
        let once = failure.hint.is_none() && hints.len() == 1;
        for (host, absent) in &self.absent {
            failure.message.push_str(&format!("\n  {host}: {absent}"));
            if let Some(hint) = absent.hint.as_ref().filter(|_| !once) {
                failure.message.push_str(&format!(" ({hint})"));
            }
        }
        failure.maybe_hint(hints.first().filter(|_| once).copied())
    }
}

/// What a person can do about a node that did not let us in.
fn hint(error: &ConnectError, host: &HostId, archived: bool, rebuilding: bool) -> Option<String> {
    let anew = if rebuilding {
        format!("--reinstalled {host} (or `all`) lets known_hosts or --accept-new decide")
    } else {
        "give it its old /etc/ssh/ssh_host_* back, or another name in the inventory".into()
    };
    match error {
        ConnectError::HostKey { problem: HostKeyProblem::Changed { known, .. }, .. }
            if archived && known.iter().all(|known| known.ends_with("(pinned)")) =>
        {
            Some(format!(
                "the archive holds the key of {host}: if the machine was installed anew, {anew}; if not, somebody may be between you and it"
            ))
        }
        _ => error.hint(),
    }
}

/// `~/.local/state/rekindle/journal/NAME.jsonl`, for reports; without it nothing is worse.
fn journal(loaded: &Loaded, environment: &Environment) -> Option<engine::Journal> {
    let folder = environment.state.join("journal");
    environment.make_folder(&folder).ok()?;
    let now = || OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    engine::Journal::open(&folder.join(format!("{}.jsonl", loaded.cluster().name)), now(), now).ok()
}

/// As `known_hosts` has it.
pub fn pattern(target: &SshTarget) -> String {
    match target.port {
        22 => target.host.clone(),
        port => format!("[{}]:{port}", target.host),
    }
}

/// Where a host is, and by way of which other one.
pub fn address(target: &SshTarget, bastion: Option<&SshTarget>) -> SshAddress {
    let address = SshAddress::new(&target.host, target.port, &target.user);
    match bastion {
        Some(bastion) => address.via(SshAddress::new(&bastion.host, bastion.port, &bastion.user)),
        None => address,
    }
}

async fn connect(
    loaded: &Loaded,
    pinned: &BTreeMap<String, String>,
    args: &cli::Cluster,
    environment: &Environment,
    events: &Events,
) -> Result<(Hosts, Vec<(HostId, engine::ConnectError)>), Failure> {
    let cluster = loaded.cluster();
    let ssh = &cluster.ssh;
    let bastion = ssh.bastion.as_ref();
    let targets: Vec<Target> = cluster
        .nodes
        .iter()
        .map(|node| Target::ssh(HostId::new(&node.name), address(&node.ssh, bastion)))
        .collect();
    let pins = pinned
        .iter()
        .filter_map(|(name, key)| cluster.node(name).map(|node| (pattern(&node.ssh), key.clone())));
    let way = Way {
        ssh,
        folder: &loaded.folder,
        accept_new: args.accept_new,
        sudo_password_file: args.sudo_password_file.as_deref(),
        within: SshOptions::default().connect_within,
    };
    reach(targets, &way, pins.collect(), environment, events).await
}

/// How hosts are reached.
pub struct Way<'a> {
    /// Keys, known hosts, a bastion.
    pub ssh: &'a inventory::Ssh,
    /// Relative paths start here.
    pub folder: &'a Path,
    /// As on the command line.
    pub accept_new: bool,
    /// As on the command line.
    pub sudo_password_file: Option<&'a Path>,
    /// From the first packet to the accepted login.
    pub within: Duration,
}

/// Connects to hosts; those of an inventory or, before there is one, those that somebody named.
pub async fn reach(
    targets: Vec<Target>,
    way: &Way<'_>,
    pinned: Vec<(String, String)>,
    environment: &Environment,
    events: &Events,
) -> Result<(Hosts, Vec<(HostId, ConnectError)>), Failure> {
    let Way { ssh, folder, .. } = way;
    let files = |paths: &[PathBuf], usual: &[&str]| -> Vec<PathBuf> {
        if paths.is_empty() {
            return usual.iter().map(|name| environment.home.join(".ssh").join(name)).collect();
        }
        paths.iter().map(|path| environment.path(folder, path)).collect()
    };
    let sudo_password = match way.sudo_password_file {
        None => None,
        Some(path) => {
            let text = std::fs::read(path)
                .map_err(|error| crate::failure::file_error("cannot be read", path, &error))?;
            Some(Secret::new(text.strip_suffix(b"\n").unwrap_or(&text)))
        }
    };
    let options = SshOptions {
        identities: files(&ssh.identity, &["id_ed25519", "id_ecdsa", "id_rsa"]),
        agent: environment.ssh_agent.clone(),
        known_hosts: files(&ssh.known_hosts, &["known_hosts"]),
        pinned,
        accept_new: way.accept_new,
        sudo_password,
        connect_within: way.within,
        ..SshOptions::default()
    };
    let (hosts, failed) =
        Hosts::connect(targets, Options { ssh: options, ..Options::default() }, events).await;
    // A file of ours that can't be used is no node's fault.
    let ours =
        |error: &ConnectError| matches!(error, ConnectError::KnownHosts { .. } | ConnectError::Pinned { .. });
    match failed.iter().find(|(_, error)| ours(error)) {
        Some((_, error)) => Err(Failure::because(error).maybe_hint(error.hint())),
        None => Ok((hosts, failed)),
    }
}
