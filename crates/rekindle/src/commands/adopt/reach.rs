//! The nodes of a cluster that somebody else made: from a few hosts to all of them, and what each says.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::report::Reporter;
use crate::session::{self, Way};
use engine::{Events, Hosts, SshOptions, Target};
use inventory::{Ssh, SshTarget};
use plan::adopt::{FILES, Found, Seen, SeenNode, ask_cluster, ask_node, named};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use step::HostId;

/// One question.
const WITHIN: Duration = Duration::from_secs(60);

/// All that was read.
pub struct Reached {
    /// By the API.
    pub seen: Seen,
    /// By each control plane that let us in.
    pub found: BTreeMap<String, Found>,
    /// How each node is reached.
    pub targets: BTreeMap<String, SshTarget>,
    /// Nodes that did not let us in, and why.
    pub absent: BTreeMap<String, String>,
}

/// Reads it; nothing is changed anywhere.
pub async fn reach(
    args: &cli::Adopt,
    folder: &Path,
    environment: &Environment,
    report: &Reporter,
) -> Result<Reached, Failure> {
    let read = |text: &String| {
        text.parse::<SshTarget>()
            .map_err(|why| Failure::refused(why).hint("--ssh USER@HOST, or USER@HOST:PORT"))
    };
    let given: Vec<SshTarget> = args.ssh.iter().map(read).collect::<Result<_, _>>()?;
    let ssh = Ssh {
        identity: super::keys(args),
        known_hosts: vec!["known_hosts".into(), "~/.ssh/known_hosts".into()],
        bastion: args.bastion.as_ref().map(read).transpose()?,
    };
    let way = Way {
        ssh: &ssh,
        folder,
        accept_new: args.accept_new,
        sudo_password_file: args.sudo_password_file.as_deref(),
        within: SshOptions::default().connect_within,
    };
    let events = report.listen(None);
    let line = Line { way, environment, events };
    let (seen, targets) = line.cluster(&given).await?;
    let (found, absent) = line.nodes(&seen, &targets).await?;
    Ok(Reached { seen, found, targets, absent })
}

struct Line<'a> {
    way: Way<'a>,
    environment: &'a Environment,
    events: Events,
}

impl Line<'_> {
    async fn connect(
        &self,
        targets: impl Iterator<Item = (String, &SshTarget)>,
    ) -> Result<(Hosts, BTreeMap<String, String>), Failure> {
        let bastion = self.way.ssh.bastion.as_ref();
        let targets =
            targets.map(|(id, target)| Target::ssh(HostId::new(id), session::address(target, bastion)));
        let reached =
            session::reach(targets.collect(), &self.way, Vec::new(), self.environment, &self.events);
        let (hosts, failed) = reached.await?;
        let why = |(host, error): (HostId, engine::ConnectError)| {
            let said = chain(&error);
            let said = said.strip_prefix(&format!("{host}: ")).unwrap_or(&said).to_owned();
            let hint = error.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
            (host.as_str().to_owned(), said + &hint)
        };
        Ok((hosts, failed.into_iter().map(why).collect()))
    }

    /// What the API says by way of the first host that is a control plane, and which node each host is.
    async fn cluster(&self, given: &[SshTarget]) -> Result<(Seen, BTreeMap<String, SshTarget>), Failure> {
        let by_id: BTreeMap<String, &SshTarget> = given
            .iter()
            .map(|target| (format!("{}@{}:{}", target.user, target.host, target.port), target))
            .collect();
        let (hosts, mut refused) =
            self.connect(by_id.iter().map(|(id, target)| (id.clone(), *target))).await?;
        let mut seen = None;
        for host in hosts.ids() {
            match engine::ask(&hosts, host, &ask_cluster(), WITHIN).await {
                Ok(Ok(answer)) => {
                    seen = Some(answer);
                    break;
                }
                Ok(Err(why)) => drop(refused.insert(host.as_str().to_owned(), why)),
                Err(error) => drop(refused.insert(host.as_str().to_owned(), chain(&error))),
            }
        }
        let Some(seen) = seen else {
            let list: String = refused.iter().map(|(host, why)| format!("\n  {host}: {why}")).collect();
            return Err(Failure::refused(format!("no cluster to adopt was found:{list}"))
                .hint("--ssh names a control plane that kubeadm made, whose apiserver answers"));
        };
        let mut targets = BTreeMap::new();
        for (host, answer) in engine::ask_all(&hosts, &ask_node([]), WITHIN).await {
            let answer = answer.map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?;
            let is_it = |node: &&SeenNode| node.addresses.iter().any(|own| answer.addresses.contains(own));
            let node = seen.nodes.iter().find(is_it).ok_or_else(|| {
                Failure::refused(format!("{host}: none of the cluster's nodes has one of its addresses"))
            })?;
            if let Some(target) = by_id.get(host.as_str()) {
                targets.insert(node.name.clone(), (*target).clone());
            }
        }
        // The others are reached as those are, at the address that nodes use among themselves.
        let user = given.first().map_or("root", |target| target.user.as_str());
        for node in &seen.nodes {
            if let Some(address) = node.addresses.first()
                && !targets.contains_key(&node.name)
            {
                let target = SshTarget { host: address.to_string(), port: 22, user: user.to_owned() };
                targets.insert(node.name.clone(), target);
            }
        }
        Ok((seen, targets))
    }

    /// What each control plane is made of; workers are only greeted.
    async fn nodes(
        &self,
        seen: &Seen,
        targets: &BTreeMap<String, SshTarget>,
    ) -> Result<(BTreeMap<String, Found>, BTreeMap<String, String>), Failure> {
        let (hosts, absent) =
            self.connect(targets.iter().map(|(name, target)| (name.clone(), target))).await?;
        let control_planes: BTreeSet<&str> = seen
            .nodes
            .iter()
            .filter(|node| node.is_control_plane() && hosts.contains(&HostId::new(&node.name)))
            .map(|node| node.name.as_str())
            .collect();
        let first: Vec<_> = control_planes.iter().map(|name| (HostId::new(*name), ask_node(FILES))).collect();
        let mut found = answers(engine::ask_each(&hosts, &first, WITHIN).await)?;
        let second: Vec<_> = found
            .iter()
            .map(|(name, found)| (HostId::new(name), named(found)))
            .filter(|(_, files)| !files.is_empty())
            .map(|(host, files)| (host, ask_node(files.iter().map(String::as_str))))
            .collect();
        for (name, more) in answers(engine::ask_each(&hosts, &second, WITHIN).await)? {
            if let Some(found) = found.get_mut(&name) {
                found.files.extend(more.files);
                found.other.extend(more.other);
            }
        }
        Ok((found, absent))
    }
}

fn answers(
    answers: BTreeMap<HostId, Result<Found, engine::AskError>>,
) -> Result<BTreeMap<String, Found>, Failure> {
    let one = |(host, answer): (HostId, Result<Found, engine::AskError>)| match answer {
        Ok(found) => Ok((host.as_str().to_owned(), found)),
        Err(error) => Err(Failure::because(&error).maybe_hint(error.hint())),
    };
    answers.into_iter().map(one).collect()
}
