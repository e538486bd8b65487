//! IN: the bundle's certificates for this node. OUT: CAs, service account keys, leafs, kubeconfigs.
//! ORDER: before whatever reads them.
//!
//! Shared files are compared by their bytes. A leaf is compared by what it says, so that one which `kubeadm
//! certs renew` or a kubelet's rotation wrote is left alone while it is good.

use crate::{Context, secret};
use inventory::Node;
use pki::{Body, ExposeSecret, Held, Leaf, NodeFile, NodeLeaf};
use std::net::IpAddr;
use step::{Digest, File, Script, Secret, Step};

/// Every PKI file of a node.
pub fn steps(context: &Context, node: &Node) -> Vec<Step> {
    let Some(made) = context.node_files.get(&node.name) else { return Vec::new() };
    let shared = made.files.iter().map(|file| Step::file(shared(file)));
    shared.chain(made.leafs.iter().map(leaf)).collect()
}

fn shared(file: &NodeFile) -> File {
    match &file.body {
        Body::Public(text) => File::text(&file.path, text.clone()),
        Body::Secret(text) => File::secret(&file.path, secret(text)),
        Body::Link(to) => File::link(&file.path, to.clone()),
    }
    .mode(file.mode)
}

/// One leaf with its key: written together or not at all.
fn leaf(leaf: &NodeLeaf) -> Step {
    let title = leaf.files.last().map_or_else(String::new, |file| file.path.clone());
    let mut run = String::from("umask 077\n");
    let mut input = String::new();
    for file in &leaf.files {
        let path = step::quote(&file.path);
        let folder = step::quote(file.path.rsplit_once('/').map_or("/", |(folder, _)| folder));
        run.push_str(&format!("[ -d {folder} ] || mkdir -p {folder}\n"));
        match &file.body {
            Body::Link(to) => run.push_str(&format!("ln -sfn {} {path}\n", step::quote(to))),
            Body::Public(text) => push_file(&mut run, &mut input, &file.path, file.mode, text),
            Body::Secret(text) => {
                push_file(&mut run, &mut input, &file.path, file.mode, text.expose_secret())
            }
        }
    }
    // Written files are compared with what was sent: four starts of openssl for each would cost more than minting.
    // Their sum comes on standard input, since it is another one in every run.
    let done_when = good(&leaf.wants).input(Secret::new(Digest::of(input.as_bytes()).hex()));
    Step::run(title, done_when, Script::new(run).input(Secret::new(input)))
}

/// Takes the next lines of standard input: `head` would read ahead, so the shell reads them itself.
fn push_file(run: &mut String, input: &mut String, path: &str, mode: u32, text: &str) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (target, staged) = (step::quote(path), step::quote(&format!("{folder}/.{name}.rekindle")));
    let mask = 0o777 & !mode;
    run.push_str(&format!(
        "rm -f {staged}\numask {mask:03o}\nn={}\n\
         while [ $n -gt 0 ] && IFS= read -r line; do printf '%s\\n' \"$line\"; n=$((n - 1)); done >{staged}\n\
         umask 077\nmv -f {staged} {target}\n",
        text.lines().count()
    ));
    for line in text.lines() {
        input.push_str(line);
        input.push('\n');
    }
}

fn good(wants: &Leaf) -> Script {
    let (held, cert, key) = match &wants.held {
        Held::Pair { certificate, key } => ("pair", certificate, key),
        Held::Kubeconfig { path } => ("kubeconfig", path, path),
        Held::Pem { path } => ("pem", path, path),
    };
    // RFC 2253 prints the last part first, with `,` and friends escaped; ours hold none of these.
    let subject = &wants.subject;
    let organization = subject.organization.map_or_else(String::new, |name| format!(",O={name}"));
    let usages: Vec<&str> = subject.usages.iter().map(|usage| usage.as_openssl()).collect();
    let dns = subject.names.iter().map(|name| format!("DNS:{name}\n"));
    let sans: String =
        dns.chain(subject.addresses.iter().map(|ip| format!("IP Address:{}\n", as_openssl(*ip)))).collect();
    Script::new(include_str!("leaf_is_good.sh"))
        .set("HELD", held)
        .set("CERT", cert)
        .set("KEY", key)
        .set("CA", wants.ca_path)
        .set("SUBJECT", &format!("CN={}{organization}", subject.common_name))
        .set("SANS", &sans)
        .set("USAGES", &usages.join(", "))
        .set("DUE", &(u64::from(wants.min_days) * 86_400).to_string())
        .set("SERVER", wants.server.as_deref().unwrap_or_default())
}

/// An address as `openssl x509 -ext subjectAltName` prints it: IPv6 in upper case, nothing left out.
fn as_openssl(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => ip.segments().map(|group| format!("{group:X}")).join(":"),
    }
}
