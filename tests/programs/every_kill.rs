//! A whole `up` that is killed, or cut off from a node, at every moment: it must end in one cluster, the same. So must a
//! rebuild that is killed.
//!
//! Not among the tests that run always, which sample (`suite/interrupted.rs`): this takes hours. Run
//! `[EVERY=N] cargo test -p tests --test every_kill [NAME] -- --nocapture`; with `EVERY`, at every n-th moment.

#![cfg(test)]

#[path = "../suite/bucket.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
mod bucket;
#[path = "../suite/faults/mod.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
mod faults;
#[path = "../suite/killed.rs"]
mod killed;
#[path = "../suite/killed_rebuild.rs"]
mod killed_rebuild;
#[path = "../suite/lab_cluster.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
mod lab_cluster;
#[path = "../suite/program.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
mod program;
#[path = "../suite/sealed_site.rs"]
#[allow(dead_code, reason = "the suite uses the rest")]
mod sealed_site;

use bucket::{Bucket, KEYS};
use faults::site::{NODES, Site};
use killed_rebuild::{killed_after, lived};
use lab_cluster::LabCluster;
use program::with_labs;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn on_a_site(test: impl FnOnce(&Site)) {
    with_labs(|program| test(&Site::new(LabCluster::machines(program, "faults", &[], &[]))));
}

/// Tells moments apart, and picks every n-th of those that no run before has reached.
struct Moments {
    every: usize,
    seen: BTreeSet<String>,
    picked: Vec<String>,
}

impl Moments {
    fn new() -> Self {
        let every = std::env::var("EVERY").map_or(1, |text| text.parse().unwrap());
        Self { every, seen: BTreeSet::new(), picked: Vec::new() }
    }

    fn picks(&mut self, event: &Value) -> bool {
        let part = |name: &str| event[name].as_str().unwrap_or_default();
        let kind = part("event");
        if !["stage-", "lane-started", "step-"].iter().any(|kinds| kind.starts_with(kinds)) {
            return false;
        }
        let moment = format!("{kind} {} {}", part("host"), part("title"));
        let fresh = self.seen.insert(moment.clone());
        let picked = fresh && self.seen.len() % self.every == 0;
        if picked {
            self.picked.push(moment);
        }
        picked
    }
}

/// One bring-up that is killed again and again.
fn killed_again_and_again(site: &Site, lanes_too: bool) {
    let start = Instant::now();
    let mut moments = Moments::new();
    let ended = loop {
        if let Some(ended) = site.up().kill_when(|event| moments.picks(event)) {
            break ended;
        }
        println!("{:4.0} s {}", start.elapsed().as_secs_f64(), moments.picked.last().unwrap());
        if lanes_too {
            site.kill_lanes(&NODES);
        }
        site.look("cp1");
        site.write_canary();
    };
    println!("{} kills, {} moments", moments.picked.len(), moments.seen.len());
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(moments.picked.len() > 3, "{:?}", moments.picked);
    site.assert_whole();
    site.assert_canary_lives();
}

#[test]
fn killed_together_with_what_runs_on_the_nodes() {
    on_a_site(|site| killed_again_and_again(site, true));
}

#[test]
fn killed_alone() {
    on_a_site(|site| killed_again_and_again(site, false));
}

/// A bring-up for each moment, killed once.
#[test]
fn killed_once() {
    on_a_site(|site| {
        let mut moments = Moments::new();
        let mut killed = 0;
        while site.up().kill_when(|event| moments.picks(event)).is_none() {
            killed += 1;
            println!("{}", moments.picked.last().unwrap());
            site.up().expect(0);
            site.assert_whole();
            site.wipe();
            site.power_on(&NODES);
        }
        assert!(killed > 0);
    });
}

/// One bring-up, cut off from the node that coordinates. An `up` that gives up says so, and the next goes on.
#[test]
fn cut_off() {
    on_a_site(|site| {
        let link = site.link("cp1");
        let mut moments = Moments::new();
        let mut gave_up = 0;
        loop {
            let ended = site.up().kill_when(|event| {
                if event["host"] == "cp1" && moments.picks(event) {
                    link.cut(Duration::ZERO);
                }
                false
            });
            let ended = ended.unwrap();
            if ended.code == 0 {
                break;
            }
            assert!([2, 3, 4].contains(&ended.code) && ended.stdout.contains("cp1: "), "{ended:#?}");
            gave_up += 1;
            assert!(gave_up < 100, "{ended:#?}");
            site.look("cp1");
            site.write_canary();
        }
        println!("{} cuts, gave up {gave_up} times", moments.picked.len());
        assert!(moments.picked.len() > 3, "{:?}", moments.picked);
        site.assert_whole();
        site.assert_canary_lives();
        site.unlink(link);
    });
}

/// A snapshot of an operator's, and a control plane's own run: 25 kills each.
#[test]
fn snapshots() {
    with_labs(|program| {
        let cluster = LabCluster::machines(program, "killed", &["--control-planes", "1"], &[]);
        let bucket = Bucket::start(cluster.gateway(), 9001);
        std::fs::write(cluster.lab.dir().join("s3.ini"), KEYS).unwrap();
        let to = format!("to = [\"./archive\", {}]\nevery = \"24h\"", bucket.destination("prod", "s3.ini"));
        cluster.edit(|text| text.replace("to = \"./archive\"", &to));
        cluster.run("up").expect(0);
        killed::snapshots_at(&cluster, 25);
    });
}

/// A rebuild with a living worker, killed 30 times (or as often as `KILLS` says) at moments that are spread over its whole
/// time, each on control planes that were wiped.
#[test]
fn rebuild() {
    with_labs(|program| {
        let cluster = LabCluster::machines(program, "killed", &[], &[]);
        cluster.run("up").expect(0);
        let kills: u32 = std::env::var("KILLS").map_or(30, |text| text.parse().unwrap());
        let expected = lived(&cluster);
        let (whole, _) = killed_after(&cluster, None, &expected);
        println!("a rebuild takes {:.1} s", whole.as_secs_f64());
        let mut killed = 0;
        for nth in 0..kills {
            let after = whole * (2 * nth + 1) / (2 * kills);
            let (took, in_time) = killed_after(&cluster, Some(after), &expected);
            killed += u32::from(in_time);
            println!("killed after {:.1} s, went on for {:.1} s", after.as_secs_f64(), took.as_secs_f64());
        }
        assert!(killed * 10 >= kills * 8, "{killed} of {kills} were killed before their end");
    });
}
