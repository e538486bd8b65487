//! The inventory of a cluster, for one machine on which it is rehearsed: the same settings, one control plane, and nothing
//! that leads to the cluster itself.

use crate::Source;
use toml::{Table, Value};

/// The machine.
#[derive(Clone, Debug)]
pub struct Rehearsed<'a> {
    /// The control plane whose part it plays.
    pub node: &'a str,
    /// Its address.
    pub address: &'a str,
    /// The key that it lets in.
    pub identity: &'a str,
    /// The file that has its host key.
    pub known_hosts: &'a str,
    /// Where programs and images come from, relative paths made absolute.
    pub source: &'a Source,
}

/// The text; `None` where `text` is no inventory with that node.
pub fn rehearsed(text: &str, machine: &Rehearsed) -> Option<String> {
    let mut all: Table = text.parse().ok()?;
    let text = |text: &str| Value::String(text.into());
    let mut node = all.get("nodes")?.get(machine.node)?.as_table()?.clone();
    for key in ["ssh", "user"] {
        node.remove(key);
    }
    node.insert("address".into(), text(machine.address));
    let table = |entries: Vec<(&str, Value)>| {
        Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    all.insert("nodes".into(), table(vec![(machine.node, Value::Table(node))]));
    let ssh = vec![("identity", text(machine.identity)), ("known-hosts", text(machine.known_hosts))];
    all.insert("ssh".into(), table(ssh));
    // Where it truly lies is nobody's business there.
    let archive = vec![("to", text("./archive")), ("payload", Value::Boolean(false))];
    all.insert("archive".into(), table(archive));
    let source = match machine.source {
        Source::Upstream => text("upstream"),
        Source::Modules => text("modules"),
        Source::Mirror(url) => table(vec![("mirror", text(url))]),
        Source::Folder(path) => table(vec![("folder", text(path.to_str()?))]),
    };
    all.insert("artifacts".into(), table(vec![("source", source)]));
    all.insert("host".into(), table(vec![("container", Value::Boolean(true))]));
    Some(all.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROD: &str = "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
        cp1 = { address = \"10.0.0.11\", ssh = \"bastion:2201\", user = \"ada\", role = \"control-plane\", labels = { zone = \"a\" } }\n\
        cp2 = { address = \"10.0.0.12\", role = \"control-plane\" }\n\
        w1 = { address = \"10.0.0.21\" }\n\
        [network]\npods = \"10.9.0.0/16\"\n[ssh]\nbastion = \"jump\"\n\
        [archive]\nto = [\"./archive\", { url = \"s3://backups/prod\", credentials = { file = \"s3.ini\" } }]\n\
        [kubeadm.files]\n\"/etc/kubernetes/audit/policy.yaml\" = \"audit.yaml\"\n";

    fn machine(node: &'static str) -> Rehearsed<'static> {
        Rehearsed {
            node,
            address: "10.213.0.11",
            identity: "/labs/drill-prod/id",
            known_hosts: "/labs/drill-prod/known_hosts",
            source: &Source::Modules,
        }
    }

    #[test]
    fn settings_stay_and_nothing_leads_to_the_cluster() {
        let text = rehearsed(PROD, &machine("cp1")).unwrap();
        for left in ["10.0.0.", "bastion", "ada", "s3", "jump"] {
            assert!(!text.contains(left), "{left}: {text}");
        }
        insta::assert_snapshot!(text);
        assert_eq!((rehearsed(PROD, &machine("cp9")), rehearsed("nodes = 1", &machine("cp1"))), (None, None));
    }

    #[test]
    fn it_is_an_inventory() {
        let parsed = crate::parse("drill.toml", &rehearsed(PROD, &machine("cp1")).unwrap()).unwrap();
        let names: Vec<&str> = parsed.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!((names, parsed.cluster.archive.written_by_nodes().count()), (vec!["cp1"], 0));
    }
}
