//! The fixed names of what lies in an archive. There are no others, so nothing read can name a path.

use crate::manifest::ManifestId;
use crate::{Digest, Fault};
use std::fmt;
use std::str::FromStr;

/// The name of one object at a destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// `FORMAT`: which format, whose archive.
    Format,
    /// `RECOVER.txt`: how a person opens it.
    Recover,
    /// `objects/ab/<sha256 of the ciphertext>`.
    Object(Digest),
    /// `gen/<epoch>-<revision>-<8 hex of the file's sha256>.json`: a signed manifest.
    Manifest {
        /// The epoch in which it was sealed.
        epoch: u64,
        /// etcd's revision; 0 for a set without etcd's data (etcd's own revisions start at 1).
        revision: u64,
        /// The first 8 hex digits of the sha256 of the file.
        tag: String,
    },
    /// `epoch/<n>.json`: the signed claim of an epoch.
    Epoch(u64),
    /// `proof/<8 hex of the manifest>-<run>.json`: a signed proof of a snapshot set.
    Proof {
        /// The first 8 hex digits of the manifest's sha256.
        tag: String,
        /// Tells the proofs of one set apart: 1 to 64 of `a-z 0-9 -`, the first no `-`.
        run: String,
    },
    /// `prune/<n>.json`: the signed record of what was removed.
    Prune(u64),
    /// `canary`: what is tried with a credential is tried on this; no part of the archive.
    Canary,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// `gen/`
    Generations,
    /// `epoch/`
    Epochs,
    /// `proof/`
    Proofs,
    /// `prune/`
    Prunes,
}

impl Prefix {
    /// With the slash at its end.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generations => "gen/",
            Self::Epochs => "epoch/",
            Self::Proofs => "proof/",
            Self::Prunes => "prune/",
        }
    }
}

impl Name {
    /// The name of an identity set's manifest.
    pub(crate) fn of_identity(epoch: u64, id: &ManifestId) -> Self {
        Self::Manifest { epoch, revision: 0, tag: id.tag() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("FORMAT"),
            Self::Recover => f.write_str("RECOVER.txt"),
            Self::Object(digest) => {
                let hex = digest.to_string();
                write!(f, "objects/{}/{hex}", &hex[..2])
            }
            Self::Manifest { epoch, revision, tag } => write!(f, "gen/{epoch}-{revision}-{tag}.json"),
            Self::Epoch(epoch) => write!(f, "epoch/{epoch}.json"),
            Self::Proof { tag, run } => write!(f, "proof/{tag}-{run}.json"),
            Self::Canary => f.write_str("canary"),
            Self::Prune(number) => write!(f, "prune/{number}.json"),
        }
    }
}

impl FromStr for Name {
    type Err = Fault;

    /// Only the spelling that `Display` gives is a name.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let name = match text {
            "FORMAT" => Some(Self::Format),
            "RECOVER.txt" => Some(Self::Recover),
            "canary" => Some(Self::Canary),
            _ => match text.split_once('/') {
                Some(("objects", rest)) => rest.get(3..).and_then(|hex| hex.parse().ok()).map(Self::Object),
                Some(("gen", rest)) => manifest(rest),
                Some(("proof", rest)) => proof(rest),
                Some(("epoch", rest)) => number(rest).map(Self::Epoch),
                Some(("prune", rest)) => number(rest).map(Self::Prune),
                _ => None,
            },
        };
        name.filter(|name| name.to_string() == text).ok_or(Fault::Misnamed)
    }
}

fn number(rest: &str) -> Option<u64> {
    rest.strip_suffix(".json")?.parse().ok()
}

fn manifest(rest: &str) -> Option<Name> {
    let mut parts = rest.strip_suffix(".json")?.splitn(3, '-');
    let epoch = parts.next()?.parse().ok()?;
    let revision = parts.next()?.parse().ok()?;
    let tag = parts.next()?;
    is_tag(tag).then(|| Name::Manifest { epoch, revision, tag: tag.into() })
}

fn proof(rest: &str) -> Option<Name> {
    let (tag, run) = rest.strip_suffix(".json")?.split_once('-')?;
    (is_tag(tag) && is_run(run)).then(|| Name::Proof { tag: tag.into(), run: run.into() })
}

fn is_tag(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 8 && text.bytes().all(hex)
}

/// Whether the text tells one proof from another: 1 to 64 of `a-z 0-9 -`, the first no `-`.
pub(crate) fn is_run(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(allowed)
}

/// Whether the logical name of an entry is one that can also be a file's: segments of `A-Z a-z 0-9 . _ @ + : -`,
/// none of them empty, `.`, `..` or beginning with `-`; at most 255 bytes.
pub(crate) fn is_entry_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+:-".contains(&byte);
    let segment = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.starts_with('-') && part.bytes().all(allowed)
    };
    name.len() <= 255 && name.split('/').all(segment)
}

/// Whether all names are well formed and can lie in one tree of files, also on a disk that ignores case.
/// Returns the first that cannot.
pub(crate) fn misfit<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut taken = std::collections::BTreeSet::new();
    let mut folders = std::collections::BTreeSet::new();
    for name in names {
        let lower = name.to_ascii_lowercase();
        let above: Vec<String> = lower.match_indices('/').map(|(i, _)| lower[..i].to_owned()).collect();
        let clash = folders.contains(&lower) || above.iter().any(|folder| taken.contains(folder));
        if !is_entry_name(name) || clash || !taken.insert(lower) {
            return Some(name);
        }
        folders.extend(above);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_of_a_name_is_read() {
        let hex = "ab".repeat(32);
        let good = [
            "FORMAT",
            "RECOVER.txt",
            &format!("objects/ab/{hex}"),
            "gen/1-0-0a1b2c3d.json",
            "gen/12-90071992-ffffffff.json",
            "epoch/1.json",
            "proof/0a1b2c3d-7-of-cp1.json",
            "prune/7.json",
            "canary",
        ];
        for text in good {
            assert_eq!(text.parse::<Name>().expect(text).to_string(), text);
        }
        let bad = [
            "",
            "format",
            "FORMAT/",
            "../FORMAT",
            "gen/../FORMAT",
            "gen/01-0-0a1b2c3d.json",
            "gen/+1-0-0a1b2c3d.json",
            "gen/1-0-0A1B2C3D.json",
            "gen/1-0-0a1b2c3d.json ",
            "gen/1-0-0a1b2c3.json",
            "gen/99999999999999999999-0-0a1b2c3d.json",
            "epoch/-1.json",
            "epoch/1",
            "prune/07.json",
            "proof/0a1b2c3d-.json",
            "proof/0a1b2c3d--x.json",
            "proof/0a1b2c3d-X.json",
            "proof/0a1b2c3d-x/y.json",
            "proof/0a1b2c3-x.json",
            "objects/é",
            &format!("objects/cd/{hex}"),
            &format!("objects/ab/{}", hex.to_uppercase()),
        ];
        for text in bad {
            assert!(text.parse::<Name>().is_err(), "{text} was taken for a name");
        }
    }

    #[test]
    fn entries_that_could_not_be_files_side_by_side_are_refused() {
        let first_misfit = |names: &[&'static str]| misfit(names.iter().copied());
        assert_eq!(first_misfit(&["pki/ca.crt", "pki/ca.key", "files/etc.audit@1:2+3_4-5"]), None);
        for name in
            ["", "/", "a//b", "a/", "/a", ".", "..", "a/../b", "-rf", "a/-b", "a b", "ä", "a\\b", "a\n"]
        {
            assert_eq!(misfit([name].into_iter()), Some(name));
        }
        assert_eq!(first_misfit(&["pki/ca.crt", "PKI/CA.crt"]), Some("PKI/CA.crt"));
        assert_eq!(first_misfit(&["pki", "pki/ca.crt"]), Some("pki/ca.crt"));
        assert_eq!(first_misfit(&["pki/ca.crt", "pki"]), Some("pki"));
        assert_eq!(first_misfit(&["a/b/c", "A/b"]), Some("A/b"));
    }
}
