//! A file on a node, and when it is the same as the wanted one.

use crate::{Digest, Script, Secret};

/// A wanted file. Parents are made with mode 0755 (0700 for a file that others may not read).
#[derive(Clone, Debug)]
pub struct File {
    /// Absolute path on the node.
    pub path: String,
    /// Permission bits, for example `0o600`.
    pub mode: u32,
    /// Who owns it.
    pub owner: Owner,
    /// What is in it.
    pub body: Body,
    /// When what is there will do.
    pub same: Same,
}

impl File {
    /// A public text file of root's, 0644, equal when its bytes are.
    pub fn text(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mode: 0o644,
            owner: Owner::root(),
            body: Body::Text(text.into()),
            same: Same::Bytes,
        }
    }

    /// A secret file of root's, 0600, equal when its bytes are.
    pub fn secret(path: impl Into<String>, secret: Secret) -> Self {
        Self { mode: 0o600, body: Body::Secret(secret), ..Self::text(path, "") }
    }

    /// No file at this path.
    pub fn absent(path: impl Into<String>) -> Self {
        Self { body: Body::Absent, ..Self::text(path, "") }
    }

    /// A symbolic link.
    pub fn link(path: impl Into<String>, to: impl Into<String>) -> Self {
        Self { body: Body::Link(to.into()), ..Self::text(path, "") }
    }

    /// An executable that travels as a blob, 0755.
    pub fn program(path: impl Into<String>, sha256: Digest, size: u64) -> Self {
        Self { mode: 0o755, body: Body::Blob { sha256, size }, ..Self::text(path, "") }
    }

    /// Sets the permission bits.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Keeps what somebody else changed since our last write.
    pub fn unless_changed(mut self) -> Self {
        self.same = Same::UnlessChanged;
        self
    }

    /// Accepts what is there when `script` exits 0; it may say 1 or 3 as in [`crate::Change::Run`].
    pub fn holds(mut self, script: Script) -> Self {
        self.same = Same::Holds(script);
        self
    }
}

/// `user:group` by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(pub String);

impl Owner {
    /// `root:root`.
    pub fn root() -> Self {
        Self("root:root".into())
    }
}

/// What is in a file.
#[derive(Clone, Debug)]
pub enum Body {
    /// Text that may be shown.
    Text(String),
    /// Bytes that may not.
    Secret(Secret),
    /// Bytes that travel on the blobs' own channel.
    Blob {
        /// Of the whole file.
        sha256: Digest,
        /// In bytes.
        size: u64,
    },
    /// A symbolic link to this target.
    Link(String),
    /// Nothing may be there.
    Absent,
}

/// When a file needs no writing.
#[derive(Clone, Debug)]
pub enum Same {
    /// Same bytes, mode and owner.
    Bytes,
    /// Same bytes, mode and owner, but a file that somebody else changed since our last write is kept, shown
    /// and left alone. After each write the file's sum is recorded on the node in
    /// `/var/lib/rekindle/wrote/PATH` (with `/` written as `!`), in `sha256sum`'s format. The probe: wanted
    /// bytes are there → 0; no file, or the bytes are those we recorded → 1; anything else → 3.
    UnlessChanged,
    /// The script holds (for a leaf: "signed by our CA, these names, more than 30 days left"), whatever
    /// the bytes; mode and owner still count.
    Holds(Script),
}
