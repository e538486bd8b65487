//! Who can open what is sealed.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// An age recipient: `age1…` (X25519) or `ssh-ed25519 …`.
#[derive(Clone)]
pub struct Recipient {
    key: Key,
    text: String,
}

#[derive(Clone)]
enum Key {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Recipient {
    pub(crate) fn key(&self) -> &dyn age::Recipient {
        match &self.key {
            Key::X25519(key) => key,
            Key::Ssh(key) => key,
        }
    }
}

impl FromStr for Recipient {
    type Err = Error;

    /// Reads one recipient; the comment of an SSH key is left out.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why| Error::Recipient { text: text.chars().take(100).collect(), why };
        let mut words = text.split_whitespace();
        let (key, text) = match (words.next(), words.next()) {
            (Some("ssh-ed25519"), Some(body)) => {
                let text = format!("ssh-ed25519 {body}");
                let key = text.parse().map_err(|_| refused("it is not a whole ssh-ed25519 public key"))?;
                (Key::Ssh(key), text)
            }
            (Some("ssh-rsa"), _) => return Err(refused("of SSH keys only ssh-ed25519 is taken")),
            (Some(word), None) => {
                if word.starts_with("AGE-SECRET-KEY-") {
                    // Whatever it was meant for, it must not be repeated.
                    let why = "it is a secret key; its public key is the `age1…` above it in its file";
                    return Err(Error::Recipient { text: "AGE-SECRET-KEY-…".into(), why });
                }
                let why = "it is neither `age1…` (X25519) nor `ssh-ed25519 …`";
                let key: age::x25519::Recipient = word.parse().map_err(|_| refused(why))?;
                let text = key.to_string();
                (Key::X25519(key), text)
            }
            _ => return Err(refused("it is neither `age1…` (X25519) nor `ssh-ed25519 …`")),
        };
        Ok(Self { key, text })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
