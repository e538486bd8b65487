//! The lab's network: one bridge on the host, in a subnet that nothing else here uses.
//!
//! The host has the first address and forwards nothing that comes from the bridge. Only a bridge that carries this
//! lab's mark is ever touched: its alias, or (where we died before we set it) the hardware address it was born with.

use crate::command::run;
use crate::names::LabId;
use crate::{Error, Result};
use ipnet::Ipv4Net;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Where the kernel lists this host's links. Whoever chooses a subnet locks it.
pub(crate) const LINKS: &str = "/sys/class/net";
/// Where labs take their subnets from: 256 of /24.
const POOL: &str = "10.213.0.0/16";
/// The first node's last number; what is below is the host's and free for virtual addresses.
pub(crate) const FIRST_NODE: u32 = 11;

/// The first /24 of the pool that overlaps nothing that is taken.
pub(crate) fn choose(taken: &[Ipv4Net]) -> Result<Ipv4Net> {
    let overlaps = |a: &Ipv4Net| taken.iter().any(|b| a.contains(b) || b.contains(a));
    (0..=255)
        .filter_map(|n| Ipv4Net::new(Ipv4Addr::new(10, 213, n, 0), 24).ok())
        .find(|net| !overlaps(net))
        .ok_or(Error::NoSubnet { pool: POOL })
}

/// The host's own address in a subnet.
pub(crate) fn gateway(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) + 1)
}

/// The address of the node with this index.
pub(crate) fn address(subnet: Ipv4Net, index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) + FIRST_NODE + index)
}

/// Networks that this host has a route to, the default route and loopback aside.
///
/// # Errors
/// Where `ip` fails or says something unexpected.
pub(crate) fn routes() -> Result<Vec<(Ipv4Net, String)>> {
    parse_routes(&run!["ip", "-json", "-4", "route", "show", "table", "all"].read()?)
}

fn parse_routes(json: &str) -> Result<Vec<(Ipv4Net, String)>> {
    #[derive(serde::Deserialize)]
    struct Route {
        dst: String,
        #[serde(default)]
        dev: String,
    }
    let unreadable =
        |e: serde_json::Error| Error::Unreadable { what: "`ip route`".to_owned(), why: e.to_string() };
    let routes: Vec<Route> = serde_json::from_str(json).map_err(unreadable)?;
    let network = |dst: &str| dst.parse::<Ipv4Net>().or_else(|_| dst.parse::<Ipv4Addr>().map(Ipv4Net::from));
    Ok(routes
        .into_iter()
        .filter_map(|r| network(&r.dst).ok().map(|net| (net, r.dev)))
        .filter(|(net, _)| net.prefix_len() > 0 && !net.addr().is_loopback())
        .collect())
}

/// Makes the lab's bridge, or completes one that was made in part.
///
/// # Errors
/// Where a link of that name exists that is not ours, or `ip` fails.
pub(crate) fn ensure_bridge(id: &LabId, subnet: Ipv4Net) -> Result<()> {
    let bridge = id.bridge();
    if !ours(id)? {
        run!["ip", "link", "add", "name", &bridge, "address", birth_mark(id), "type", "bridge"].done()?;
    }
    run!["ip", "link", "set", "dev", &bridge, "alias", id.alias()].done()?;
    let own = format!("{}/{}", gateway(subnet), subnet.prefix_len());
    run!["ip", "address", "replace", own, "dev", &bridge].done()?;
    // A host that forwards (one with Docker) must not let nodes out.
    let forwarding = format!("/proc/sys/net/ipv4/conf/{bridge}/forwarding");
    fs::write(&forwarding, "0").map_err(Error::file("write", forwarding))?;
    run!["ip", "link", "set", "dev", &bridge, "up"].done()
}

/// Removes the lab's bridge and every link in it. A bridge that is not ours stays.
///
/// # Errors
/// Where `ip` fails.
pub(crate) fn remove_bridge(id: &LabId) -> Result<()> {
    if !matches!(ours(id), Ok(true)) {
        return Ok(());
    }
    let ports = link(&id.bridge()).join("brif");
    for port in fs::read_dir(&ports).map_err(Error::file("read", &ports))?.flatten() {
        remove_link(&port.file_name().to_string_lossy())?;
    }
    remove_link(&id.bridge())
}

/// Removes a link that we made; none there is fine.
///
/// # Errors
/// Where `ip` fails.
pub(crate) fn remove_link(name: &str) -> Result<()> {
    let removed = run!["ip", "link", "delete", "dev", name].done();
    // The kernel removes a veth by itself a moment after its namespace ended.
    if link(name).exists() { removed } else { Ok(()) }
}

/// Whether the lab's bridge exists. A link of its name that is not ours is an error.
fn ours(id: &LabId) -> Result<bool> {
    let dir = link(&id.bridge());
    if !dir.exists() {
        return Ok(false);
    }
    let read =
        |file: &str| fs::read_to_string(dir.join(file)).map(|s| s.trim().to_owned()).unwrap_or_default();
    let alias = read("ifalias");
    if alias == id.alias() || (alias.is_empty() && read("address") == birth_mark(id)) {
        return Ok(true);
    }
    Err(Error::ForeignLink { link: id.bridge(), alias })
}

/// The hardware address of the lab's bridge: locally administered, from its name. It also stays the same when nodes
/// come and go, where a bridge otherwise takes the lowest one of its ports.
fn birth_mark(id: &LabId) -> String {
    let name = id.bridge();
    let tail: Vec<String> = name.bytes().rev().take(5).map(|b| format!("{b:02x}")).collect();
    format!("02:{}", tail.join(":"))
}

fn link(name: &str) -> PathBuf {
    Path::new(LINKS).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_chosen_that_overlaps_nothing() {
        let cases: &[(&[&str], &str)] = &[
            (&[], "10.213.0.0/24"),
            (&["10.213.0.0/24"], "10.213.1.0/24"),
            (&["10.213.0.7/32", "10.213.1.0/30"], "10.213.2.0/24"),
            (&["10.213.0.0/17", "192.168.0.0/16"], "10.213.128.0/24"),
            (&["10.0.0.0/8"], "none"),
        ];
        for (taken, want) in cases {
            let taken: Vec<Ipv4Net> = taken.iter().map(|t| t.parse().unwrap()).collect();
            let got = choose(&taken).map_or("none".to_owned(), |net| net.to_string());
            assert_eq!(&got, want, "{taken:?}");
        }
    }

    #[test]
    fn addresses_follow_the_subnet() {
        let net: Ipv4Net = "10.213.4.0/24".parse().unwrap();
        let all = [gateway(net), address(net, 0), address(net, 199)].map(|a| a.to_string());
        assert_eq!(all, ["10.213.4.1", "10.213.4.11", "10.213.4.210"]);
    }

    #[test]
    fn routes_are_read_without_the_default_and_loopback() {
        let json = r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]},
            {"dst":"10.8.0.0/14","gateway":"192.0.2.9","dev":"tun0","flags":[]},
            {"type":"local","dst":"127.0.0.0/8","dev":"lo","table":"local","flags":[]},
            {"type":"blackhole","dst":"172.16.0.0/12","flags":[]},
            {"type":"local","dst":"192.0.2.2","dev":"eth0","table":"local","flags":[]}]"#;
        let got: Vec<String> =
            parse_routes(json).unwrap().into_iter().map(|(net, dev)| format!("{net} {dev}")).collect();
        assert_eq!(got, ["10.8.0.0/14 tun0", "172.16.0.0/12 ", "192.0.2.2/32 eth0"]);
        assert!(parse_routes("nonsense").is_err());
    }
}
