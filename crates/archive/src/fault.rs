//! What can be wrong with what was read, as values.

use crate::{ManifestId, RootPublic};

/// What is wrong with a document that was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No JSON, or not JSON of this document's shape at all.
    #[error("it is not JSON, or it is cut off")]
    Json,
    /// Another spelling than the one that is signed.
    #[error("it is not canonical JSON")]
    NotCanonical,
    /// The signature does not fit the bytes.
    #[error("its signature does not fit")]
    Signature,
    /// Signed, but not by the key that counts.
    #[error("it is signed by {0}")]
    Signer(RootPublic),
    /// It lies under a name that is not its own.
    #[error("its name is not that of its content")]
    Misnamed,
    /// It is of another archive.
    #[error("it is of another archive")]
    OtherArchive,
    /// A newer reader is needed.
    #[error("it needs a reader of format {0}")]
    NewerReader(u64),
    /// A field that must be understood is not.
    #[error("it has a critical field that this rekindle does not know: `{0}`")]
    Critical(String),
    /// A field is missing or of a wrong form.
    #[error("{0}")]
    Field(String),
    /// It is not of the kind that was expected.
    #[error("it is not a document of the kind `{0}`")]
    Kind(&'static str),
    /// It names an identity set that is not here.
    #[error("it names the identity set {0}, which is not of this archive and epoch")]
    Identity(ManifestId),
    /// It is sealed to other recipients than its identity set says.
    #[error("it is sealed to other recipients than its identity set names")]
    Recipients,
    /// Its signer may not sign this.
    #[error("{key} may not sign it as {node}")]
    NotDelegated {
        /// The key.
        key: RootPublic,
        /// In whose name it is.
        node: String,
    },
    /// It is of an etcd cluster that its own epoch, or one before it, fenced.
    #[error("its etcd cluster was fenced by epoch {0}")]
    FencedCluster(u64),
    /// The bytes are not those that the manifest names.
    #[error("its digest is another")]
    Digest,
    /// No whole age file, or changed.
    #[error("it is damaged or not an age file")]
    Age,
    /// Not zstd, or more than the manifest says.
    #[error("it does not decompress to the size that was sealed")]
    Compressed,
}
