//! What is measured: each side in a process of its own, which tells what it cost.

use crate::bare::bare;
use crate::{fleet, work};
use engine::{Blobs, Hosts, Layout, Options, Outcome, Settings, SshAddress, SshOptions, Target};
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};
use step::HostId;

/// Who does the work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Connect,
    True,
    Plain,
    Careful,
    CarefulAgain,
    First,
    Second,
}

impl Side {
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::True,
        Self::Plain,
        Self::Careful,
        Self::CarefulAgain,
        Self::First,
        Self::Second,
    ];

    pub fn name(self) -> &'static str {
        ["connect", "true", "plain", "careful", "careful-again", "first", "second"][self as usize]
    }

    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|side| side.name() == name).expect("a side")
    }

    pub fn needs_fresh_hosts(self) -> bool {
        matches!(self, Self::Plain | Self::Careful | Self::First)
    }
}

/// What a side has cost.
#[derive(Clone, Default)]
pub struct Cost {
    /// In seconds, from the first line of its program to the last answer.
    pub wall: f64,
    /// User and system time of its process alone.
    pub cpu_ms: f64,
    /// The same of all that it set off on the hosts.
    pub hosts_ms: f64,
    /// Peak resident memory.
    pub peak_mib: f64,
    /// Bytes sent, where the side counts them.
    pub sent: u64,
    pub changed: usize,
    pub unchanged: usize,
}

/// The longest that a side may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a side in a new process.
pub fn spawn(side: Side, hosts: usize) -> Cost {
    let program = std::env::current_exe().expect("this program");
    let output =
        Command::new(program).args(["side", side.name(), &hosts.to_string()]).output().expect("a side");
    assert!(output.status.success(), "`{}`: {}", side.name(), String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("what it cost");
    let number = |name: &str| told[name].as_f64().expect("a number");
    let count = |name: &str| told[name].as_u64().expect("a count") as usize;
    Cost {
        wall: number("wall"),
        cpu_ms: number("cpu_ms"),
        hosts_ms: 0.0,
        peak_mib: number("peak_mib"),
        sent: count("sent") as u64,
        changed: count("changed"),
        unchanged: count("unchanged"),
    }
}

/// Runs a side in this process, and tells its cost.
pub fn run(side: Side, hosts: usize) {
    let start = Instant::now();
    // The same runtime as the program's.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let done = async {
        let exec = match side {
            Side::First => return first(hosts).await,
            Side::Second => return second(hosts).await,
            Side::Connect => None,
            Side::True => Some(("true", String::new())),
            Side::Plain => Some(("exec sh", work::plain())),
            Side::Careful | Side::CarefulAgain => Some(("exec sh", work::careful())),
        };
        bare(hosts, exec).await;
        Cost::default()
    };
    let done = runtime.block_on(async { tokio::time::timeout(LIMIT, done).await.expect("in time") });
    let wall = start.elapsed().as_secs_f64();
    let cost = json!({
        "wall": wall, "cpu_ms": cpu_ms(), "peak_mib": peak_mib(),
        "sent": done.sent, "changed": done.changed, "unchanged": done.unchanged,
    });
    println!("{cost}");
}

/// Every thread's time on a core. The runtime still holds all of its threads.
fn cpu_ms() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("threads").flatten();
    let nanoseconds = |thread: std::fs::DirEntry| {
        let told = std::fs::read_to_string(thread.path().join("schedstat")).expect("schedstat");
        told.split(' ').next().and_then(|word| word.parse::<f64>().ok()).expect("a time")
    };
    threads.map(nanoseconds).sum::<f64>() / 1e6
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

fn options() -> Options {
    Options {
        ssh: SshOptions {
            identities: vec![fleet::identity().into()],
            pinned: vec![("*".to_owned(), fleet::host_key())],
            connect_within: LIMIT,
            ..SshOptions::default()
        },
        layout: Layout { path: "/opt:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(), ..Layout::default() },
        ..Options::default()
    }
}

async fn connect(hosts: usize) -> Hosts {
    let target = |host| {
        let address = SshAddress::new(fleet::address(host), fleet::PORT, "root");
        Target::ssh(HostId::new(format!("h{host:03}")), address)
    };
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    let (connected, failed) = Hosts::connect((0..hosts).map(target).collect(), options(), &events).await;
    assert!(failed.is_empty(), "{}", failed[0].1);
    connected
}

fn sent(hosts: &Hosts) -> u64 {
    hosts.traffic().values().map(|traffic| traffic.sent).sum()
}

async fn first(hosts: usize) -> Cost {
    let hosts = connect(hosts).await;
    let plan = work::plan(&hosts.ids().cloned().collect::<Vec<_>>());
    let blobs = Blobs::new();
    let settings = Settings { preview: None, blobs: &blobs, overwrite: false };
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    let report = engine::apply(&hosts, &plan, &settings, &events).await;
    assert!(report.is_complete(), "{:?}", report.failures().next());
    let unchanged = report.steps().filter(|(_, _, step)| step.outcome == Outcome::Unchanged).count();
    Cost { changed: report.changed(), unchanged, sent: sent(&hosts), ..Cost::default() }
}

async fn second(hosts: usize) -> Cost {
    let hosts = connect(hosts).await;
    let plan = work::plan(&hosts.ids().cloned().collect::<Vec<_>>());
    let preview = engine::preview(&hosts, &plan, false).await;
    assert!(preview.failed().is_empty(), "{:?}", preview.failed());
    let open = preview.steps().filter(|(_, _, _, step)| step.found != engine::Found::Done).count();
    Cost { changed: open, unchanged: preview.steps().count() - open, sent: sent(&hosts), ..Cost::default() }
}
