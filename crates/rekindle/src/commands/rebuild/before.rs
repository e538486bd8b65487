//! Control planes of the cluster before that are in no inventory any more, under their name or at their address, and still
//! answer over SSH: those that carry this cluster's mark are stopped before the new cluster is laid, and so are proven to
//! be no more. One that is another cluster's by now is left alone.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::session::{Session, Way, address, pattern, reach};
use crate::vault::Remembered;
use engine::{Blobs, Hosts, Outcome, Settings, Target};
use inventory::Role;
use plan::Rebuild;
use std::time::Duration;
use step::HostId;

/// Most of them are gone: nobody waits long for those.
const WITHIN: Duration = Duration::from_secs(5);

/// What answers of them.
pub struct Before {
    hosts: Hosts,
    /// Stopped, once the epoch is claimed: names of the generation's own inventory.
    pub stopped: Vec<String>,
    /// Left alone: what, and why.
    pub left_alone: Vec<String>,
}

impl Before {
    /// Asks them. Their host keys are the archived ones: no other machine is let into this.
    pub async fn look(
        session: &Session,
        then: &Remembered,
        epoch: u64,
        args: &cli::Cluster,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let today = session.cluster();
        let is_today = |ssh: &inventory::SshTarget| {
            today.nodes.iter().any(|node| (&node.ssh.host, node.ssh.port) == (&ssh.host, ssh.port))
        };
        let nodes = then.cluster.iter().flat_map(|cluster| &cluster.nodes);
        let machines: Vec<_> = nodes
            .filter(|node| node.role != Role::Worker && !is_today(&node.ssh))
            .filter_map(|node| Some((node, then.host_keys.get(&node.name)?.clone())))
            .collect();
        let bastion = today.ssh.bastion.as_ref();
        let target = |node: &inventory::Node| Target::ssh(id(&node.name), address(&node.ssh, bastion));
        let targets = machines.iter().map(|(node, _)| target(node)).collect();
        let pinned = machines.iter().map(|(node, key)| (pattern(&node.ssh), key.clone())).collect();
        let way = Way {
            ssh: &today.ssh,
            folder: &session.loaded.folder,
            accept_new: false,
            sudo_password_file: args.sudo_password_file.as_deref(),
            within: WITHIN,
        };
        // Which of them do not answer is no news.
        let (quiet, _) = tokio::sync::mpsc::unbounded_channel();
        let (hosts, _) = reach(targets, &way, pinned, environment, &quiet).await?;
        let known = then.known();
        let mut before = Self { hosts, stopped: Vec::new(), left_alone: Vec::new() };
        for (host, answer) in engine::ask_all(&before.hosts, &plan::ask::survey::survey(), WITHIN * 4).await {
            let name = host.as_str().trim_start_matches(PREFIX).to_owned();
            let left_alone = match &answer {
                Ok(answer) if !known.owns(answer) && answer.today.traces.is_empty() => {
                    format!("{name} has nothing of this cluster any more")
                }
                Ok(answer) if !known.owns(answer) => format!("{name} is another cluster's by now"),
                Ok(answer) if answer.today.epoch.is_none_or(|own| own < epoch) => {
                    before.stopped.push(name);
                    continue;
                }
                Ok(_) => format!("{name} was made in this epoch"),
                Err(error) => format!("{name} answers and can't be asked: {error}"),
            };
            before.left_alone.push(left_alone);
        }
        Ok(before)
    }

    /// Stops them. Nothing of them is deleted.
    ///
    /// # Errors
    /// One could not be stopped: nothing was laid yet.
    pub async fn fence(&self, rebuild: &Rebuild, session: &Session) -> Result<(), Failure> {
        if self.stopped.is_empty() {
            return Ok(());
        }
        let hosts: Vec<HostId> = self.stopped.iter().map(|name| id(name)).collect();
        let blobs = Blobs::default();
        let settings = Settings { preview: None, blobs: &blobs, overwrite: false };
        let plan = plan::fence_before(rebuild, &hosts);
        let done = engine::apply(&self.hosts, &plan, &settings, &session.events).await;
        if done.is_complete() {
            return Ok(());
        }
        let failed = done.failures().filter_map(|(_, lane, step)| match &step.outcome {
            Outcome::Failed(failure) => Some(format!("\n  {}: {}", lane.on, failure.reason)),
            _ => None,
        });
        let lost = done.unknown.iter().chain(&done.dropped).map(|(host, why)| format!("\n  {host}: {why}"));
        let list: String = failed.chain(lost).collect();
        Err(Failure::refused(format!("an old control plane could not be stopped:{list}"))
            .exit(Exit::Partly)
            .hint("switch it off and run the same command again: nothing was laid yet"))
    }
}

const PREFIX: &str = "old/";

fn id(name: &str) -> HostId {
    HostId::new(format!("{PREFIX}{name}"))
}
