use super::{ArchivedKeys, Captured};
use std::collections::BTreeMap;

const SAID: &str =
    "member 296d40e77950ff53, started, cp1, https://10.0.0.11:2380, https://10.0.0.11:2379, false
cluster f51811976a3d9027
version 3.6.16
revision 770
keys 411
hash 3614430220 -1
live https://10.0.0.11:2379 3614430220 -1
live https://10.0.0.12:2379 3614430220 -1
size 1466400
public-key ca ced0
public-key sa 5c7f
encryption-key 99aa aescbc/key 1
file /etc/kubernetes/manifests/etcd.yaml YTogMQo=
file /etc/kubernetes/manifests/My Pod.yaml YTogMQo=
file /etc/rekindle/kubeadm.yaml Yjog
file /etc/shadow Yjog
node cp1 99bb 10.244.0.0/24
taken yes
";

fn keys() -> ArchivedKeys {
    let own = |keys: &[(&str, &str)]| -> BTreeMap<String, String> {
        keys.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect()
    };
    ArchivedKeys {
        public: own(&[("ca", "ced0"), ("sa", "5c7f")]),
        encryption: own(&[("aescbc/key 1", "99aa")]),
    }
}

#[test]
fn what_a_node_says_is_understood() {
    let captured = Captured::read(SAID).unwrap();
    assert_eq!((captured.revision, captured.keys, captured.size), (770, 411, 1_466_400));
    assert_eq!(captured.cluster, "f51811976a3d9027");
    assert_eq!(captured.live.len(), 2);
    assert_eq!(captured.nodes["cp1"], "99bb 10.244.0.0/24");
    assert_eq!(captured.doubts(&keys()), Vec::<String>::new());
    let names: Vec<_> = captured.files.keys().map(String::as_str).collect();
    assert_eq!(names, ["node/kubeadm.yaml", "node/manifests/etcd.yaml"], "no other name reaches an archive");
    assert_eq!(captured.files["node/manifests/etcd.yaml"], b"a: 1\n");
}

#[test]
fn what_is_no_snapshot_says_why() {
    let cases = [
        ("refused this node's member is a learner\n", "this node's member is a learner"),
        ("sh: 1: etcdctl: not found\n", "sh: 1: etcdctl: not found"),
        ("revision many\n", "revision `many`"),
        ("revision 7\n", "the node said nothing of it"),
        ("", "the node said nothing of it"),
    ];
    for (said, why) in cases {
        assert_eq!(Captured::read(said).unwrap_err().0, why, "{said}");
    }
}

#[test]
fn what_differs_is_not_proven() {
    let cases = [
        ("live https://10.0.0.12:2379 3614430220", "live https://10.0.0.12:2379 1", "holds other data"),
        ("public-key sa 5c7f", "public-key sa 0000", "the key of `sa`"),
        ("cluster f5", "alarm memberID:1 alarm:CORRUPT\ncluster f5", "CORRUPT"),
        ("hash 3614430220 -1", "hash 3614430220 500", "nothing was compared"),
        ("cluster f5", "encryption-unread /etc/enc.yaml\ncluster f5", "none was compared"),
        ("99aa aescbc", "0000 aescbc", "encryption key `aescbc/key 1` on the node is not the one"),
        (
            "99aa aescbc",
            "99aa secretbox",
            "encryption key `secretbox/key 1` on the node is not in the archive",
        ),
    ];
    for (from, to, why) in cases {
        let said = SAID.replace(from, to);
        let doubts = Captured::read(&said).unwrap().doubts(&keys());
        assert_eq!(doubts.len(), 1, "{to}: {doubts:?}");
        assert!(doubts[0].contains(why), "{doubts:?}");
    }
    let other = Captured::read(SAID).unwrap().doubts(&ArchivedKeys::default());
    assert_eq!(other.len(), 3, "a key that the archive does not know: {other:?}");
}

#[test]
fn what_was_not_compared_is_not_counted() {
    // One member compacted in between: its hash says nothing. A member that is down tells none.
    let said = SAID.replace("10.0.0.12:2379 3614430220 -1", "10.0.0.12:2379 77 700");
    let captured = Captured::read(&said).unwrap();
    assert_eq!(captured.compared().count(), 1);
    assert_eq!(captured.doubts(&keys()), Vec::<String>::new());
    // A full database is sealed like any other, and said.
    let said = SAID.replace("cluster f5", "alarm memberID:1 alarm:NOSPACE\ncluster f5");
    let captured = Captured::read(&said).unwrap();
    assert_eq!(captured.doubts(&keys()), Vec::<String>::new());
    assert_eq!(captured.warnings(), ["etcd: alarm memberID:1 alarm:NOSPACE"]);
}
