//! The survey: one question a node, whose answer holds its facts (which cannot change) and what stands on
//! it today.

use crate::programs::with_etcd_programs;
use std::collections::{BTreeMap, BTreeSet};
use step::{Ask, Output, Unreadable};

/// What a node answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What cannot change.
    pub facts: Facts,
    /// What stands there today.
    pub today: Today,
}

/// What cannot change while we work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `ID` of os-release.
    pub os: String,
    /// `VERSION_ID` of os-release.
    pub os_version: String,
    /// `uname -m`.
    pub arch: String,
    /// The machine's own host name, which need not be the node's name.
    pub hostname: String,
    /// /etc/machine-id.
    pub machine_id: String,
    /// Whether systemd is the init.
    pub systemd: bool,
    /// 1 or 2.
    pub cgroup: u8,
    /// In KiB.
    pub memory: u64,
    /// Online processors.
    pub cpus: u32,
    /// Whether scripts run as root (after sudo).
    pub root: bool,
    /// Programs that were found.
    pub has: BTreeSet<String>,
}

/// What stands on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Today {
    /// Unix time, in seconds.
    pub time: i64,
    /// Swap in use or configured, in KiB.
    pub swap: u64,
    /// Free space below /var/lib, in KiB.
    pub disk: u64,
    /// TCP ports that something listens on.
    pub listens: BTreeSet<u16>,
    /// Files that only a cluster leaves behind.
    pub traces: Vec<String>,
    /// The cluster whose node this is, by the mark that `up` leaves.
    pub cluster: Option<String>,
    /// The epoch that this node was made in.
    pub epoch: Option<u64>,
    /// Where there is no mark: `sha256:` and the hash of the cluster CA's public key, as it lies there.
    pub ca: Option<String>,
    /// By which epoch this node was stopped, in words.
    pub fenced: Option<String>,
    /// Whether an etcd member's log is there: a member that was started on an empty disk leaves all but that.
    pub etcd_data: bool,
    /// etcd's members, where this node's own member answers with a quorum behind it.
    pub members: Option<Vec<Member>>,
    /// Whether this node's own apiserver is ready.
    pub api_ready: bool,
    /// The version of this node's own apiserver, with its `v`; empty where it does not answer.
    pub api_version: String,
    /// Nodes by name and the version of their kubelet, as this node's apiserver sees them.
    pub nodes: BTreeMap<String, String>,
}

/// An etcd member as `etcdctl member list` prints it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Member {
    /// Hexadecimal.
    pub id: String,
    /// Empty while it was never started.
    pub name: String,
    /// Its first peer URL.
    pub peer_url: String,
    /// Not yet a voter.
    pub learner: bool,
}

/// The survey's question.
pub fn survey() -> Ask<Answer> {
    Ask { script: with_etcd_programs(include_str!("survey.sh")), parse }
}

fn parse(output: &Output) -> Result<Answer, Unreadable> {
    if output.status != 0 {
        return Err(Unreadable(format!("exit status {}: {}", output.status, output.stderr.trim())));
    }
    let mut answer = Answer::default();
    for line in output.stdout.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        read(&mut answer, key, value.trim())?;
    }
    if answer.facts.arch.is_empty() || answer.today.time == 0 {
        return Err(Unreadable("the answer was cut off".into()));
    }
    Ok(answer)
}

fn read(answer: &mut Answer, key: &str, value: &str) -> Result<(), Unreadable> {
    let Answer { facts, today } = answer;
    match key {
        "os" => facts.os = value.into(),
        "os-version" => facts.os_version = value.into(),
        "arch" => facts.arch = value.into(),
        "hostname" => facts.hostname = value.into(),
        "machine-id" => facts.machine_id = value.into(),
        "init" => facts.systemd = value == "systemd",
        "cgroup" => facts.cgroup = number(key, value)?,
        "memory" => facts.memory = number(key, value)?,
        "cpus" => facts.cpus = number(key, value)?,
        "user" => facts.root = value == "0",
        "has" => drop(facts.has.insert(value.into())),
        "time" => today.time = number(key, value)?,
        "swap" => today.swap = number(key, value)?,
        "disk" => today.disk = number(key, value)?,
        "listens" => drop(today.listens.insert(number(key, value)?)),
        "trace" => {
            today.etcd_data |= value.ends_with(".wal");
            today.traces.push(value.into());
        }
        "cluster" => today.cluster = Some(value.into()),
        "epoch" => today.epoch = Some(number(key, value)?),
        "ca" => today.ca = Some(value.into()),
        "fenced" => today.fenced = Some(value.into()),
        "member" => today.members.get_or_insert_default().push(member(value)?),
        "apiserver" => today.api_ready = value == "ready",
        "api-version" => today.api_version = value.into(),
        "node" => {
            let (name, kubelet) = value.split_once(' ').unwrap_or((value, ""));
            today.nodes.insert(name.into(), kubelet.into());
        }
        _ => return Err(Unreadable(format!("unknown line `{key}`"))),
    }
    Ok(())
}

pub(super) fn number<N: std::str::FromStr>(key: &str, value: &str) -> Result<N, Unreadable> {
    value.parse().map_err(|_| Unreadable(format!("`{key}` is no number: `{value}`")))
}

/// One line of `etcdctl member list`: id, status, name, peer URLs, client URLs, is learner.
pub(super) fn member(line: &str) -> Result<Member, Unreadable> {
    let fields: Vec<&str> = line.split(", ").collect();
    let [id, _status, name, peers, _clients, learner] = fields[..] else {
        return Err(Unreadable(format!("not a line of the member list: `{line}`")));
    };
    Ok(Member {
        id: id.into(),
        name: name.into(),
        peer_url: peers.split(',').next().unwrap_or_default().into(),
        learner: learner == "true",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stdout: &str) -> Result<Answer, Unreadable> {
        parse(&Output { status: 0, stdout: stdout.into(), stderr: String::new() })
    }

    #[test]
    fn an_answer_is_understood() {
        let text = "os debian\nos-version 12\nuser 0\narch x86_64\nhostname box\nmachine-id ab\ninit systemd\n\
                    cgroup 1\ntime 1795000000\nmemory 2048\nswap 0\ncpus 2\ndisk 99\nhas curl\n\
                    trace /var/lib/etcd/member/wal/0000000000000000-0000000000000000.wal\nlistens 6443\n\
                    fenced epoch 2, claimed by ada on laptop at 2026-11-24T12:00:00Z\ncluster c0ffee\nepoch 2\nca sha256:ab\n\
                    member 8e9e05c52164694d, started, cp1, https://10.0.0.1:2380, https://10.0.0.1:2379, false\n\
                    member 9e9e05c52164694d, unstarted, , https://10.0.0.2:2380, , true\n\
                    apiserver ready\napi-version v1.36.3\nnode cp1 v1.36.3\nnode w1 \n";
        insta::assert_debug_snapshot!(answer(text).unwrap());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (text, why) in [
            ("", "cut off"),
            ("os debian\n", "cut off"),
            ("cpus many\n", "no number"),
            ("bogus 1\n", "unknown line"),
            ("member a, b\n", "member list"),
        ] {
            let error = answer(text).unwrap_err().0;
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let failed = Output { status: 1, ..Output::default() };
        assert!(parse(&failed).is_err());
    }
}
