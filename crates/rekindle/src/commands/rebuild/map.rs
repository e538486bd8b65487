//! `--map OLD=NEW`: nodes of the archived inventory at other addresses, under other names, or not at all. A host name is
//! resolved once, here: from then on the inventory holds addresses.

use super::start::names;
use crate::failure::Failure;
use inventory::{Cluster, Node, SshTarget};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// sshd's port.
const SSH_PORT: u16 = 22;

/// What a name stands for.
pub type Resolve<'a> = dyn Fn(&str) -> Vec<IpAddr> + 'a;

/// The cluster with its nodes where they are now.
///
/// # Errors
/// Every mistake of every `--map`.
pub fn mapped(mut cluster: Cluster, maps: &[String], resolve: &Resolve) -> Result<Cluster, Failure> {
    let (mut mistakes, mut seen, mut out) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let known = names(&cluster);
    // By their old names: a name may go from one node to another.
    let mut nodes: Vec<(String, Node)> =
        cluster.nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
    for map in maps {
        let mut wrong = |what: String| mistakes.push(format!("--map {map}: {what}"));
        let Some((old, new)) = map.split_once('=') else {
            wrong("OLD=NEW is wanted".into());
            continue;
        };
        let Some((_, node)) = nodes.iter_mut().find(|(name, _)| name == old) else {
            wrong(format!("the archived inventory has no node {old}: it has {known}"));
            continue;
        };
        if !seen.insert(old.to_owned()) {
            wrong(format!("{old} is mapped twice"));
            continue;
        }
        if new == "-" {
            out.insert(old.to_owned());
        } else if let Err(what) = place(node, new, resolve) {
            wrong(what);
        }
    }
    nodes.retain(|(name, _)| !out.contains(name));
    for (at, (old, node)) in nodes.iter().enumerate() {
        for (other, before) in nodes.iter().take(at) {
            if before.name == node.name {
                mistakes.push(format!("--map: {other} and {old} would both be called {}", node.name));
            }
            if before.address == node.address {
                mistakes.push(format!("--map: {other} and {old} would both be at {}", node.address));
            }
        }
    }
    cluster.nodes = nodes.into_iter().map(|(_, node)| node).collect();
    if mistakes.is_empty() {
        return Ok(cluster);
    }
    Err(Failure::refused(mistakes.join("\n"))
        .hint("OLD=ADDRESS, OLD=NAME@ADDRESS, either followed by ,ssh=HOST:PORT; OLD=- leaves a node out"))
}

/// `[NAME@]ADDRESS[,ADDRESS][,ssh=HOST[:PORT]]`; the second address in a dual-stack cluster.
fn place(node: &mut Node, new: &str, resolve: &Resolve) -> Result<(), String> {
    let (name, at) = new.split_once('@').map_or((None, new), |(name, at)| (Some(name), at));
    let (ssh, hosts): (Vec<&str>, Vec<&str>) = at.split(',').partition(|part| part.starts_with("ssh="));
    let family = node.address.is_ipv4();
    let (address, second) = match (&hosts[..], node.second_address) {
        ([one], None) => (address(one, family, resolve)?, None),
        ([one, other], Some(_)) => (address(one, family, resolve)?, Some(address(other, !family, resolve)?)),
        (_, None) => return Err("one address is wanted".into()),
        (_, Some(_)) => return Err(format!("{} has an address of each family: two are wanted", node.name)),
    };
    // A port of its own belongs to a way in of its own.
    let port = if node.ssh.host == node.address.to_string() { node.ssh.port } else { SSH_PORT };
    let user = node.ssh.user.clone();
    node.ssh = match &ssh[..] {
        [] => SshTarget { host: address.to_string(), port, user },
        [one] => target(one.trim_start_matches("ssh="), user)?,
        _ => return Err("one ssh= is wanted".into()),
    };
    (node.address, node.second_address) = (address, second);
    if let Some(name) = name {
        name.clone_into(&mut node.name);
    }
    Ok(())
}

fn address(text: &str, v4: bool, resolve: &Resolve) -> Result<IpAddr, String> {
    let kind = if v4 { "IPv4" } else { "IPv6" };
    if let Ok(address) = text.parse::<IpAddr>() {
        let fits = address.is_ipv4() == v4;
        return if fits { Ok(address) } else { Err(format!("{text} is no {kind} address")) };
    }
    if text.is_empty() {
        return Err("an address is wanted".into());
    }
    let found = resolve(text);
    if found.is_empty() {
        return Err(format!("the name {text} does not resolve: write the address"));
    }
    let fits = found.into_iter().find(|address| address.is_ipv4() == v4);
    fits.ok_or_else(|| format!("the name {text} has no {kind} address: write the address"))
}

fn target(text: &str, user: String) -> Result<SshTarget, String> {
    let wrong = || format!("ssh={text}: HOST or HOST:PORT is wanted");
    let (host, port) = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(both), _) => (both.ip().to_string(), both.port()),
        (_, Ok(address)) => (address.to_string(), SSH_PORT),
        _ => match text.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().map_err(|_| wrong())?),
            None => (text.to_owned(), SSH_PORT),
        },
    };
    if host.is_empty() || port == 0 { Err(wrong()) } else { Ok(SshTarget { host, port, user }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        let text = "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
            cp1 = { address = \"10.0.0.11\", role = \"control-plane\" }\n\
            w1 = { address = \"10.0.0.21\", ssh = \"gate:2201\", user = \"ann\" }\n\
            w2 = { address = \"10.0.0.22\" }\nw3 = { address = \"10.0.0.23\" }\n[ssh]\nport = 2222\n";
        inventory::parse("x", text).unwrap().cluster
    }

    fn map(maps: &[&str]) -> Result<Cluster, Failure> {
        let resolve = |name: &str| -> Vec<IpAddr> {
            match name {
                "new.example" => vec!["fd00::5".parse().unwrap(), "10.1.0.5".parse().unwrap()],
                "six.example" => vec!["fd00::5".parse().unwrap()],
                _ => Vec::new(),
            }
        };
        let maps: Vec<String> = maps.iter().map(|&map| map.to_owned()).collect();
        mapped(cluster(), &maps, &resolve)
    }

    #[test]
    fn nodes_elsewhere_renamed_and_left_out() {
        let now =
            map(&["cp1=10.1.0.11", "w1=n1@new.example", "w2=-", "w3=w2@10.1.0.23,ssh=gate:2203"]).unwrap();
        let line = |node: &Node| {
            let SshTarget { host, port, user } = &node.ssh;
            format!("{} {} {user}@{host}:{port} {}", node.name, node.address, node.pod_cidrs[0])
        };
        assert_eq!(
            now.nodes.iter().map(line).collect::<Vec<_>>(),
            [
                "cp1 10.1.0.11 root@10.1.0.11:2222 10.244.0.0/24",
                "n1 10.1.0.5 ann@10.1.0.5:22 10.244.1.0/24",
                "w2 10.1.0.23 root@gate:2203 10.244.3.0/24",
            ]
        );
        assert_eq!(map(&["w2=w3@10.0.0.22", "w3=w2@10.0.0.23"]).unwrap().nodes[2].name, "w3");
        assert_eq!(inventory::parse("x", &inventory::effective(&now)).unwrap().cluster, now);
    }

    #[test]
    fn all_mistakes_at_once() {
        let refused = map(&[
            "cp1",
            "cp9=10.1.0.9",
            "w1=no.example",
            "w1=10.1.0.1",
            "w2=six.example",
            "w3=w2@10.0.0.11",
            "cp1=10.0.0.12,10.0.0.13",
            "cp1=10.0.0.12,ssh=:22",
        ]);
        insta::assert_snapshot!(refused.unwrap_err().message, @r"
        --map cp1: OLD=NEW is wanted
        --map cp9=10.1.0.9: the archived inventory has no node cp9: it has cp1, w1, w2, w3
        --map w1=no.example: the name no.example does not resolve: write the address
        --map w1=10.1.0.1: w1 is mapped twice
        --map w2=six.example: the name six.example has no IPv4 address: write the address
        --map cp1=10.0.0.12,10.0.0.13: one address is wanted
        --map cp1=10.0.0.12,ssh=:22: cp1 is mapped twice
        --map: cp1 and w3 would both be at 10.0.0.11
        --map: w2 and w3 would both be called w2
        ");
    }
}
