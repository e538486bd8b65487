//! What a person sees before anything is claimed or touched, and agrees to: what comes back, what is lost, what is in no
//! archive, what happens to each machine.

use super::before::Before;
use super::old::Old;
use super::renewal::Renewal;
use crate::cli;
use crate::commands::archive::{age, in_words};
use crate::commands::drill;
use crate::failure::Failure;
use crate::report::{Reporter, duration};
use crate::session::Session;
use archive::Generation;
use inventory::{Cni, Role};
use plan::Objects;
use plan::ask::pods::Pod;
use plan::drill::Drilled;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use step::HostId;
use time::OffsetDateTime;

/// All that it is made from.
pub struct Show<'a> {
    /// Inventory, archive, answers.
    pub session: &'a Session,
    /// What comes back.
    pub chosen: &'a Generation,
    /// What was read of it here.
    pub drilled: &'a Drilled,
    /// What it says.
    pub objects: &'a Objects,
    /// The machines of before.
    pub old: &'a Old,
    /// Pods on living workers that the generation does not know, by node.
    pub newer: &'a BTreeMap<HostId, Vec<Pod>>,
    /// Control planes of before that are in no inventory and answer.
    pub before: Option<&'a Before>,
    /// Who may do what, as it changed.
    pub since: &'a str,
    /// What is made anew.
    pub renewal: &'a Renewal,
    /// The epoch that is claimed.
    pub epoch: u64,
    /// What else there is to know of the choice, a line each.
    pub notes: &'a [String],
    /// What is lost, where it is not what the generation's age says.
    pub lost: Option<&'a str>,
}

impl Show<'_> {
    /// For a person.
    pub fn text(&self) -> String {
        let Self { session, chosen, drilled, objects, old, .. } = self;
        let (now, cluster) = (OffsetDateTime::now_utc(), session.cluster());
        let mut text = format!(
            "{} comes back from generation {}, as epoch {}\n",
            cluster.name,
            in_words(chosen, now),
            self.epoch
        );
        let lost = age(chosen, now)
            .map_or_else(|| "what was written since".into(), |age| format!("the last {}", duration(age)));
        // Writing to a String can't fail.
        let _ = writeln!(text, "  lost: {}", self.lost.unwrap_or(&lost));
        for note in self.notes {
            let _ = writeln!(text, "  {note}");
        }
        let _ = writeln!(text, "  here: {}", drill::words(drilled).replace('\n', "\n  "));
        self.machines(&mut text);
        text.push_str(&self.renewal.text());
        text.push_str(self.since);
        text.push_str("in no archive\n");
        for volume in &objects.volumes {
            let of = volume.claim.as_deref().map_or_else(String::new, |claim| format!(" of {claim}"));
            let _ = write!(text, "  volume {} ({}){of}", volume.name, volume.driver);
            if !volume.nodes.is_empty() {
                let nodes: Vec<String> = volume.nodes.iter().map(|node| self.whereabouts(node)).collect();
                let _ = write!(text, ", on {}", nodes.join(", "));
            }
            text.push('\n');
        }
        if !objects.balancers.is_empty() {
            let list: Vec<&str> = objects.balancers.iter().map(String::as_str).collect();
            let _ = writeln!(text, "  load balancers of {}", list.join(", "));
        }
        text.push_str("  names in your DNS, and what an external KMS, registry or identity provider holds\n");
        if let Some(said) = self.network() {
            let _ = writeln!(text, "{said}");
        }
        for attached in &objects.attached {
            let _ = writeln!(
                text,
                "! volume {attached} was attached: no second node may get it while that one lives"
            );
        }
        for job in &objects.jobs {
            let _ = writeln!(text, "! job {job} had not ended: what ran of it since then runs again");
        }
        for aside in &objects.aside {
            let services: Vec<&str> = aside.services.iter().map(String::as_str).collect();
            let kind = aside.kind.split('.').next().unwrap_or_default();
            let _ = writeln!(text, "set aside until {} answers: {kind} {}", services.join(", "), aside.name);
        }
        for kind in &objects.converted {
            let _ = writeln!(
                text,
                "! {kind}: a webhook converts its objects; until it answers nobody reads them"
            );
        }
        for doubtful in &old.doubtful {
            let _ = writeln!(
                text,
                "! {doubtful} is in the generation and not in the inventory: its Node and pods stay; --fenced {doubtful} where it is switched off for good"
            );
        }
        for witness in &old.witnesses {
            let _ = writeln!(text, "! {witness}");
        }
        text
    }

    /// What becomes of what the pod network knows of nodes.
    fn network(&self) -> Option<String> {
        let Self { session, objects, old, .. } = self;
        let ours = session.cluster().network.cni == Cni::Routes;
        match objects.cni {
            _ if ours || (old.gone.is_empty() && old.doubtful.is_empty()) => None,
            Some(name) => {
                Some(format!("pod network {name}: what it keeps of nodes that are gone goes with them"))
            }
            None => Some(
                "! the pod network is none that we know: look at what it keeps of nodes that are gone".into(),
            ),
        }
    }

    /// Where a volume's node is now.
    fn whereabouts(&self, node: &str) -> String {
        let Self { old, session, .. } = self;
        let what = if old.living.iter().any(|living| living == node) {
            "lives"
        } else if session.cluster().node(node).is_some() {
            "another machine, or an empty one"
        } else {
            "no more"
        };
        format!("{node} ({what})")
    }

    fn machines(&self, text: &mut String) {
        let Self { session, objects, old, newer, .. } = self;
        text.push_str("machines\n");
        for node in &session.cluster().nodes {
            let host = HostId::new(&node.name);
            let Some(answer) = session.answers.get(&host) else {
                let why = session.absent.get(&host).map_or_else(String::new, |why| format!(": {why}"));
                let _ = writeln!(text, "  {:<14} takes no part{why}", node.name);
                continue;
            };
            let what = match node.role {
                _ if old.unknown.contains(&node.name) => {
                    "lives, and the generation does not know it: its pods end".to_owned()
                }
                _ if old.living.contains(&node.name) => {
                    let pods = objects.pods.get(&node.name).map_or(0, BTreeMap::len);
                    format!("lives: its containers go on ({pods} pods)")
                }
                Role::Worker => "joins".into(),
                _ if answer.today.etcd_data && answer.today.epoch != Some(self.epoch) => {
                    "is laid anew; what it has of the old cluster is stopped and moved aside".into()
                }
                _ => "is laid anew".into(),
            };
            let _ = writeln!(text, "  {:<14} {what}", node.name);
            for pod in newer.get(&host).into_iter().flatten() {
                let _ = writeln!(text, "  {:<14}   ends {}: it is newer than the generation", "", pod.name);
            }
        }
        for name in self.before.into_iter().flat_map(|before| &before.stopped) {
            let _ = writeln!(
                text,
                "  {name:<14} answers and is in no inventory: it is stopped first, and its data moved aside"
            );
        }
        for left in self.before.into_iter().flat_map(|before| &before.left_alone) {
            let _ = writeln!(text, "! {left}: it is left alone");
        }
        for name in &old.gone {
            let _ = writeln!(text, "  {name:<14} is gone: its Node and the pods bound to it are removed");
        }
    }
}

/// Shows it, and asks once. Whoever said that the old cluster is gone, or goes on with what was begun, has agreed.
pub fn agree(show: &Show, goes_on: bool, args: &cli::Rebuild, report: &Reporter) -> Result<(), Failure> {
    let (text, name) = (show.text(), &show.session.cluster().name);
    let word = format!("REBUILD-{name}");
    let hint = format!("--yes={word} agrees to it");
    let agreed = goes_on || args.old_cluster_is_gone.is_some() || args.release;
    let answer = match &args.yes {
        Some(yes) => Some(yes.clone()),
        None if agreed => Some(word.clone()),
        None => report.ask(&format!("{text}type {word} to build it again: ")),
    };
    match answer {
        None => Err(Failure::refused(format!("{text}this would build it again")).hint(hint)),
        Some(answer) if answer != word => {
            Err(Failure::refused(format!("{answer:?} is not {word}: nothing was claimed or changed"))
                .hint(hint))
        }
        Some(_) => {
            report.say(text.trim_end());
            Ok(())
        }
    }
}
