//! Who writes an archive's places, and what fails together: their domains, and which of them are the cluster itself.

use crate::{Archive, Cluster, Destination, Place, Writer};

impl Archive {
    /// The places that nodes write, in the order of the file.
    pub fn written_by_nodes(&self) -> impl Iterator<Item = &Destination> {
        self.to.iter().filter(|to| to.from == Writer::Nodes)
    }
}

impl Cluster {
    /// What fails together with a place of the archive: what the inventory says, else its server, or the place alone.
    /// `None` where a machine of the cluster keeps it: that is never a domain of its own, whatever the inventory says.
    ///
    /// A machine is known by the address or name under which the cluster has it. A mounted folder is a file system on
    /// the network, as its `mounted` says.
    pub fn domain_of(&self, to: &Destination) -> Option<String> {
        let server = match &to.place {
            Place::Folder { path, .. } => (None, path.to_string_lossy().into_owned()),
            Place::S3(bucket) => match &bucket.endpoint {
                Some(endpoint) => (Some(host(endpoint)), endpoint.clone()),
                // A region of Amazon's is one place.
                None => (None, format!("s3.{}", bucket.region.as_deref().unwrap_or("us-east-1"))),
            },
            Place::Ssh { target, .. } => (Some(target.host.as_str()), target.host.clone()),
        };
        match server {
            (Some(host), _) if self.is_a_machine(host) => None,
            (_, server) => Some(to.domain.clone().unwrap_or(server)),
        }
    }

    fn is_a_machine(&self, host: &str) -> bool {
        let own = |address: &std::net::IpAddr| host.parse() == Ok(*address);
        self.api.host == host
            || self.nodes.iter().any(|node| {
                node.name == host
                    || own(&node.address)
                    || node.second_address.as_ref().is_some_and(own)
                    // Nodes that are all reached by way of one host, at ports of their own, are not that host.
                    || (node.ssh.host == host && host.parse() != Ok(std::net::IpAddr::from([127, 0, 0, 1])))
            })
    }
}

/// The host of `https://host[:port]`.
fn host(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => rest.split_once(':').map_or(rest, |(host, _)| host),
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn places_and_what_fails_with_them() {
        let rows = [
            ("\"./archive\"", Some("./archive")),
            ("{ url = \"/mnt/backup\", mounted = true }", Some("/mnt/backup")),
            ("\"s3://backups/prod\"", Some("s3.us-east-1")),
            ("{ url = \"s3://backups/prod\", region = \"eu-central-1\" }", Some("s3.eu-central-1")),
            ("{ url = \"s3://backups/prod\", domain = \"site-b\" }", Some("site-b")),
            (
                "{ url = \"s3://backups/prod\", endpoint = \"https://s3.site:9000\" }",
                Some("https://s3.site:9000"),
            ),
            ("\"ssh://backup@10.0.9.9/srv\"", Some("10.0.9.9")),
            // Machines of the cluster, by each of their names.
            ("{ url = \"s3://backups/prod\", endpoint = \"http://10.0.0.11:9000\" }", None),
            ("{ url = \"s3://backups/prod\", endpoint = \"http://[fd00::11]:9000\", domain = \"x\" }", None),
            ("\"ssh://backup@cp1/srv\"", None),
            ("\"ssh://backup@cp1.example.net/srv\"", None),
            ("\"ssh://backup@api.prod.internal/srv\"", None),
        ];
        for (to, expected) in rows {
            let text = format!(
                "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
                 cp1 = {{ address = [\"10.0.0.11\", \"fd00::11\"], ssh = \"cp1.example.net\", role = \"control-plane\" }}\n\
                 [network]\npods = [\"10.244.0.0/16\", \"fd01::/48\"]\nservices = [\"10.96.0.0/12\", \"fd02::/112\"]\n\
                 [archive]\nto = [\"./away\", {to}]\n"
            );
            let parsed = parse("prod.toml", &text).unwrap_or_else(|mistakes| panic!("{to}: {mistakes:?}"));
            let found = parsed.cluster.domain_of(&parsed.cluster.archive.to[1]);
            assert_eq!(found.as_deref(), expected, "{to}");
        }
    }
}
