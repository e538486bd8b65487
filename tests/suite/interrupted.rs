//! A whole `up` under faults: killed, cut off, started twice, with dead nodes. It must end in one cluster, the same.
//!
//! Moments are sampled here; `cargo test -p tests --test every_kill` goes through all of them.

use crate::faults::link::Link;
use crate::faults::site::{CONTROL_PLANES, NODES, Site};
use crate::lab_cluster::LabCluster;
use crate::program::{Ended, with_labs};
use serde_json::Value;
use std::collections::BTreeSet;
use std::thread::scope;
use std::time::{Duration, Instant};

type Act = fn(&Site);

#[test]
fn an_interrupted_up_ends_in_the_same_cluster() {
    with_labs(|program| interrupt(&Site::new(LabCluster::machines(program, "faults", &[], &[]))));
}

fn interrupt(site: &Site) {
    let acts: [(&str, Act); 6] = [
        ("killed before anything is sealed", killed_before_anything_is_sealed),
        ("two at once on empty machines", two_at_once_on_empty_machines),
        ("killed at steps", killed_at_steps),
        ("machines of another cluster", machines_of_another_cluster_are_refused),
        ("dead nodes", dead_nodes_are_named_and_left_for_the_next_run),
        ("two at once on half a cluster", two_at_once_on_half_a_cluster),
    ];
    for (name, act) in acts {
        let start = Instant::now();
        act(site);
        println!("{name}: {:.0} s", start.elapsed().as_secs_f64());
    }
}

/// The first trace of an archive is there, and no key of its maker.
fn killed_before_anything_is_sealed(site: &Site) {
    let format = site.archive().join("FORMAT");
    assert!(site.up().kill_once(|| format.exists()), "ended before it was killed");
    for node in NODES {
        site.cluster.must(node, "! [ -e /var/lib/rekindle/cluster ] && ! [ -e /etc/kubernetes/pki ]");
    }
}

/// Both may see empty machines. One seals, and goes on; the other is refused by name, or joins in. They are killed
/// when the archive knows a cluster of which the nodes know nothing.
fn two_at_once_on_empty_machines(site: &Site) {
    let run = || site.up().kill_when(|event| event["event"] == "stage-started");
    let (one, two) = scope(|scope| {
        let two = scope.spawn(run);
        (run(), two.join().unwrap())
    });
    let refused: Vec<Ended> = [one, two].into_iter().flatten().collect();
    assert!(refused.len() < 2, "{refused:#?}");
    for ended in refused {
        assert_eq!(ended.code, 2, "{ended:#?}");
        let named = ["holds an archive already", "was claimed", "belongs to the archive"];
        assert!(named.iter().any(|words| ended.stdout.contains(words)), "{ended:#?}");
    }
}

fn killed_at_steps(site: &Site) {
    killed_at(site, "step-started", "install packages", true);
    killed_at(site, "step-started", "import images", true);
    CONTROL_PLANES.iter().for_each(|node| drop(site.cluster.must(node, PART)));
    killed_between_sealed_and_born(site);
    killed_when_born(site);
    killed_at(site, "step-started", "upload kubeadm configuration", true);
    killed_at(site, "step-started", "DNS answers", false);
    site.up().expect(0);
    site.assert_whole();
    site.assert_canary_lives();
}

/// No etcd member reaches another one.
const PART: &str = "nft add table inet parted
    nft add chain inet parted input '{ type filter hook input priority 0; }'
    nft add rule inet parted input tcp dport 2380 reject with tcp reset";

const JOIN: &str = "nft delete table inet parted";

/// With `lanes_too`, what runs on the nodes is killed as well, in the middle of something; else it goes on.
fn killed_at(site: &Site, name: &str, title: &str, lanes_too: bool) {
    let ended = site.up().kill_when(|event| event["event"] == name && event["title"] == title);
    assert!(ended.is_none(), "no {name} of `{title}`: {ended:#?}");
    if lanes_too {
        site.kill_lanes(&NODES);
    }
    site.look("cp1");
    site.write_canary();
}

/// etcd is laid on every node, and every member waits for a quorum.
fn killed_between_sealed_and_born(site: &Site) {
    let mut waiting = BTreeSet::from(CONTROL_PLANES);
    let ended = site.up().kill_when(|event| {
        if event["event"] == "step-started" && event["title"] == "etcd has a quorum" {
            waiting.remove(event["host"].as_str().unwrap_or_default());
        }
        waiting.is_empty()
    });
    assert!(ended.is_none(), "{waiting:?}: {ended:#?}");
    site.kill_lanes(&NODES);
    assert!(!site.is_born());
}

/// The next run goes on laying, and what is laid stays. That there is a quorum is sealed as soon as it is so.
fn killed_when_born(site: &Site) {
    let logs = || {
        CONTROL_PLANES.map(|node| site.cluster.must(node, "stat -c %n-%i /var/lib/etcd/member/wal/*0.wal"))
    };
    let laid = logs();
    let mut parted = true;
    let ended = site.up().kill_when(|event| {
        if event["event"] == "lane-started" && parted {
            assert_eq!(event["stage"], "bring up");
            CONTROL_PLANES.iter().for_each(|node| drop(site.cluster.must(node, JOIN)));
            parted = false;
        }
        event["event"] == "step-ended" && event["title"] == "etcd has a quorum"
    });
    assert!(ended.is_none(), "{ended:#?}");
    assert!(site.is_born());
    assert_eq!(logs(), laid, "laid once");
    site.kill_lanes(&NODES);
}

fn machines_of_another_cluster_are_refused(site: &Site) {
    let other = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(&site.cluster.inventory).unwrap();
    let inventory = other.path().join("other.toml");
    std::fs::write(&inventory, text.replace("name = \"faults\"", "name = \"other\"")).unwrap();
    let mark = site.cluster.must("cp1", "cat /var/lib/rekindle/cluster");
    let refused = site.cluster.program.run(&["up", "-i"]).arg(&inventory).expect(2);
    for node in NODES {
        assert!(
            refused
                .stderr
                .lines()
                .any(|line| line.contains(&format!("{node}: ")) && line.contains(mark.trim())),
            "{}",
            refused.stderr
        );
    }
    assert!(!other.path().join("archive").exists());
    // Without its mark, what kubeadm would leave is found.
    site.cluster.must("w1", "mv /var/lib/rekindle/cluster /var/lib/rekindle/aside");
    let refused = site.cluster.program.run(&["up", "-i"]).arg(&inventory).expect(2);
    assert!(refused.stderr.contains("w1: /etc/kubernetes/kubelet.conf"), "{}", refused.stderr);
    site.cluster.must("w1", "mv /var/lib/rekindle/aside /var/lib/rekindle/cluster");
}

/// A worker and control planes. With one etcd node of three nobody can tell what stands; two of three make a cluster.
fn dead_nodes_are_named_and_left_for_the_next_run(site: &Site) {
    site.wipe();
    site.power_on(&["cp1"]);
    let refused = site.up().expect(2);
    assert!(refused.stdout.contains("cp2, cp3 did not"), "{}", refused.stdout);
    assert!(!site.archive().exists(), "nothing was sealed");
    site.power_on(&["cp2"]);
    let link = site.link("cp2");
    let mut cuts = Cuts::new(&link, &["install packages", "lay etcd member", "apiserver is live"]);
    let ended = site.up().kill_when(|event| cuts.cut_at(event)).unwrap();
    assert_eq!(ended.code, 3, "{ended:#?}");
    assert!(cuts.left.is_empty(), "{:?}", cuts.left);
    for event in ["link-lost", "reattached"] {
        assert!(ended.events().any(|told| told["event"] == event), "{event}: {}", ended.stdout);
    }
    let complaints = ended.result()["complaints"].to_string();
    for node in ["cp3", "w1"] {
        assert!(complaints.contains(&format!("{node}: ")), "{complaints}");
    }
    site.unlink(link);
    site.look("cp1");
    site.write_canary();
}

/// The second waits for the first one's lanes, or joins in; both end well.
fn two_at_once_on_half_a_cluster(site: &Site) {
    site.power_on(&["cp3", "w1"]);
    let second = scope(|scope| {
        let mut second = None;
        let first = site.up().kill_when(|event| {
            if event["event"] == "step-started" && second.is_none() {
                second = Some(scope.spawn(|| site.up().kill_when(|_| false).unwrap()));
            }
            false
        });
        let first = first.unwrap();
        assert_eq!(first.code, 0, "{first:#?}");
        second.expect("a step").join().unwrap()
    });
    assert_eq!(second.code, 0, "{second:#?}");
    site.assert_whole();
    site.assert_canary_lives();
}

/// Cuts a link when steps begin on cp2, each time for longer.
struct Cuts<'a> {
    link: &'a Link,
    left: Vec<&'static str>,
    dead: Duration,
}

impl<'a> Cuts<'a> {
    fn new(link: &'a Link, titles: &[&'static str]) -> Self {
        Self { link, left: titles.to_vec(), dead: Duration::ZERO }
    }

    /// Never says that the program should be killed.
    fn cut_at(&mut self, event: &Value) -> bool {
        let title = event["title"].as_str().unwrap_or_default();
        if event["event"] == "step-started" && event["host"] == "cp2" && self.left.contains(&title) {
            self.left.retain(|left| *left != title);
            self.link.cut(self.dead);
            self.dead += Duration::from_secs(3);
        }
        false
    }
}
