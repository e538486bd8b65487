//! etcd's own programs on a node: those that lie in its PATH, or, in a cluster that somebody else made, those in the
//! image of the etcd that runs there.

use step::Script;

/// The function.
pub(crate) const ETCD_PROGRAMS: &str = include_str!("programs.sh");

/// A script that may call `etcd_programs`: after it `etcd`, `etcdctl` and `etcdutl` are found, where they are anywhere.
pub(crate) fn with_etcd_programs(body: &str) -> Script {
    Script::new(format!("{ETCD_PROGRAMS}{body}"))
}
