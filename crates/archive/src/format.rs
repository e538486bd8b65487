//! `FORMAT`: which format lies here, and whose archive it is.

use crate::digest::hex;
use crate::{Digest, Fault, RootPublic, canonical};
use serde::{Deserialize, Serialize};

/// The newest format that this code reads; it reads all before it.
pub const READER: u64 = 1;

/// The word that every document of an archive carries, so that no signature made for another purpose fits.
pub(crate) const FORMAT: &str = "rekindle-archive";

/// More than a `FORMAT` file ever needs.
pub(crate) const MAX_FORMAT: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    min_reader: u64,
    repo: String,
    version: u64,
}

/// The bytes of `FORMAT` for the archive `repo`.
pub(crate) fn write(repo: &str) -> Result<Vec<u8>, Fault> {
    let document = Document { format: FORMAT.into(), min_reader: 1, repo: repo.into(), version: READER };
    canonical::write(&serde_json::to_value(document).map_err(|_| Fault::Json)?)
}

/// The archive's id in `FORMAT`.
pub(crate) fn read(bytes: &[u8]) -> Result<String, Fault> {
    let document: Document =
        serde_json::from_value(canonical::parse(bytes)?).map_err(|error| Fault::Field(error.to_string()))?;
    if document.format != FORMAT {
        return Err(Fault::Kind(FORMAT));
    }
    if document.min_reader > READER {
        return Err(Fault::NewerReader(document.min_reader));
    }
    if document.min_reader == 0 || document.version < document.min_reader {
        return Err(Fault::Field("`version` and `min_reader` do not fit".into()));
    }
    if is_repo(&document.repo) { Ok(document.repo) } else { Err(Fault::Field("`repo` is not a UUID".into())) }
}

/// The id of an archive that begins with this root key: a UUID (version 8, RFC 9562) made from the key, so that
/// it needs no randomness of its own.
pub(crate) fn repo_of(root: &RootPublic) -> String {
    let mut seed = b"rekindle-archive repo ".to_vec();
    seed.extend_from_slice(root.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(&seed).as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Whether the text has a UUID's form, in lower case.
pub(crate) fn is_repo(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.into_iter().all(hex)
}
