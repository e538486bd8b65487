//! Names of labs and nodes, and the names of everything on the host that is derived from them.
//!
//! A lab is known by its folder, so two labs of one name in two places do not meet: each derived name carries a
//! tag that is computed from the folder's path. The derivation never changes, since [`crate::Lab::down`] must find
//! what another version of the program made.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Start of the alias that marks a bridge as one of ours.
const ALIAS: &str = "rekindle-lab:";

/// Which lab: its name and the folder that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabId {
    name: String,
    dir: PathBuf,
}

impl LabId {
    /// The lab `name` in `labs_dir`, whether it exists or not.
    ///
    /// # Errors
    /// Where the name is no RFC 1123 label or `labs_dir` cannot be made absolute.
    pub fn new(labs_dir: &Path, name: &str) -> Result<Self> {
        let name = label(name, "name of a lab")?;
        // A link in the path must not make another lab of it.
        let labs_dir = match labs_dir.canonicalize() {
            Ok(path) => path,
            Err(_) => std::path::absolute(labs_dir).map_err(Error::file("resolve", labs_dir))?,
        };
        let dir = labs_dir.join(&name);
        Ok(Self { name, dir })
    }

    /// Name of the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Folder of the lab.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Five hexadecimal digits that tell labs of one name apart.
    fn tag(&self) -> String {
        tag(&self.dir.to_string_lossy())
    }

    /// The lab's bridge: at most 15 characters, which is what a link's name may have (`IFNAMSIZ` less one).
    #[must_use]
    pub fn bridge(&self) -> String {
        format!("rk-{}-{}", short(&self.name), self.tag())
    }

    /// The alias that the bridge carries.
    #[must_use]
    pub fn alias(&self) -> String {
        format!("{ALIAS}{}", self.dir.display())
    }

    /// What the names of all cgroups and units of this lab start with.
    #[must_use]
    pub fn group_prefix(&self) -> String {
        format!("rekindle-lab.{}-{}.", self.name, self.tag())
    }

    /// Name of a node's cgroups, and of its unit without `.service`.
    #[must_use]
    pub fn group(&self, node: &str) -> String {
        format!("{}{node}", self.group_prefix())
    }

    /// The machine name that systemd-nspawn knows a node by: at most 12 characters, so that the name of its link
    /// on the host, `vb-` and this, is never shortened.
    #[must_use]
    pub fn machine(&self, node: &str) -> String {
        format!("{}-{}", short(node), tag(&format!("{}/{node}", self.dir.display())))
    }

    /// A node's link on the host.
    #[must_use]
    pub fn veth(&self, node: &str) -> String {
        format!("vb-{}", self.machine(node))
    }
}

/// Checks that `name` is an RFC 1123 label: 1 to 63 of a-z, 0-9 and `-`, which is neither first nor last.
pub(crate) fn label(name: &str, kind: &'static str) -> Result<String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let right = (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    match right {
        true => Ok(name.to_owned()),
        false => Err(Error::Name {
            name: name.to_owned(),
            kind,
            rule: "1 to 63 characters a-z, 0-9 and `-`, which is neither first nor last",
        }),
    }
}

/// Checks that `name` is a host name: labels with dots between them, 64 characters at most (Linux's limit).
pub(crate) fn host_name(name: &str) -> Result<String> {
    if name.len() > 64 {
        return Err(Error::Name { name: name.to_owned(), kind: "host name", rule: "64 characters at most" });
    }
    name.split('.').try_for_each(|part| label(part, "host name").map(drop))?;
    Ok(name.to_owned())
}

/// The first six characters of a label.
fn short(label: &str) -> &str {
    label.get(..6).unwrap_or(label)
}

/// Twenty bits of the FNV-1a hash of a text (draft-eastlake-fnv), in hexadecimal. It tells names apart; it protects
/// nothing.
fn tag(text: &str) -> String {
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{:05x}", (hash ^ (hash >> 32)) & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(dir: &str, name: &str) -> LabId {
        LabId { name: name.to_owned(), dir: Path::new(dir).join(name) }
    }

    #[test]
    fn derived_names_stay_as_they_are_for_ever() {
        let lab = id("/var/lib/rekindle/labs", "lab");
        let long = id("/var/lib/rekindle/labs", "a-lab-with-a-very-long-name-that-a-person-gave");
        let all = [&lab, &long].map(|l| {
            [l.bridge(), l.alias(), l.group("cp1"), l.machine("cp1"), l.veth("worker-with-long-name")]
                .join("\n")
        });
        insta::assert_snapshot!(all.join("\n\n"), @r#"
        rk-lab-d6297
        rekindle-lab:/var/lib/rekindle/labs/lab
        rekindle-lab.lab-d6297.cp1
        cp1-205d5
        vb-worker-7ceb9

        rk-a-lab--abc13
        rekindle-lab:/var/lib/rekindle/labs/a-lab-with-a-very-long-name-that-a-person-gave
        rekindle-lab.a-lab-with-a-very-long-name-that-a-person-gave-abc13.cp1
        cp1-50d3d
        vb-worker-ba784
        "#);
    }

    #[test]
    fn links_fit_the_kernels_limit_and_nothing_meets() {
        let labs = [id("/a", "lab"), id("/b", "lab"), id("/a", "lab-1"), id("/a", "lab-with-long-name-1")];
        let mut seen = std::collections::BTreeSet::new();
        for lab in &labs {
            assert!(lab.bridge().len() <= 15, "{}", lab.bridge());
            assert!(seen.insert(lab.bridge()));
            for node in ["cp1", "cp2", "worker-number-1", "worker-number-2"] {
                assert!(lab.veth(node).len() <= 15, "{}", lab.veth(node));
                assert!(seen.insert(lab.veth(node)));
                assert!(seen.insert(lab.group(node)));
            }
            let others = labs.iter().filter(|other| *other != lab);
            assert!(others.into_iter().all(|other| !other.group("x").starts_with(&lab.group_prefix())));
        }
    }

    #[test]
    fn names_are_labels() {
        for good in ["a", "cp1", "a-b", "9", &"x".repeat(63)] {
            assert_eq!(LabId::new(Path::new("/"), good).unwrap().name(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "..", "ü", "a b", &"x".repeat(64)] {
            assert!(matches!(LabId::new(Path::new("/"), bad), Err(Error::Name { .. })), "{bad}");
        }
        for (name, good) in [("other.example.com", true), ("a..b", false), (".", false), ("x", true)] {
            assert_eq!(host_name(name).is_ok(), good, "{name}");
        }
    }
}
