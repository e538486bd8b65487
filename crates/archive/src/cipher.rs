//! From plaintext to an object's bytes and back: zstd, then age.

use crate::digest::Summing;
use crate::{Digest, Error, Fault, Identities, Recipient};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Certificates and configurations are small, and a snapshot must not keep a control plane busy: a higher level
/// costs more than it saves.
pub(crate) const ZSTD_LEVEL: i32 = 3;

/// Images are compressed already, and programs are large: the lowest level keeps pace with a disk.
pub(crate) const ZSTD_LEVEL_PAYLOAD: i32 = 1;

/// How much is in hand at once where content is streamed, in bytes.
const PIECE: usize = 128 * 1024;

/// age(zstd(`plain`)).
pub(crate) fn encrypt(plain: &[u8], recipients: &[Recipient]) -> Result<Vec<u8>, Error> {
    let compressed = Zeroizing::new(zstd::bulk::compress(plain, ZSTD_LEVEL).map_err(|error| failed(&error))?);
    let mut bytes = Vec::new();
    let mut writer = encryptor(recipients)?.wrap_output(&mut bytes).map_err(|error| failed(&error))?;
    writer.write_all(&compressed).and_then(|()| writer.finish().map(drop)).map_err(|error| failed(&error))?;
    Ok(bytes)
}

/// Digest and size of some bytes.
pub(crate) type Sum = (Digest, u64);

/// age(zstd(`from`)) into `to`, piece by piece. Returns the sums of the plaintext and of the ciphertext.
///
/// # Errors
/// [`Error::TooLarge`] where `from` has more than `limit` bytes; [`Error::File`] where it breaks off;
/// [`Error::Encrypt`] where `to` takes no more.
pub(crate) fn encrypt_stream(
    from: &mut dyn Read,
    recipients: &[Recipient],
    (what, limit): (&str, u64),
    level: i32,
    to: impl Write,
) -> Result<(Sum, Sum), Error> {
    let age = encryptor(recipients)?.wrap_output(Summing::new(to)).map_err(|error| failed(&error))?;
    let zstd = zstd::stream::write::Encoder::new(age, level).map_err(|error| failed(&error))?;
    let mut plain = Summing::new(zstd);
    let mut piece = Zeroizing::new(vec![0; PIECE]);
    let mut size = 0;
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::File { act: "read", path: what.to_owned(), source }),
        };
        size += count as u64;
        if size > limit {
            return Err(Error::TooLarge { what: what.to_owned(), size, limit });
        }
        plain.write_all(&piece[..count]).map_err(|error| failed(&error))?;
    }
    let (zstd, sha256, size) = plain.finish();
    let done = zstd.finish().and_then(age::stream::StreamWriter::finish);
    let (mut to, cipher_sha256, cipher_size) = done.map_err(|error| failed(&error))?.finish();
    to.flush().map_err(|error| failed(&error))?;
    Ok(((sha256, size), (cipher_sha256, cipher_size)))
}

fn encryptor(recipients: &[Recipient]) -> Result<age::Encryptor, Error> {
    age::Encryptor::with_recipients(recipients.iter().map(Recipient::key)).map_err(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::Encrypt(error.to_string())
}

/// Why an object did not open.
pub(crate) enum Failed {
    NoKey,
    Fault(Fault),
    /// Where the plaintext should go.
    To(io::Error),
}

impl Failed {
    /// In the words of the set with these recipients.
    pub fn of(self, name: &str, recipients: &[String]) -> Error {
        match self {
            Self::NoKey => Error::WrongIdentity { recipients: recipients.to_vec() },
            Self::Fault(source) => Error::Content { name: name.to_owned(), source },
            Self::To(source) => Error::File { act: "write", path: name.to_owned(), source },
        }
    }
}

/// age, then zstd; never more than `limit` bytes. Only for ciphertext whose digest a signed manifest names.
pub(crate) fn decrypt(
    ciphertext: impl Read,
    identities: &Identities,
    limit: u64,
) -> Result<Zeroizing<Vec<u8>>, Failed> {
    // Of the final size where the size is known, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit).unwrap_or(0)));
    let plain = plain(ciphertext, identities)?;
    plain.take(limit + 1).read_to_end(&mut bytes).map_err(|_| Failed::Fault(Fault::Compressed))?;
    if bytes.len() as u64 > limit { Err(Failed::Fault(Fault::Compressed)) } else { Ok(bytes) }
}

/// The same into `to`, piece by piece; exactly the bytes with this sum.
pub(crate) fn decrypt_stream(
    ciphertext: impl Read,
    identities: &Identities,
    (sha256, size): Sum,
    to: &mut dyn Write,
) -> Result<(), Failed> {
    let mut plain = plain(ciphertext, identities)?.take(size + 1);
    let mut to = Summing::new(to);
    let mut piece = Zeroizing::new(vec![0; PIECE]);
    let mut left = size;
    loop {
        let count = match plain.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(_) => return Err(Failed::Fault(Fault::Compressed)),
        };
        left = left.checked_sub(count as u64).ok_or(Failed::Fault(Fault::Compressed))?;
        to.write_all(&piece[..count]).map_err(Failed::To)?;
    }
    to.flush().map_err(Failed::To)?;
    match to.finish() {
        _ if left > 0 => Err(Failed::Fault(Fault::Compressed)),
        (_, found, _) if found != sha256 => Err(Failed::Fault(Fault::Digest)),
        _ => Ok(()),
    }
}

fn plain<'a, R: Read + 'a>(ciphertext: R, identities: &Identities) -> Result<impl Read + use<'a, R>, Failed> {
    let failed = |error| match error {
        age::DecryptError::NoMatchingKeys => Failed::NoKey,
        _ => Failed::Fault(Fault::Age),
    };
    let compressed = age::Decryptor::new(ciphertext)
        .and_then(|decryptor| decryptor.decrypt(identities.keys()))
        .map_err(failed)?;
    zstd::stream::read::Decoder::new(compressed).map_err(|_| Failed::Fault(Fault::Compressed))
}
