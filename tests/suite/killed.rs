//! The program is killed (SIGKILL) at moments that are spread over its whole time: while it seals, prunes, takes a
//! snapshot, and on a node. Nothing is ever listed that does not come out whole, nothing that was proven goes, and the
//! next run goes on.

use crate::lab_cluster::{ETCDCTL, LabCluster};
use crate::program::Run;
use crate::sealed_site::Site;
use archive::NewIdentity;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Moments of what needs no nodes.
const MOMENTS: u32 = 30;

#[test]
fn sealing_is_killed_at_any_moment() {
    let site = Site::sealed("killed-seal");
    let colleague = NewIdentity::mint("2026-11-24T12:00:00Z").unwrap();
    std::fs::write(site.path("colleague.txt"), colleague.file.expose()).unwrap();
    let recipient = colleague.recipient.to_string();
    let add = || {
        let run = site.on(&["archive", "recipients", "add"]).arg(&recipient);
        site.with_identity(run, "identity.txt")
    };
    at_each_moment(&site, "seal", add, |left| assert_eq!(left.len(), 1, "{left:?}"));
    let listed = site.on(&["archive", "recipients", "list"]).expect(0).stdout;
    assert!(listed.contains(&recipient), "{listed}");
}

#[test]
fn pruning_is_killed_at_any_moment() {
    let site = Site::sealed("killed-prune");
    site.inventory("keep = { last = 3, daily = 7, monthly = 1 }\n");
    for n in 0..18u64 {
        site.generation_of(1 + n, &format!("2026-0{}-{}T12:00:00Z", 1 + n / 2, 11 + n % 2));
    }
    let prune = || site.with_identity(site.on(&["archive", "prune", "--yes"]), "identity.txt");
    at_each_moment(&site, "prune", prune, |left| {
        assert!(left.iter().any(|name| name.starts_with("1-100-")), "the newest stays: {left:?}");
    });
    let left = names(&site);
    assert!((7..12).contains(&left.len()), "{left:?}");
}

/// Kills `act` at each of the moments, each time on the same archive, and lets another one go on.
fn at_each_moment(site: &Site, what: &str, act: impl Fn() -> Run, holds: impl Fn(&BTreeSet<String>)) {
    let (archive, as_it_was) = (site.path("archive"), site.path("as-it-was"));
    copy(&archive, &as_it_was);
    let fresh = || {
        std::fs::remove_dir_all(&archive).unwrap();
        copy(&as_it_was, &archive);
    };
    // The first of a process is slower than the others.
    let timed = || {
        fresh();
        let start = Instant::now();
        act().expect(0);
        start.elapsed()
    };
    let whole = (0..3).map(|_| timed()).min().unwrap();
    let sets = count(&archive.join("gen"));
    let mut killed = 0;
    for moment in 0..MOMENTS {
        fresh();
        killed += u32::from(act().kill_after(whole * moment / MOMENTS));
        let left = names(site);
        left.iter().for_each(|one| comes_out(site, one));
        holds(&left);
        // 2: what was asked for is done already.
        let code = act().code();
        assert!([0, 2].contains(&code), "{what} at moment {moment}, again: {code}");
        assert_eq!(count(&archive.join("gen")), sets, "{what} at moment {moment}, again");
    }
    println!("{what}: {killed} of {MOMENTS} runs of {whole:?} were killed before their end");
    assert!(killed > MOMENTS / 4, "too few runs lived long enough to be killed: {killed}");
}

/// Every file of it, each with its digest checked.
fn comes_out(site: &Site, generation: &str) {
    let out = tempfile::tempdir().unwrap();
    let run =
        site.on(&["archive", "extract", "--generation", generation, "--all"]).arg(out.path().join("out"));
    site.with_identity(run, "identity.txt").expect(0);
}

fn names(site: &Site) -> BTreeSet<String> {
    let list = site.on(&["archive", "list", "--output", "json"]).ended().result();
    listed(list["generations"].as_array().unwrap()).into_keys().collect()
}

/// Name of each generation, and whether it counts.
fn listed(generations: &[Value]) -> BTreeMap<String, bool> {
    let one = |one: &Value| (one["generation"].as_str().unwrap().to_owned(), one["counts"] == true);
    generations.iter().map(one).collect()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// A control plane's run, as if the timer had come round, with nobody having been there.
pub fn again() -> String {
    format!("{ETCDCTL} del rekindle/snapshot/last >/dev/null && systemctl start rekindle-upload")
}

/// Snapshots of a running cluster with a bucket that nodes write: an operator's and a node's own are killed at so many
/// moments each, by SIGKILL of all that runs for them there.
pub fn snapshots_at(cluster: &LabCluster, moments: u32) {
    let again = &again();
    let snapshot = || cluster.run("snapshot").arg("--node").arg("cp1");
    let start = Instant::now();
    snapshot().expect(0);
    let whole = start.elapsed();
    println!("an operator's snapshot takes {whole:?}");
    for moment in 0..moments {
        let before = proven(cluster);
        snapshot().kill_after(whole * moment / moments);
        goes_on(cluster, &before, again);
    }
    let start = Instant::now();
    cluster.must("cp1", again);
    let whole = start.elapsed().as_millis();
    println!("a control plane's run takes {whole} ms");
    for moment in 0..u128::from(moments) {
        let before = proven(cluster);
        let after = whole * moment / u128::from(moments);
        let kill = "systemctl kill -s KILL rekindle-look rekindle-capture rekindle-upload 2>/dev/null || :";
        let begin = again.replace("systemctl start", "systemctl start --no-block");
        println!("killed after {after} ms");
        cluster.must("cp1", &format!("{begin}; sleep {}.{:03}; {kill}", after / 1000, after % 1000));
        goes_on(cluster, &before, again);
    }
}

/// No fewer are proven than before, each that is new comes out whole, and the next runs go on.
fn goes_on(cluster: &LabCluster, before: &BTreeSet<String>, again: &str) {
    // On cgroup v1 systemd waits for what it killed for as long as the unit says.
    let ended = "for unit in look fence capture upload; do \
                 case $(systemctl show -p ActiveState --value rekindle-$unit) in failed | inactive) ;; *) exit 1 ;; esac; done";
    cluster.eventually("the units have ended", Duration::from_secs(30), || cluster.on("cp1", ended).is_ok());
    let after = proven(cluster);
    assert!(before.is_subset(&after), "{before:?} {after:?}");
    for name in all(cluster).difference(before) {
        let out = tempfile::tempdir().unwrap();
        let run = cluster.program.run(&["archive", "extract", "--generation", name, "--all", "-i"]);
        run.arg(&cluster.inventory).arg(out.path().join("out")).expect(0);
    }
    cluster.must("cp1", &format!("systemctl reset-failed 'rekindle-*' || :; {again}"));
    assert!(proven(cluster).len() > after.len(), "the next run goes on");
}

fn all(cluster: &LabCluster) -> BTreeSet<String> {
    listed(&cluster.generations()).into_keys().collect()
}

fn proven(cluster: &LabCluster) -> BTreeSet<String> {
    listed(&cluster.generations()).into_iter().filter(|(_, counts)| *counts).map(|(name, _)| name).collect()
}
