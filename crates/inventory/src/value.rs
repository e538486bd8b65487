//! What single values mean: names, addresses, networks, endpoints, versions, durations. Each function takes
//! the text between the quotes and gives the value, or a [`Mistake`] without a place.

use crate::SshTarget;
use crate::error::Mistake;
use ipnet::IpNet;
use semver::Version;
use std::net::IpAddr;
use std::time::Duration;

/// The minor versions of Kubernetes 1 that kubeadm's v1beta4 and our templates were tested with.
const MINORS: std::ops::RangeInclusive<u64> = 35..=37;

/// The port of kube-apiserver, kubeadm's default `bindPort`.
pub(crate) const API_PORT: u16 = 6443;

type Read<T> = Result<T, Mistake>;

fn wrong<T>(message: String, right: &str) -> Read<T> {
    Err(Mistake::new(None, message, right))
}

/// An RFC 1123 label: at most 63 lower case letters, digits and `-`, which neither begins nor ends it.
pub(crate) fn label(text: &str) -> Read<String> {
    if is_label(text) {
        return Ok(text.into());
    }
    let right = "an RFC 1123 label: at most 63 of a-z, 0-9 and -, no - at either end";
    let better = text.to_ascii_lowercase().replace(['_', '.', ' '], "-");
    let message =
        if text.is_empty() { "the name is empty".into() } else { format!("`{}` is no name", brief(text)) };
    let mistake = Mistake::new(None, message, right);
    Err(if is_label(&better) { mistake.hint(format!("write \"{better}\"")) } else { mistake })
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A DNS name: RFC 1123 labels joined by dots, at most 253 characters.
pub(crate) fn dns_name(text: &str) -> Read<String> {
    if is_dns_name(text) {
        return Ok(text.into());
    }
    wrong(format!("`{}` is no DNS name", brief(text)), "labels of a-z, 0-9 and -, joined by dots")
}

pub(crate) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A name of a certificate: an address, or a DNS name that may begin with `*.`.
pub(crate) fn certificate_name(text: &str) -> Read<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if text.parse::<IpAddr>().is_ok() || is_dns_name(name) {
        return Ok(text.into());
    }
    wrong(format!("`{}` is no name of a certificate", brief(text)), "a DNS name or an address, without port")
}

/// An exact, supported version of Kubernetes.
pub(crate) fn kubernetes_version(text: &str) -> Read<Version> {
    let right = "an exact version, 1.35.0 to 1.37.x";
    let version = match Version::parse(text) {
        Ok(version) if version.pre.is_empty() && version.build.is_empty() => version,
        _ => {
            let mistake =
                Mistake::new(None, format!("`{}` is no version of the form x.y.z", brief(text)), right);
            let bare = text.trim_start_matches('v');
            let hint = match Version::parse(bare) {
                Ok(version) if text != bare => format!("write \"{version}\", without the v"),
                _ if bare.matches('.').count() == 1 => {
                    format!("name the patch release too: \"{bare}.0\" or newer")
                }
                _ => return Err(mistake),
            };
            return Err(mistake.hint(hint));
        }
    };
    if version.major == 1 && MINORS.contains(&version.minor) {
        return Ok(version);
    }
    wrong(format!("Kubernetes {version} is not supported"), right)
}

/// An address that other machines can reach.
pub(crate) fn address(text: &str) -> Read<IpAddr> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let mistake = Mistake::new(
            None,
            format!("`{}` is no address", brief(text)),
            "an IPv4 or IPv6 address, without port or mask",
        );
        return Err(if is_dns_name(text) && text.contains(|letter: char| letter.is_ascii_alphabetic()) {
            mistake.hint("nodes use addresses among themselves; a name to reach it by goes in `ssh`")
        } else {
            mistake
        });
    };
    let kind = match address {
        _ if address.is_loopback() => "the loopback address of whoever uses it",
        _ if address.is_unspecified() => "no machine's address",
        _ if address.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "a broadcast address",
        IpAddr::V4(v4) if v4.is_link_local() => "a link-local address",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "a link-local address",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address in IPv6 form",
        _ => return Ok(address),
    };
    let mistake = Mistake::new(None, format!("{address} is {kind}"), "the address other nodes reach it by");
    Err(if address.is_loopback() {
        mistake.hint("how we reach it from here goes in `ssh`, for example `ssh = \"127.0.0.1:60022\"`")
    } else {
        mistake
    })
}

/// A network in CIDR notation, no bit set beyond its prefix.
pub(crate) fn network(text: &str) -> Read<IpNet> {
    let right = "a network like 10.244.0.0/16 or fd00:10:244::/48";
    let Ok(network) = text.parse::<IpNet>() else {
        return wrong(format!("`{}` is no network", brief(text)), right);
    };
    if network.addr() != network.network() {
        let message = format!("{network} has bits set beyond its prefix");
        return wrong(message, &format!("its network is {}", network.trunc()));
    }
    Ok(network)
}

/// `host` or `host:port`; an IPv6 address with a port stands in brackets.
pub(crate) fn endpoint(text: &str) -> Read<(String, u16)> {
    let (host, port) = host_and_port(text)?;
    Ok((host.into(), port.unwrap_or(API_PORT)))
}

/// `[user@]host[:port]`, `[v6]:port` or an alias of `~/.ssh/config`.
pub(crate) fn ssh_target(text: &str, port: u16, user: &str) -> Read<SshTarget> {
    let (user, host) = match text.rsplit_once('@') {
        Some((user, host)) => (login(user)?, host),
        None => (user.into(), text),
    };
    let (host, written) = host_and_port(host)?;
    Ok(SshTarget { host: host.into(), port: written.unwrap_or(port), user })
}

/// `[user@]host[:port]`; root and 22 where it does not say them.
impl std::str::FromStr for SshTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ssh_target(text, 22, "root").map_err(|mistake| format!("{}: {}", mistake.message, mistake.right))
    }
}

fn host_and_port(text: &str) -> Read<(&str, Option<u16>)> {
    let refused =
        || wrong(format!("`{}` is no host", brief(text)), "\"host\", \"host:port\" or \"[v6]:port\"");
    let (host, port) = if text.parse::<IpAddr>().is_ok() {
        (text, None)
    } else if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return refused(),
        }
    } else {
        text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let bracketed = text.starts_with('[');
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let good = match host.parse::<IpAddr>() {
        Ok(address) => address.is_ipv6() || !bracketed,
        Err(_) => !bracketed && !host.is_empty() && !host.starts_with('-') && host.bytes().all(is_host),
    };
    if !good || host.len() > 253 {
        return refused();
    }
    match port.map(|port| (port, port.parse::<u16>())) {
        None => Ok((host, None)),
        Some((_, Ok(port))) if port != 0 => Ok((host, Some(port))),
        Some((port, _)) => wrong(format!("`{}` is no port", brief(port)), "a number from 1 to 65535"),
    }
}

/// A login: what `useradd` takes.
pub(crate) fn login(text: &str) -> Read<String> {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if (1..=32).contains(&text.len()) && !text.starts_with(['-', '.']) && text.bytes().all(rest) {
        return Ok(text.into());
    }
    wrong(format!("`{}` is no login", brief(text)), "a user name like \"root\" or \"ops\"")
}

/// A whole number and its unit: `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Read<Duration> {
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86400),
        _ => None,
    };
    let number = number.parse::<u64>().ok().filter(|&number| number > 0);
    match seconds.zip(number).and_then(|(seconds, number)| number.checked_mul(seconds)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => wrong(format!("`{}` is no duration", brief(text)), "a number and s, m, h or d, like \"10m\""),
    }
}

/// The form that [`duration`] reads.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (unit, name) = [(86400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')]
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
        .unwrap_or((1, 's'));
    format!("{}{name}", seconds / unit)
}

/// The beginning of a value that may be very long, for messages.
pub(crate) fn brief(text: &str) -> String {
    let mut brief: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        brief.push('…');
    }
    brief.replace("\\\"", "\"").replace("\\'", "'")
}
