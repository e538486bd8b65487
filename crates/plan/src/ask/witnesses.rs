//! Whether something of the cluster before still answers, as one machine sees it: an apiserver or an etcd whose
//! certificate the archived CAs signed. What else may listen at such an address today is no witness.

use step::{Ask, Output, Script, Unreadable};

/// Something that answered: `ADDRESS PORT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Witness {
    /// The address.
    pub address: String,
    /// 6443 (an apiserver) or 2379 (an etcd).
    pub port: u16,
}

/// Asks each address. The CAs are PEM.
pub fn witnesses(addresses: &[String], cluster_ca: &str, etcd_ca: &str) -> Ask<Vec<Witness>> {
    let script = Script::new(include_str!("witnesses.sh"));
    let script = script.set("ADDRESSES", &addresses.join(" "));
    Ask { script: script.set("CLUSTER_CA", cluster_ca).set("ETCD_CA", etcd_ca), parse }
}

fn parse(output: &Output) -> Result<Vec<Witness>, Unreadable> {
    let mut found = Vec::new();
    let mut complete = false;
    for line in output.stdout.lines() {
        match line.split_once(' ') {
            Some((address, port)) => {
                let port = super::survey::number("port", port)?;
                found.push(Witness { address: address.into(), port });
            }
            None => complete |= line == "asked",
        }
    }
    // "Could not ask" is not "nobody is there".
    if complete { Ok(found) } else { Err(Unreadable(format!("it did not ask: {}", output.stderr.trim()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn could_not_ask_is_not_nobody_there() {
        let ask = witnesses(&["10.0.0.1".into()], "A", "B");
        let answer = |stdout: &str| {
            (ask.parse)(&Output { status: 0, stdout: stdout.into(), stderr: "no curl".into() })
        };
        assert_eq!(answer("asked\n").unwrap(), []);
        let there = Witness { address: "10.0.0.1".into(), port: 2379 };
        assert_eq!(answer("10.0.0.1 2379\nasked\n").unwrap(), [there]);
        for text in ["", "10.0.0.1 2379\n", "10.0.0.1 x\nasked\n"] {
            assert!(answer(text).is_err(), "{text}");
        }
    }
}
