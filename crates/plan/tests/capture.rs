//! The script that takes a snapshot, run by a real shell against an etcd that is played: each fault that it must see.

#![cfg(test)]

use plan::capture::{ArchivedKeys, Captured, Origin};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What a good member says.
const WELL: &[(&str, &str)] = &[
    (
        "status",
        "\"ClusterID\" : 17687236240613974055\n\"Version\" : \"3.6.16\"\n\"DBSize\" : 1000\n\"RaftAppliedIndex\" : 900\n\"IsLearner\" : false\n",
    ),
    ("status-cluster", "\"RaftIndex\" : 905\n\"RaftIndex\" : 903\n"),
    ("alarms", ""),
    ("count", "\"Count\" : 411\n"),
    ("scratch-hash", "[{\"Endpoint\":\"unix://client:1\",\"HashKV\":{\"hash\":7,\"compact_revision\":500}}]"),
    ("hash-1", HASHES),
    ("hash-2", HASHES),
    ("revision", "\"Revision\" : 770\n"),
    ("restore", "exit 0\n"),
    ("etcd", "exec sleep 60\n"),
    ("namespace", "/registry/namespaces/kube-system\n"),
    ("encryption", "MDEyMw== aescbc/key 1\n"),
];

const HASHES: &str = "[{\"Endpoint\":\"https://10.0.0.11:2379\",\"HashKV\":{\"header\":{\"revision\":771},\"hash\":7,\"compact_revision\":500}},\
                      {\"Endpoint\":\"https://10.0.0.12:2379\",\"HashKV\":{\"hash\":7,\"compact_revision\":500}}]";

const STUBS: &[(&str, &str)] = &[
    (
        "etcdctl",
        r#"case "$*" in
*unix://client:1*--count-only*) cat "$PLAY/count" ;;
*unix://client:1*hashkv*) cat "$PLAY/scratch-hash" ;;
*unix://client:1*kube-system*) cat "$PLAY/namespace" ;;
*unix://client:1*"endpoint status"*) cat "$PLAY/status" ;;
*unix://client:1*"snapshot save kept"*) printf snapshot >kept ;;
*"endpoint status --cluster"*) cat "$PLAY/status-cluster" ;;
*"endpoint status"*) cat "$PLAY/status" ;;
*"alarm list"*) cat "$PLAY/alarms" ;;
*"member list"*) echo "1, started, cp1" ;;
*"snapshot save db"*) printf snapshot >db; echo save >>"$PLAY/tries" ;;
*"hashkv --cluster"*) cat "$PLAY/hash-$(wc -l <"$PLAY/tries")" 2>/dev/null || cat "$PLAY/hash-2" ;;
*) echo "etcdctl $*" >&2; exit 9 ;;
esac"#,
    ),
    ("etcdutl", r#"case $2 in status) cat "$PLAY/revision" ;; restore) . "$PLAY/restore" ;; esac"#),
    ("etcd", r#". "$PLAY/etcd""#),
    ("openssl", "echo key"),
    (
        "kubectl",
        r#"case "$*" in
*command*) printf '%s\n' kube-apiserver --v=2 "--encryption-provider-config=$PLAY/encryption" ;;
*aescbc*) cat "$PLAY/encryption" ;;
*aesgcm* | *secretbox*) ;;
*"get nodes"*) echo "cp1 99bb 10.244.0.0/24" ;;
esac"#,
    ),
];

/// What the script says in a play where these files differ, and whether the snapshot came out.
fn play(changes: &[(&str, &str)]) -> (String, bool) {
    play_of(Origin::Member, changes)
}

fn play_of(origin: Origin, changes: &[(&str, &str)]) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["bin", "play", "kubernetes/manifests"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    for (name, body) in STUBS {
        let path = at("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (name, text) in WELL.iter().chain(changes) {
        std::fs::write(at("play").join(name), text).unwrap();
    }
    std::fs::write(at("kubernetes/manifests/etcd.yaml"), "kind: Pod\n").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let script = plan::capture::capture("10.0.0.11".parse().unwrap(), origin, None).text();
    std::fs::create_dir_all(at("etcd/member/snap")).unwrap();
    std::fs::write(at("etcd/member/snap/db"), "raw").unwrap();
    let script = script.replace("/var/lib/etcd", &path(&at("etcd")));
    let script = script.replace("/var/lib/rekindle", &path(&at("state")));
    let script = script.replace("/etc/kubernetes", &path(&at("kubernetes")));
    let bin = format!("{}:{}", path(&at("bin")), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).env("PATH", bin).env("PLAY", at("play"));
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(!at("state/snapshot").exists(), "nothing of it stays");
    let said = String::from_utf8(output.stderr).unwrap().replace(&path(&at("kubernetes")), "/etc/kubernetes");
    (said, output.stdout == b"snapshot" && output.status.success())
}

/// Those of the play.
fn keys() -> ArchivedKeys {
    let captured = Captured::read(&play(&[]).0).unwrap();
    ArchivedKeys { public: captured.public_keys, encryption: captured.encryption_keys }
}

#[test]
fn a_good_member_gives_a_proven_snapshot() {
    let (said, came) = play(&[]);
    let captured = Captured::read(&said).unwrap();
    assert!(came, "{said}");
    assert_eq!((captured.revision, captured.keys, captured.size), (770, 411, 8));
    assert_eq!((captured.hash.as_str(), captured.compared().count()), ("7 500", 2));
    // sha256 of `0123`: of the key's bytes, not of their base64.
    let digest = "1be2e452b46d7a0d9656bbb1f768e8248eba1b75baed65f5d99eafa948899a6a";
    assert_eq!(captured.encryption_keys, [("aescbc/key 1".to_owned(), digest.to_owned())].into());
    assert!(!said.contains("MDEyMw"), "the key itself is not said");
    assert_eq!(captured.files["node/manifests/etcd.yaml"], b"kind: Pod\n");
    assert_eq!(captured.doubts(&keys()), Vec::<String>::new());
}

/// Nothing of the cluster's own etcd is asked: it may be gone. An etcd that dies on the copy is named.
#[test]
fn a_disk_gives_a_snapshot_that_never_counts() {
    let gone = [("status-cluster", ""), ("hash-1", ""), ("hash-2", ""), ("alarms", "")];
    let (said, came) = play_of(Origin::Disk, &gone);
    let captured = Captured::read(&said).unwrap();
    assert!(came && captured.from_disk, "{said}");
    assert_eq!((captured.revision, captured.keys, captured.live.len()), (770, 411, 0));
    assert_eq!(captured.doubts(&keys()), ["it is what one node's disk has: no quorum confirms it"]);
    let (said, came) = play_of(Origin::Disk, &[("etcd", "echo torn; exit 2\n"), ("count", "")]);
    let refused = Captured::read(&said).unwrap_err().0;
    assert!(refused.contains("etcd does not start on the copied-disk: torn") && !came, "{said}");
}

/// reliability: E4, E5, E6, E9, E12, a disk that is full, a snapshot that is none.
#[test]
fn a_member_that_is_no_source_is_refused_by_name() {
    let status = WELL[0].1;
    let cases = [
        ("status", status.replace("IsLearner\" : false", "IsLearner\" : true"), "is a learner"),
        ("status-cluster", "\"RaftIndex\" : 1900\n".to_owned(), "lags behind the others"),
        ("status", status.replace("DBSize\" : 1000", "DBSize\" : 99000000000000"), "bytes of scratch"),
        ("restore", "echo bad magic; exit 1\n".to_owned(), "etcdutl snapshot restore: bad magic"),
        ("etcd", "echo panic; exit 2\n".to_owned(), "etcd does not start on the snapshot"),
        ("scratch-hash", String::new(), "tells no hash"),
        ("namespace", String::new(), "no namespace kube-system"),
    ];
    for (file, text, why) in cases {
        let mut changes = vec![(file, text.as_str())];
        if file == "etcd" {
            changes.push(("count", ""));
        }
        let (said, came) = play(&changes);
        let refused = Captured::read(&said).unwrap_err().0;
        assert!(refused.contains(why) && !came, "{file}: {said}");
    }
}

#[test]
fn what_casts_doubt_is_said() {
    let other = |from: &str, to: &str| HASHES.replacen(from, to, 1);
    let doubts = |changes: &[(&str, &str)]| {
        let (said, came) = play(changes);
        assert!(came, "it is sealed all the same: {said}");
        Captured::read(&said).unwrap().doubts(&keys())
    };
    // E5: a member holds other data.
    let differs =
        doubts(&[("hash-1", &other("12:2379\",\"HashKV\":{\"hash\":7", "12:2379\",\"HashKV\":{\"hash\":8"))]);
    assert_eq!(differs, ["the member https://10.0.0.12:2379 holds other data at revision 770"]);
    // A compaction came in between: all is done again, and then it is well.
    let compacted = HASHES.replace("\"compact_revision\":500", "\"compact_revision\":760");
    assert_eq!(doubts(&[("hash-1", &compacted)]), Vec::<String>::new());
    // It never stops, or no hash is told (E6).
    for never in [compacted.as_str(), "[]"] {
        let unknown = doubts(&[("hash-1", never), ("hash-2", never)]);
        assert_eq!(unknown, ["no member told its hash at this revision, so nothing was compared"]);
    }
    let corrupt = doubts(&[("alarms", "memberID:1 alarm:CORRUPT\n")]);
    assert_eq!(corrupt, ["etcd: alarm memberID:1 alarm:CORRUPT"]);
    // E4: a full database is sealed like any other.
    assert_eq!(doubts(&[("alarms", "memberID:1 alarm:NOSPACE\n")]), Vec::<String>::new());
    let key = doubts(&[("encryption", "MDEyNA== aescbc/key 1\nMDEyMw== aescbc/key2\n")]);
    assert_eq!(key.len(), 2, "one differs, one is not archived: {key:?}");
}
