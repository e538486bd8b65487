//! Who opens: age identities and SSH keys, and how a new identity is made.

use crate::{Error, Recipient, Secret};
use age::secrecy::ExposeSecret as _;
use std::fmt;

/// Longer than any file of identities that a person keeps.
const MAX_IDENTITY_FILE: usize = 64 * 1024;

/// Private keys that are tried in turn.
pub struct Identities {
    keys: Vec<(Key, Recipient)>,
}

type Key = Box<dyn age::Identity + Send + Sync>;

impl Identities {
    /// Reads an age identity file (a key a line, `#` begins a comment) or an unencrypted ssh-ed25519 private
    /// key. `from` says in errors where the text came from.
    ///
    /// # Errors
    /// [`Error::Identity`], which never repeats the text.
    pub fn parse(text: &Secret, from: &str) -> Result<Self, Error> {
        let refused = |why| Error::Identity { from: from.to_owned(), why };
        let bytes = text.expose();
        if bytes.len() > MAX_IDENTITY_FILE {
            return Err(refused("it is far too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused("it is not text"))?.trim();
        let keys = if text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
            vec![ssh(text).map_err(refused)?]
        } else if text.starts_with("-----BEGIN ") {
            return Err(refused("of PEM files only an unencrypted ssh-ed25519 private key is taken"));
        } else if text.starts_with("age-encryption.org/") {
            return Err(refused("it is encrypted itself: decrypt it first with `age -d`"));
        } else {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.map(x25519).collect::<Result<Vec<_>, _>>().map_err(refused)?
        };
        if keys.is_empty() { Err(refused("there is no key in it")) } else { Ok(Self { keys }) }
    }

    /// These and those of `other`.
    pub fn and(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// Their public halves, in the order of the keys.
    pub fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.keys.iter().map(|(_, recipient)| recipient)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.keys.iter().map(|(key, _)| &**key as &dyn age::Identity)
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.keys.len())
    }
}

fn x25519(line: &str) -> Result<(Key, Recipient), &'static str> {
    if line.starts_with("AGE-PLUGIN-") {
        return Err("identities of age plugins are not taken");
    }
    if line.starts_with("age1") || line.starts_with("ssh-") {
        return Err("that is a public key, and a private one is needed");
    }
    let key: age::x25519::Identity = line.parse().map_err(|_| "a line is not `AGE-SECRET-KEY-1…`")?;
    let public = public(&key.to_public())?;
    Ok((Box::new(key), public))
}

/// The public half as ours.
fn public(key: &impl fmt::Display) -> Result<Recipient, &'static str> {
    key.to_string().parse().map_err(|_| "its public half can't be told")
}

fn ssh(text: &str) -> Result<(Key, Recipient), &'static str> {
    // age reads line by line until the text is whole, so the last line needs its end.
    let text = zeroize::Zeroizing::new(format!("{text}\n"));
    let key = age::ssh::Identity::from_buffer(text.as_bytes(), None)
        .map_err(|_| "it is not a whole SSH private key")?;
    if let age::ssh::Identity::Encrypted(_) = key {
        return Err("the SSH key has a passphrase, and one without is needed");
    }
    match age::ssh::Recipient::try_from(key.clone()) {
        Ok(recipient @ age::ssh::Recipient::SshEd25519(..)) => {
            let public = public(&recipient)?;
            Ok((Box::new(key), public))
        }
        _ => Err("of SSH keys only ssh-ed25519 is taken"),
    }
}

/// A new age identity.
#[derive(Debug)]
pub struct NewIdentity {
    /// The text of its file, as `age-keygen` writes it.
    pub file: Secret,
    /// Its public half.
    pub recipient: Recipient,
}

impl NewIdentity {
    /// Makes an X25519 identity with the system's randomness. `created` goes into a comment (RFC 3339).
    ///
    /// # Errors
    /// None in practice: age reads what age made.
    pub fn mint(created: &str) -> Result<Self, Error> {
        let key = age::x25519::Identity::generate();
        let recipient: Recipient = key.to_public().to_string().parse()?;
        let secret = key.to_string();
        let head = format!("# created: {created}\n# public key: {recipient}\n");
        // Of the final size, so that growing leaves no copy behind.
        let mut file = Vec::with_capacity(head.len() + secret.expose_secret().len() + 1);
        file.extend_from_slice(head.as_bytes());
        file.extend_from_slice(secret.expose_secret().as_bytes());
        file.push(b'\n');
        Ok(Self { file: Secret::new(file), recipient })
    }
}
