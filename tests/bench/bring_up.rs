//! `rekindle up` against plain `kubeadm init` + joins and against one `kubeadm init`, on the same lab nodes in
//! one run: seconds until all nodes are Ready and until CoreDNS is, as medians of interleaved rounds; and what it
//! cost the controller: round trips, bytes, CPU and memory.
//!
//! Nodes are prepared and hold their images in every way. The clock starts with the process and ends when an
//! observer that asks the first control plane sees it. Run: `cargo bench -p tests --bench bring_up [-- ROUNDS]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../suite/program.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod program;

#[path = "bring_up/cost.rs"]
mod cost;
#[path = "machines.rs"]
mod machines;

use cost::Cost;
use machines::{Machines, load};
use program::Program;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "bench";
/// The longest that one way may take.
const LIMIT: Duration = Duration::from_secs(300);

/// When things were seen, in seconds from the start of the process.
#[derive(Clone, Copy, Default)]
struct Seen {
    returned: f64,
    ready: f64,
    dns: f64,
}

struct Bench {
    machines: Machines,
    /// A file a node with ssh's arguments, for a script.
    arguments: PathBuf,
}

fn main() {
    let rounds: usize = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(5);
    if !Program::can_make_labs() {
        println!("skipped: a lab needs Linux and root");
        return;
    }
    let machines = Machines::make(NAME);
    let arguments = machines.lab.dir().join("ssh");
    let bench = Bench { machines, arguments };
    bench.write_ssh_arguments();
    println!("load before: {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    // The first run prepares the nodes.
    bench.rekindle();
    let (mut ours, mut joins, mut single) = (Vec::new(), Vec::new(), Vec::new());
    let mut costs = Vec::new();
    for round in 1..=rounds {
        bench.reset();
        let (seen, cost) = bench.rekindle();
        ours.push(seen);
        costs.push(cost);
        bench.reset();
        joins.push(bench.kubeadm(false));
        bench.reset();
        single.push(bench.kubeadm(true));
        let seen = [&ours, &joins, &single].map(|seen| line(seen[round - 1])).join("   ");
        println!("round {round}: {seen}   load {}", load());
    }
    report(&ours, &joins, &single);
    println!("rekindle's own cost, median: {}", Cost::median(&costs));
    bench.machines.program.run(&["lab", "down", "--name", NAME]).expect(0);
}

fn line(seen: Seen) -> String {
    format!("{:.1} / {:.1} / {:.1}", seen.returned, seen.ready, seen.dns)
}

fn median(seen: &[Seen], of: impl Fn(&Seen) -> f64) -> f64 {
    let mut values: Vec<f64> = seen.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(ours: &[Seen], joins: &[Seen], single: &[Seen]) {
    println!("\nmedians of {} rounds, seconds: returned / all nodes Ready / CoreDNS ready", ours.len());
    let row = |seen: &[Seen]| {
        line(Seen {
            returned: median(seen, |s| s.returned),
            ready: median(seen, |s| s.ready),
            dns: median(seen, |s| s.dns),
        })
    };
    println!("rekindle up (3 + 1)          {}", row(ours));
    println!("kubeadm init + joins (3 + 1) {}", row(joins));
    println!("kubeadm init (1 node)        {}", row(single));
    println!(
        "init + joins / rekindle, to all Ready:     {:.2}",
        median(joins, |s| s.ready) / median(ours, |s| s.ready)
    );
    println!(
        "init + joins / rekindle, to CoreDNS ready: {:.2}",
        median(joins, |s| s.dns) / median(ours, |s| s.dns)
    );
    println!(
        "rekindle to all Ready / one init's return: {:.2}",
        median(ours, |s| s.ready) / median(single, |s| s.returned)
    );
}

impl Bench {
    fn write_ssh_arguments(&self) {
        std::fs::create_dir_all(&self.arguments).expect("a folder");
        for node in self.machines.lab.nodes() {
            let words = self.machines.lab.ssh_args(&node.name).expect("ssh arguments");
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            std::fs::write(self.arguments.join(&node.name), words.join(" ")).expect("a file");
        }
    }

    /// Prepared nodes without a cluster, and no archive.
    fn reset(&self) {
        self.machines.reset(&["cp1", "cp2", "cp3", "w1"]);
        self.machines.forget_archive();
    }

    fn rekindle(&self) -> (Seen, Cost) {
        let mut cost = Cost::default();
        let seen = self.clocked(4, || {
            let run =
                self.machines.program.run(&["up", "--output", "json", "-i"]).arg(&self.machines.inventory);
            cost = Cost::of(run.command());
        });
        (seen, cost)
    }

    fn kubeadm(&self, only_init: bool) -> Seen {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/joins.sh");
        self.clocked(if only_init { 1 } else { 4 }, || {
            let mut command = Command::new("sh");
            command.arg(&script).arg(&self.arguments).arg(format!("api.{NAME}.internal"));
            command.args(["cp1", "cp2", "cp3", "--", "w1"]);
            if only_init {
                command.env("ONLY_INIT", "yes");
            }
            assert!(command.status().expect("sh").success(), "kubeadm's way failed");
        })
    }

    /// Runs `act` beside an observer.
    fn clocked(&self, nodes: usize, act: impl FnOnce()) -> Seen {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let observer = scope.spawn(|| self.observe(nodes, start));
            act();
            let returned = start.elapsed().as_secs_f64();
            let (ready, dns) = observer.join().expect("the observer");
            Seen { returned, ready, dns }
        })
    }

    /// One question every 200 ms, the same for every way, and by curl: kubectl's start would be a tenth of the load.
    fn observe(&self, nodes: usize, start: Instant) -> (f64, f64) {
        let script = format!("nodes={nodes}\n{}", include_str!("bring_up/observe.sh"));
        let script = format!("timeout {} sh -c {}", LIMIT.as_secs(), step::quote(&script));
        let mut child = self.machines.ssh("cp1", &script).stdout(Stdio::piped()).spawn().expect("ssh");
        let output = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        let mut seen = std::io::BufRead::lines(output).map(|_| start.elapsed().as_secs_f64());
        let times =
            (seen.next().expect("all nodes Ready in time"), seen.next().expect("CoreDNS ready in time"));
        let _ = child.wait();
        times
    }
}
