//! The engine beside bare russh, on many addresses of one sshd: wall time, this side's CPU a host, peak memory.
//!
//! Every host does the same 20 steps: 5 checks, 5 directories, 5 files, 2 templates, a mode, a link, a line. The
//! sides take turns in one run, each in a process of its own:
//!
//! * `connect`: bare russh, key exchange and login as the engine does them;
//! * `true`: that, and one exec of `true`;
//! * `plain`: that, and one exec of `sh` that reads `plain.sh`: the 20 steps as a person writes them, none checked;
//! * `careful`, `careful-again`: the same with `careful.sh`, by a person who wants to run it twice; on fresh hosts, and
//!   once more;
//! * `first`: the engine on fresh hosts (connect, apply), and `second`: the engine again (connect, preview).
//!
//! sshd listens in namespaces of its own, and each address has its own root folder on a tmpfs: nothing of this
//! machine is touched, and nothing stays. Its MaxStartups is out of the way: with the default, 10, it would refuse
//! most of a crowd, and the pauses of those who come again would be measured. All hosts share this machine's cores
//! with the side that is measured. No systemd runs in those folders: the fake node's stub stands for `systemd-run`.
//!
//! Run: `cargo bench -p tests --bench ssh_engine [-- HOSTS...]`; `--rounds N` sets the rounds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "ssh_engine/bare.rs"]
mod bare;
#[path = "ssh_engine/fleet.rs"]
mod fleet;
#[path = "ssh_engine/sides.rs"]
mod sides;
#[path = "ssh_engine/work.rs"]
mod work;

use fleet::Fleet;
use sides::{Cost, Side};
use std::process::{Command, ExitCode};

const STEPS: usize = 20;
/// Of the steps, how many change a fresh host; the rest are checks.
const CHANGES: usize = 15;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.first().map(String::as_str) {
        Some("side") => sides::run(Side::named(&words[1]), words[2].parse().expect("a number")),
        Some("inside") => bench(&words[1..]),
        _ if !fleet::is_possible() => {
            println!("skipped: it needs Linux, root, unshare, ip and /usr/sbin/sshd")
        }
        _ => return in_namespaces(&words),
    }
    ExitCode::SUCCESS
}

/// Runs this program again where mounts, addresses and processes are its own, and end with it.
fn in_namespaces(words: &[String]) -> ExitCode {
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        // A shell as the first process: it collects the processes that lost their parents.
        .args(["sh", "-c", "ip link set lo up && \"$0\" inside \"$@\"; exit $?"])
        .arg(program)
        .args(words)
        .status()
        .expect("unshare");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bench(words: &[String]) {
    let mut words = words.iter();
    let (mut sizes, mut rounds) = (Vec::new(), 5);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => rounds = words.next().and_then(|word| word.parse().ok()).expect("--rounds N"),
            size => sizes.push(size.parse().unwrap_or_else(|_| panic!("`{size}` is no number of hosts"))),
        }
    }
    if sizes.is_empty() {
        sizes = vec![50, 200];
    }
    let fleet = Fleet::start(sizes.iter().copied().max().unwrap_or(0));
    for hosts in sizes {
        measure(&fleet, hosts, rounds);
    }
}

fn measure(fleet: &Fleet, hosts: usize, rounds: usize) {
    println!("{hosts} hosts, {STEPS} steps each; load {}", load());
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); Side::ALL.len()];
    for round in 1..=rounds {
        for (side, costs) in Side::ALL.into_iter().zip(&mut costs) {
            if side.needs_fresh_hosts() {
                fleet.reset();
            }
            let before = fleet.cpu_ms();
            let mut cost = sides::spawn(side, hosts);
            cost.hosts_ms = fleet.cpu_ms() - before;
            check(side, hosts, &cost);
            costs.push(cost);
        }
        let walls = costs.iter().map(|costs| format!("{:.2}", costs[round - 1].wall));
        println!("  round {round}: {} s; load {}", walls.collect::<Vec<_>>().join(" "), load());
    }
    report(hosts, rounds, &costs);
}

/// What was measured must be the work.
fn check(side: Side, hosts: usize, cost: &Cost) {
    let wanted = match side {
        Side::First => (hosts * CHANGES, hosts * (STEPS - CHANGES)),
        Side::Second => (0, hosts * STEPS),
        _ => (0, 0),
    };
    assert_eq!((cost.changed, cost.unchanged), wanted, "steps changed and unchanged by `{}`", side.name());
}

fn report(hosts: usize, rounds: usize, costs: &[Vec<Cost>]) {
    println!("medians of {rounds} rounds       wall s   CPU ms a host   there   peak MiB   sent KiB a host");
    for (side, costs) in Side::ALL.into_iter().zip(costs) {
        println!(
            "{:14} {:22.3} {:15.2} {:7.1} {:10.1} {:>17}",
            side.name(),
            median(costs, |cost| cost.wall),
            median(costs, |cost| cost.cpu_ms) / hosts as f64,
            median(costs, |cost| cost.hosts_ms) / hosts as f64,
            median(costs, |cost| cost.peak_mib),
            if costs[0].sent == 0 {
                "-".to_owned()
            } else {
                format!("{:.1}", median(costs, |cost| cost.sent as f64) / 1024.0 / hosts as f64)
            },
        );
    }
    let wall = |side: Side| median(&costs[side as usize], |cost| cost.wall);
    for (side, others) in [
        (Side::First, [Side::Careful, Side::Plain, Side::True]),
        (Side::Second, [Side::CarefulAgain, Side::Plain, Side::True]),
    ] {
        let ratios = others.map(|other| format!("{} {:.2}", other.name(), wall(side) / wall(other)));
        println!("{} beside: {}", side.name(), ratios.join(", "));
    }
    println!();
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
