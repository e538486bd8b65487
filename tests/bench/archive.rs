//! What the archive costs on a real cluster: a snapshot proven (L3) and published at two places, a drill (L4), and a
//! question to the past; of a fresh cluster and of a filled one; with a place that is 100 ms away; memory and CPU on
//! the node; and how long etcd's writes take meanwhile, compared with the same writes without a snapshot.
//!
//! Run: `cargo bench -p tests --bench archive [-- MEGABYTES...]`; 100 without arguments. More than 2000 need an etcd
//! with a larger quota, which the lab of this program has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../suite/bucket.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod bucket;
#[path = "archive/far.rs"]
mod far;
#[path = "../suite/lab_cluster.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod lab_cluster;
#[path = "../suite/program.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod program;

use bucket::{Bucket, KEYS};
use far::Far;
use lab_cluster::LabCluster;
use program::Program;
use std::time::{Duration, Instant};

const NAME: &str = "bench";
const ROUNDS: usize = 3;

/// Of one object that `fill.sh` makes, in bytes as etcd has them.
const OBJECT: u64 = 900_200;

/// How long a place is away, there and back.
const AWAY: Duration = Duration::from_millis(100);

struct Bench {
    cluster: LabCluster,
    near: String,
    far: String,
}

fn main() {
    let mut sizes: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes.push(100);
    }
    if !Program::can_make_labs() {
        println!("skipped: a lab needs Linux and root");
        return;
    }
    let cluster = LabCluster::machines(Program::build(), NAME, &[], &[]);
    let gateway = cluster.gateway();
    let (one, two) = (Bucket::start(gateway, 9001), Bucket::start(gateway, 9002));
    let away = Far::start((gateway, 9003).into(), (gateway, 9002).into(), AWAY / 2);
    std::fs::write(cluster.lab.dir().join("s3.ini"), KEYS).unwrap();
    let place = |bucket: &Bucket| bucket.destination("bench", "s3.ini");
    let near = format!("to = [{}, {}]", place(&one), place(&two));
    let far = near.replace(":9002", ":9003");
    // The timer is not to come in between.
    cluster.edit(|text| {
        let text = text.replace("to = \"./archive\"", &format!("{near}\nevery = \"24h\""));
        format!("{text}\n[etcd.args]\nquota-backend-bytes = \"8589934592\"\n")
    });
    let bench = Bench { cluster, near, far };
    bench.cluster.run("up").expect(0);
    println!("load: {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    bench.measure("fresh");
    let mut filled = 0;
    for size in sizes {
        let objects = size * 1_000_000 / OBJECT;
        bench.fill(filled, objects);
        filled = objects;
        bench.measure(&format!("{size} MB"));
        bench.writes(&format!("{size} MB"));
    }
    drop(away);
}

impl Bench {
    fn fill(&self, from: u64, to: u64) {
        let script = format!("FROM={from} TO={to}\n{}", include_str!("archive/fill.sh"));
        self.cluster.must("cp1", &script);
    }

    fn use_places(&self, from: &str, to: &str) {
        self.cluster.edit(|text| text.replace(from, to));
    }

    /// Medians, in seconds.
    fn measure(&self, what: &str) {
        let (snapshot, cost) = self.costing("cp1", || {
            median(|| timed(|| drop(self.cluster.run("snapshot").arg("--node").arg("cp1").expect(0))))
        });
        println!("{what}: snapshot, L3, two places {snapshot:.1} s; on the node {cost}");
        let ask = |verb: &[&str], words: &[&str]| {
            let run = self.cluster.program.run(verb).arg("-i").arg(&self.cluster.inventory);
            timed(|| drop(words.iter().fold(run, |run, word| run.arg(word)).expect(0)))
        };
        let drill = median(|| ask(&["drill"], &[]));
        let at = median(|| ask(&["at"], &["--", "get", "namespace", "kube-system", "-oname"]));
        println!("{what}: drill (L4) {drill:.1} s; at {at:.1} s");
        self.use_places(&self.near, &self.far);
        let drill = median(|| ask(&["drill"], &[]));
        let snapshot = median(|| timed(|| drop(self.cluster.run("snapshot").expect(0))));
        println!("{what}, one place 100 ms away: snapshot {snapshot:.1} s; drill {drill:.1} s");
        self.use_places(&self.far, &self.near);
    }

    /// What `act` costs a node while it runs.
    fn costing<T>(&self, node: &str, act: impl FnOnce() -> T) -> (T, String) {
        std::thread::scope(|scope| {
            let peak = scope.spawn(|| self.cluster.must(node, include_str!("archive/peak.sh")));
            std::thread::sleep(Duration::from_millis(500));
            let done = act();
            self.cluster.must(node, "touch /run/peak.end");
            let said = peak.join().unwrap();
            let mut figures = said.split_whitespace().map(|word| word.parse::<f64>().unwrap());
            let (memory, cpu) = (figures.next().unwrap() / 1000.0, figures.next().unwrap() / 100.0);
            (done, format!("{memory:.0} MB at most, {:.1} CPU-seconds a snapshot", cpu / ROUNDS as f64))
        })
    }

    /// etcd's small writes through another member, without a snapshot and during one.
    fn writes(&self, what: &str) {
        let write = |seconds: u64| {
            let script = format!("SECONDS_LONG={seconds}\n{}", include_str!("archive/writes.sh"));
            let mut times: Vec<f64> =
                self.cluster.must("cp2", &script).lines().map(|line| line.parse().unwrap()).collect();
            times.sort_by(f64::total_cmp);
            times
        };
        let calm = write(15);
        let busy = std::thread::scope(|scope| {
            let writes = scope.spawn(|| write(15));
            while !writes.is_finished() {
                self.cluster.run("snapshot").arg("--node").arg("cp1").expect(0);
            }
            writes.join().unwrap()
        });
        let at = |times: &[f64], part: f64| times[(times.len() as f64 * part) as usize] * 1000.0;
        println!(
            "{what}: etcd's writes, ms, median / p99: calm {:.1} / {:.1} ({}), during snapshots {:.1} / {:.1} ({}): p99 {:.2} times",
            at(&calm, 0.5),
            at(&calm, 0.99),
            calm.len(),
            at(&busy, 0.5),
            at(&busy, 0.99),
            busy.len(),
            at(&busy, 0.99) / at(&calm, 0.99),
        );
    }
}

fn timed(act: impl FnOnce()) -> f64 {
    let start = Instant::now();
    act();
    start.elapsed().as_secs_f64()
}

fn median(act: impl Fn() -> f64) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| act()).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
