//! SSH keys: the lab's own pair, which root on every node accepts, and a host key for each node, made before it
//! boots, so that `known_hosts` is exact from the first connection.

use crate::command::run;
use crate::{Error, Result, files};
use std::fs::{self, File};
use std::path::Path;

/// Makes an Ed25519 key pair without a passphrase at `key` and `key.pub`, unless it is there.
///
/// # Errors
/// Where `ssh-keygen` fails.
pub(crate) fn ensure(key: &Path, comment: &str, lock: &File) -> Result<()> {
    if key.exists() && public(key).exists() {
        return Ok(());
    }
    // A pair that was made in part is no pair; ssh-keygen would ask before it wrote over it.
    [key, &public(key)].into_iter().try_for_each(files::remove)?;
    run!["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", key].holding(lock).done()
}

/// Where the public half of a key lies.
pub(crate) fn public(key: &Path) -> std::path::PathBuf {
    key.with_added_extension("pub")
}

/// A line of a `known_hosts` file (sshd(8)) for a host with this address and public key.
///
/// # Errors
/// Where the public key cannot be read or is none.
pub(crate) fn known_host(address: std::net::Ipv4Addr, public_key: &Path) -> Result<String> {
    let text = fs::read_to_string(public_key).map_err(Error::file("read", public_key))?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) => Ok(format!("{address} {kind} {key}\n")),
        _ => {
            Err(Error::Unreadable { what: public_key.display().to_string(), why: "no public key".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_made_pair_is_made_again_and_a_whole_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (key, lock) = (dir.path().join("id_ed25519"), File::open(dir.path()).unwrap());
        fs::write(&key, "half").unwrap();
        ensure(&key, "test", &lock).unwrap();
        let made = fs::read(&key).unwrap();
        assert_ne!(made, b"half");
        ensure(&key, "test", &lock).unwrap();
        assert_eq!(fs::read(&key).unwrap(), made);
        let line = known_host("10.213.0.11".parse().unwrap(), &public(&key)).unwrap();
        assert!(line.starts_with("10.213.0.11 ssh-ed25519 AAAA"), "{line}");
        assert!(!line.contains("test"), "{line}");
    }
}
