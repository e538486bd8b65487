//! The layer below kube-proxy: iptables, nft and conntrack with their libraries, taken out of Debian's packages by
//! mmdebstrap. Its bytes depend on the day's packages, so it is made once and kept.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::cache::{self, Cache, blocking};
use crate::error::{At as _, Error};
use crate::image::{Node, write_layer};
use crate::listed::made;
use crate::payload::Arch;

const SUITE: &str = "bookworm";
const PACKAGES: &str = "iptables,nftables,conntrack,kmod";
/// What programs need at run time; the rest (documentation, apt's own files, the maker's resolv.conf) stays out.
const KEPT: [&str; 9] =
    ["bin/", "sbin/", "lib/", "lib64/", "usr/bin/", "usr/sbin/", "usr/lib/", "etc/protocols", "etc/services"];

/// The layer as a file.
pub(crate) async fn layer(arch: Arch, cache: &Cache) -> Result<PathBuf, Error> {
    let below = format!("image/packages/{SUITE}_{arch}");
    let listed = made(cache, &below, async |folder: &Path| {
        let archive = folder.join("packages.tar");
        extract(arch, &archive).await?;
        let to = folder.join("layer.tar");
        blocking(move || {
            let nodes = select(&archive)?;
            cache::write_with(&to, 0o644, |file| write_layer(&nodes, io::BufWriter::new(file), &to))?;
            std::fs::remove_file(&archive).at("remove", &archive)
        })
        .await
    })
    .await?;
    Ok(listed.checked("layer.tar").await?.file)
}

async fn extract(arch: Arch, archive: &Path) -> Result<(), Error> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=extract", "--format=tar", &format!("--include={PACKAGES}")]);
    command.arg(format!("--architectures={arch}")).arg(SUITE).arg(archive);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing {
                program: "mmdebstrap",
                purpose: "make kube-proxy's image",
                install: "apt-get install mmdebstrap",
            });
        }
        output => output.at("run", Path::new("mmdebstrap"))?,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    Err(Error::Failed {
        command: format!("mmdebstrap --variant=extract --include={PACKAGES} {SUITE}"),
        status: output.status.to_string(),
        last_lines: lines[lines.len().saturating_sub(20)..].join("\n"),
    })
}

fn select(archive: &Path) -> Result<BTreeMap<String, Node>, Error> {
    let mut nodes = BTreeMap::new();
    let file = std::fs::File::open(archive).at("open", archive)?;
    for entry in tar::Archive::new(io::BufReader::new(file)).entries().at("read", archive)? {
        let mut entry = entry.at("read", archive)?;
        let path = entry.path().at("read", archive)?.to_string_lossy().trim_start_matches("./").to_owned();
        if !KEPT.iter().any(|kept| path.starts_with(kept)) {
            continue;
        }
        let target =
            entry.link_name().at("read", archive)?.map(|target| target.to_string_lossy().into_owned());
        let node = match (entry.header().entry_type(), target) {
            (tar::EntryType::Regular, _) => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).at("read", archive)?;
                Node::Bytes(bytes, entry.header().mode().at("read", archive)? & 0o755)
            }
            (tar::EntryType::Symlink, Some(target)) => Node::Link(target),
            (tar::EntryType::Link, Some(target)) => {
                Node::Link(format!("/{}", target.trim_start_matches("./")))
            }
            _ => continue,
        };
        nodes.insert(path, node);
    }
    // The packages' own scripts, which set these, do not run in an extraction.
    for family in ["iptables", "ip6tables"] {
        for ending in ["", "-save", "-restore"] {
            nodes.insert(format!("usr/sbin/{family}{ending}"), Node::Link("xtables-nft-multi".into()));
        }
    }
    Ok(nodes)
}
