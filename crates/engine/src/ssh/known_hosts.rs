//! Which host keys are believed: the matching rule of `known_hosts`.
//!
//! Source: sshd(8), SSH_KNOWN_HOSTS_FILE_FORMAT; OpenSSH hostfile.c and match.c. The parser is `ssh-key`'s; the
//! rule is written here because russh's own accepts revoked keys and negated names. Host certificates are not
//! offered, so `@cert-authority` lines say nothing.

use super::error::{ConnectError, HostKeyProblem, PINNED};
use aws_lc_rs::hmac;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts as Parser, Marker};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Everything that is known about host keys.
pub(crate) struct KnownHosts {
    pinned: Vec<Known>,
    recorded: Mutex<Vec<Known>>,
    record: Option<PathBuf>,
}

struct Known {
    entry: Entry,
    place: String,
}

impl KnownHosts {
    /// Reads `files`; one that is not there holds nothing. With `accept_new`, unknown keys are recorded in the
    /// first of them.
    pub(crate) fn load(
        files: &[PathBuf],
        pinned: &[(String, String)],
        accept_new: bool,
    ) -> Result<Self, ConnectError> {
        let mut recorded = Vec::new();
        for path in files {
            match std::fs::read_to_string(path) {
                Ok(text) => recorded.extend(parse(&text, &path.display().to_string())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ConnectError::KnownHosts { path: path.clone(), source }),
            }
        }
        let pin = |(pattern, key): &(String, String)| {
            let known = parse(&format!("{pattern} {key}"), PINNED).pop();
            known
                .map(|known| Known { place: PINNED.to_owned(), ..known })
                .ok_or_else(|| ConnectError::Pinned { pattern: pattern.clone(), key: key.clone() })
        };
        Ok(Self {
            pinned: pinned.iter().map(pin).collect::<Result<_, _>>()?,
            recorded: Mutex::new(recorded),
            record: accept_new.then(|| files.first().cloned()).flatten(),
        })
    }

    /// Whether `key` is the one of `host`.
    pub(crate) fn check(&self, host: &str, port: u16, key: &PublicKey) -> Result<(), HostKeyProblem> {
        let recorded = self.recorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = choose(&self.pinned, &recorded, host, port);
        let result = judge(&known, key);
        // OpenSSH also believes a key that is known for the host on the default port (sshconnect.c).
        if port != 22 && matches!(result, Err(HostKeyProblem::Unknown { .. })) {
            let plain = choose(&self.pinned, &recorded, host, 22);
            let fallback = judge(&plain, key);
            if !matches!(fallback, Err(HostKeyProblem::Changed { .. })) {
                return fallback;
            }
        }
        result
    }

    /// Records the key of a host that nothing is known about; does nothing where that is not wanted.
    /// Returns whether it was recorded.
    pub(crate) fn accept(&self, host: &str, port: u16, key: &PublicKey) -> Result<bool, ConnectError> {
        let Some(path) = &self.record else { return Ok(false) };
        let mut recorded = self.recorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let line = format!("{} {}", name_of(host, port), encode(key));
        append(path, &line).map_err(|source| ConnectError::KnownHosts { path: path.clone(), source })?;
        recorded.extend(parse(&line, &path.display().to_string()));
        Ok(true)
    }

    /// The algorithms in which keys of `host` are known: asked for first, so that the host shows one of those.
    pub(crate) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let recorded = self.recorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut known = choose(&self.pinned, &recorded, host, port);
        if known.is_empty() {
            known = choose(&self.pinned, &recorded, host, 22);
        }
        known.iter().map(|known| known.entry.public_key().algorithm()).collect()
    }
}

/// `ssh-ed25519 AAAA…`, without a comment.
pub(crate) fn encode(key: &PublicKey) -> String {
    PublicKey::new(key.key_data().clone(), "").to_openssh().unwrap_or_default().trim_end().to_owned()
}

/// How hosts are named in `known_hosts`: by their port too, where it is not the default one.
fn name_of(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// Lines that are not understood are passed over, as OpenSSH does.
fn parse(text: &str, place: &str) -> Vec<Known> {
    let known = |(i, line): (usize, &str)| {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let entry = Parser::new(&line).next()?.ok()?;
        Some(Known { entry, place: format!("{place}:{}", i + 1) })
    };
    text.lines().enumerate().filter_map(known).collect()
}

/// What is known of a host; what was pinned goes before what was recorded.
fn choose<'a>(pinned: &'a [Known], recorded: &'a [Known], host: &str, port: u16) -> Vec<&'a Known> {
    let name = name_of(host, port);
    let of_host = |known: &&Known| {
        known.entry.marker() != Some(&Marker::CertAuthority) && matches(known.entry.host_patterns(), &name)
    };
    let chosen: Vec<&Known> = pinned.iter().filter(of_host).collect();
    if chosen.is_empty() { recorded.iter().filter(of_host).collect() } else { chosen }
}

fn judge(known: &[&Known], key: &PublicKey) -> Result<(), HostKeyProblem> {
    let algorithm = key.algorithm().to_string();
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    // Keys are compared without their comments.
    let (same, other): (Vec<&Known>, Vec<&Known>) =
        known.iter().partition(|known| known.entry.public_key().key_data() == key.key_data());
    if same.iter().any(|known| known.entry.marker() == Some(&Marker::Revoked)) {
        return Err(HostKeyProblem::Revoked { algorithm, fingerprint });
    }
    if !same.is_empty() {
        return Ok(());
    }
    let known: Vec<String> = other
        .iter()
        .filter(|known| known.entry.marker().is_none())
        .map(|known| {
            let key = known.entry.public_key();
            format!("{} {} ({})", key.algorithm(), key.fingerprint(HashAlg::Sha256), known.place)
        })
        .collect();
    if known.is_empty() {
        return Err(HostKeyProblem::Unknown { algorithm, fingerprint });
    }
    Err(HostKeyProblem::Changed { algorithm, fingerprint, known })
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::sign(&key, name.as_bytes()).as_ref() == hash
        }
        HostPatterns::Patterns(patterns) => {
            let mut matched = false;
            for pattern in patterns {
                let pattern = pattern.to_ascii_lowercase();
                match pattern.strip_prefix('!') {
                    Some(negated) if glob(negated.as_bytes(), name.as_bytes()) => return false,
                    Some(_) => {}
                    None => matched |= glob(pattern.as_bytes(), name.as_bytes()),
                }
            }
            matched
        }
    }
}

/// `*` stands for any number of bytes, `?` for one.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        (Some((b'?', rest)), Some((_, text))) => glob(rest, text),
        (Some((byte, rest)), Some((first, text))) => byte == first && glob(rest, text),
        _ => false,
    }
}

/// Adds a line in one write, so that others who append at the same time do not mix with it.
fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let start = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests;
