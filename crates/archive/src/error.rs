//! What can go wrong, as values; [`Error::hint`] says what a person can do about it.

use crate::{Claim, DestinationError, Fault, ManifestId, READER, RootPublic};
use std::io;

/// Why the archive cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nowhere to look or to write.
    #[error("an archive needs one destination at least")]
    NoDestination,
    /// A destination does not answer, and without it nothing can be said.
    #[error("cannot use the destination {at}")]
    Destination {
        /// The destination.
        at: String,
        /// Why not.
        #[source]
        source: DestinationError,
    },
    /// Something is there, and nothing says whether it is to be trusted.
    #[error(
        "{at} holds an archive with the root key {root}, and nothing says that this key is to be trusted"
    )]
    NoAnchor {
        /// The destination.
        at: String,
        /// The key that signed what is there.
        root: RootPublic,
    },
    /// What is there was signed by somebody else.
    #[error("the archive at {at} is signed by {found}, not by the trusted root key {expected}")]
    Foreign {
        /// The destination.
        at: String,
        /// The key that signed what is there.
        found: RootPublic,
        /// The trust anchor.
        expected: RootPublic,
    },
    /// A root key is trusted, but there is nothing that it signed.
    #[error("no manifest signed by the trusted root key {expected} is at {asked}")]
    Gone {
        /// The trust anchor.
        expected: RootPublic,
        /// The destinations that were asked.
        asked: String,
    },
    /// There is nothing to open.
    #[error("there is no archive at {asked}")]
    Empty {
        /// The destinations that were asked.
        asked: String,
    },
    /// A destination is another archive's.
    #[error("{at} belongs to the archive {found}, not to {expected}")]
    OtherArchive {
        /// The destination.
        at: String,
        /// The archive's id that is written there.
        found: String,
        /// The archive's id that was expected.
        expected: String,
    },
    /// The archive is of another cluster than the one that is sealed.
    #[error("the archive is of the cluster {found}, not of {expected}")]
    OtherCluster {
        /// The uid in the archive.
        found: String,
        /// The uid that was expected.
        expected: String,
    },
    /// Several root keys, and nothing to choose by.
    #[error("the destinations hold archives with {} root keys: {}", roots.len(), list(roots))]
    Rivals {
        /// The keys.
        roots: Vec<RootPublic>,
    },
    /// A newer rekindle wrote this.
    #[error("{name} at {at} needs a reader of format {needs}; this rekindle reads formats 1 to {READER}")]
    NewerReader {
        /// The destination.
        at: String,
        /// The file.
        name: String,
        /// The format that a reader must know.
        needs: u64,
    },
    /// There are documents of an archive, and not one can be used.
    #[error("{name} at {at} cannot be used, and nothing else is there: {why}")]
    Unusable {
        /// The destination.
        at: String,
        /// The file.
        name: String,
        /// Why not.
        why: String,
    },
    /// An object cannot be had anywhere.
    #[error("{name} is at no destination as it was sealed: {}", tried.join("; "))]
    Lost {
        /// The object.
        name: String,
        /// What each destination gave.
        tried: Vec<String>,
    },
    /// The identities do not fit.
    #[error("none of the identities opens this archive; it was sealed to {}", recipients.join(", "))]
    WrongIdentity {
        /// The recipients of the set.
        recipients: Vec<String>,
    },
    /// An object's digest is right, but what is in it is not what its manifest says.
    #[error("{name} does not hold what it should")]
    Content {
        /// The object or the entry.
        name: String,
        /// What is wrong.
        #[source]
        source: Fault,
    },
    /// The text is no identity.
    #[error("{from} is not an identity that can be used: {why}")]
    Identity {
        /// Where the text came from.
        from: String,
        /// What is wrong, without a word of the text.
        why: &'static str,
    },
    /// The text is no recipient.
    #[error("`{text}` is not a recipient: {why}")]
    Recipient {
        /// The text.
        text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Nobody could open it.
    #[error("a set needs one recipient at least, else nobody could open it")]
    NoRecipient,
    /// The text is no root public key.
    #[error("a root public key is `ed25519:` and 64 lower-case hex digits")]
    RootPublic,
    /// The bytes are no root key.
    #[error("the root key is not an Ed25519 private key in PKCS#8")]
    RootKey,
    /// The set does not hold the key that signs it.
    #[error(
        "the set holds no entry `{}`: whoever opens it could not sign the next one",
        crate::ROOT_KEY_ENTRY
    )]
    NoRootKey,
    /// The key in the set is not the one that signs the archive.
    #[error("the set's root key is {found}, but the archive is signed by {expected}")]
    OtherRootKey {
        /// The key in the set.
        found: RootPublic,
        /// The archive's key.
        expected: RootPublic,
    },
    /// An entry cannot be sealed under this name.
    #[error("`{name}` cannot be the name of an entry here")]
    EntryName {
        /// The name.
        name: String,
    },
    /// More than a set may hold.
    #[error("{what} has {size} bytes, and at most {limit} are kept")]
    TooLarge {
        /// The entry or the set.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A fact of the set has a form that no reader would accept.
    #[error("the set cannot be described")]
    Describe(#[source] Fault),
    /// A new archive was to be made where there is one.
    #[error("{at} holds an archive already, and it was not opened first")]
    Occupied {
        /// The destination.
        at: String,
    },
    /// Somebody else sealed since the set was opened.
    #[error("the archive moved on from {opened} to {newest} since it was opened")]
    Moved {
        /// What was opened.
        opened: ManifestId,
        /// What is the newest now.
        newest: ManifestId,
    },
    /// No such manifest.
    #[error("the archive has no identity set {0}")]
    NoManifest(ManifestId),
    /// Somebody else holds the epoch.
    #[error(
        "epoch {} of {at} was claimed with the root key {} by {} on {} ({})",
        claim.epoch, claim.root, claim.holder, claim.host, claim.created
    )]
    Claimed {
        /// The destination.
        at: String,
        /// Who it was.
        claim: Box<Claim>,
    },
    /// Somebody else claimed an epoch, and no cluster was born in it yet.
    #[error("epoch {} was claimed by {} on {} ({}), and no cluster was born in it yet", claim.epoch, claim.holder, claim.host, claim.created)]
    Held {
        /// Who it is.
        claim: Box<Claim>,
    },
    /// No destination, or more than one, is called like this.
    #[error("{} destinations are called {name}: there are {known}", if *many { "several" } else { "no" })]
    NoSuchDestination {
        /// What was asked for.
        name: String,
        /// Whether it is the name of several.
        many: bool,
        /// All of them.
        known: String,
    },
    /// Too few destinations took the claim.
    #[error("only {held} of {all} destinations hold the claim of epoch {epoch}: {}", failed.join("; "))]
    NoMajority {
        /// The epoch.
        epoch: u64,
        /// How many hold it.
        held: usize,
        /// How many there are.
        all: usize,
        /// What the others said.
        failed: Vec<String>,
    },
    /// Nothing gave back what was written.
    #[error("no destination took the set and gave it back: {}", failed.join("; "))]
    NotProven {
        /// What each destination said.
        failed: Vec<String>,
    },
    /// A destination gave back other bytes than were written.
    #[error("{name} was read back from {at} with other bytes than it should have")]
    ReadBack {
        /// The destination.
        at: String,
        /// The object.
        name: String,
    },
    /// A file of this machine, or a stream, cannot be used.
    #[error("cannot {act} {path}")]
    File {
        /// What was tried.
        act: &'static str,
        /// The file, the folder, or what the stream is.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The folder for a capture holds something already.
    #[error("{path} is not empty, and a capture needs a folder of its own")]
    SpoolUsed {
        /// The folder.
        path: String,
    },
    /// A captured snapshot set is none that a reader would take.
    #[error("the captured snapshot set cannot be published")]
    Draft(#[source] Fault),
    /// A newer epoch was claimed since: this cluster was rebuilt elsewhere, or restored.
    #[error("epoch {newest} was claimed, and this is of epoch {epoch}")]
    Fenced {
        /// The epoch of what was to be published.
        epoch: u64,
        /// The newest epoch.
        newest: u64,
    },
    /// The key may not sign this.
    #[error("the newest identity set does not let {key} sign a {what} as {node} in epoch {epoch}")]
    NotDelegated {
        /// The key.
        key: RootPublic,
        /// `snapshot` or `proof`.
        what: &'static str,
        /// In whose name.
        node: String,
        /// The epoch.
        epoch: u64,
    },
    /// No such generation.
    #[error("the archive has no snapshot set {0}")]
    NoSnapshot(ManifestId),
    /// A generation that must not be used.
    #[error("the snapshot set {id} is not used: {why}")]
    Suspect {
        /// The snapshot set.
        id: ManifestId,
        /// What is wrong with it.
        why: String,
    },
    /// Retention lets nothing go.
    #[error("nothing is removed: {why}")]
    Kept {
        /// Why not.
        why: String,
    },
    /// Too few destinations took the record of what goes.
    #[error("only {held} of {all} destinations took the record of what goes, and nothing was removed: {}", failed.join("; "))]
    NoPruneRecord {
        /// How many hold it.
        held: usize,
        /// How many there are.
        all: usize,
        /// What the others said.
        failed: Vec<String>,
    },
    /// age or zstd failed where it should not.
    #[error("cannot encrypt: {0}")]
    Encrypt(String),
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoAnchor { root, .. } => format!(
                "compare the key with the recovery kit or with what the first `up` printed; if it is yours, write \
                 `trust = \"{root}\"` under [archive], or use --trust-on-first-use"
            ),
            Self::Foreign { .. } | Self::OtherArchive { .. } => {
                "a destination belongs to one cluster: give this one a folder of its own".into()
            }
            Self::Gone { .. } => {
                "is the destination mounted, and its path right? For a new cluster remove `trust` under [archive]"
                    .into()
            }
            Self::NewerReader { .. } => "use the rekindle that wrote it, or a newer one".into(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room on that disk".into()
            }
            Self::WrongIdentity { .. } => "use --identity with a file that belongs to one of them".into(),
            Self::Moved { .. } => "somebody sealed at the same time: run the command again".into(),
            Self::Rivals { .. } => {
                "write the right one as `trust` under [archive]: the kit and the first `up` name it".into()
            }
            Self::NotDelegated { .. } => {
                "run `rekindle up`: it gives each control plane a key of the newest epoch".into()
            }
            Self::Occupied { .. } => {
                "another command made it at the same time: run the command again, it goes on with that one".into()
            }
            Self::Held { .. } => {
                "ask them; where they are not at it any more, --take-over claims the next epoch over theirs".into()
            }
            Self::Claimed { .. } => {
                "another command made a cluster here at the same time: use its archive, or another folder".into()
            }
            _ => return None,
        };
        Some(hint)
    }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn list(roots: &[RootPublic]) -> String {
    roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
