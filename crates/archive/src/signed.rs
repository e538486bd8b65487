//! The envelope of every signed document: `{"body":…,"signature":…}`.
//!
//! The signature is Ed25519 over the canonical bytes of `body`. Every body begins with the same few fields; they
//! are read in an order in which nothing is believed too early: form, signature, needed reader, critical fields.

use crate::digest::{hex, unhex};
use crate::format::FORMAT;
use crate::{Error, Fault, READER, RootKey, RootPublic, canonical};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The greatest document that is read, in bytes.
pub(crate) const MAX_DOCUMENT: u64 = 1024 * 1024;

/// The fields that every signed body has.
#[derive(Debug, Deserialize, Serialize)]
struct Head {
    /// Names of fields of this body that a reader must understand, or refuse the document.
    critical: Vec<String>,
    format: String,
    kind: String,
    min_reader: u64,
    schema: u64,
    signer: RootPublic,
}

/// A document whose form is right; nothing in it is to be believed yet.
pub(crate) struct Unverified {
    body: Value,
    /// The key that the document says has signed it.
    pub signer: RootPublic,
    signature: [u8; 64],
}

/// A body whose signature was right, every field of it, also those that this code does not know.
#[derive(Clone, Debug)]
pub(crate) struct Body(pub Value);

/// Reads the envelope.
///
/// # Errors
/// Where it is not canonical JSON of that form.
pub(crate) fn read(bytes: &[u8]) -> Result<Unverified, Fault> {
    let Value::Object(mut envelope) = canonical::parse(bytes)? else { return Err(Fault::Json) };
    let body = envelope.remove("body").ok_or(Fault::Json)?;
    let signature = envelope.remove("signature");
    let signature = signature.as_ref().and_then(Value::as_str).and_then(unhex).ok_or(Fault::Signature)?;
    if !envelope.is_empty() {
        return Err(Fault::Json);
    }
    let signer = body.get("signer").and_then(Value::as_str).and_then(|text| text.parse().ok());
    Ok(Unverified { body, signer: signer.ok_or(Fault::Signature)?, signature })
}

impl Unverified {
    /// The body, if `root` signed it and this code may read it.
    ///
    /// # Errors
    /// [`Fault::Signer`], [`Fault::Signature`], [`Fault::NewerReader`], [`Fault::Critical`].
    pub fn verify(self, root: &RootPublic) -> Result<Body, Fault> {
        self.verify_by(|key| key == root)
    }

    /// The body, if a key that `counts` signed it and this code may read it.
    ///
    /// # Errors
    /// As for [`Unverified::verify`].
    pub fn verify_by(self, counts: impl Fn(&RootPublic) -> bool) -> Result<Body, Fault> {
        let fits = self.signer.signed(&canonical::write(&self.body)?, &self.signature);
        if !fits {
            return Err(Fault::Signature);
        }
        if !counts(&self.signer) {
            return Err(Fault::Signer(self.signer));
        }
        // A newer format may have changed any other field, so this one is read alone.
        match self.body.get("min_reader").and_then(Value::as_u64) {
            Some(needs) if needs > READER => return Err(Fault::NewerReader(needs)),
            Some(_) => {}
            None => return Err(Fault::Field("`min_reader` is missing".into())),
        }
        let head: Head = fields(&self.body)?;
        if head.format != FORMAT {
            return Err(Fault::Kind(FORMAT));
        }
        // No field of version 1 is critical: what it knows, it heeds.
        match head.critical.into_iter().next() {
            Some(name) => Err(Fault::Critical(name)),
            None => Ok(Body(self.body)),
        }
    }
}

impl Body {
    /// A new body of version 1: the common fields and those of `content`.
    pub fn new(kind: &str, content: &impl Serialize, signer: RootPublic) -> Result<Self, Fault> {
        let head = Head {
            critical: Vec::new(),
            format: FORMAT.into(),
            kind: kind.into(),
            min_reader: 1,
            schema: 1,
            signer,
        };
        let mut body = object(&head)?;
        body.extend(object(content)?);
        Ok(Self(Value::Object(body)))
    }

    /// What the body is about: `identity`, `epoch`, ….
    pub fn kind(&self) -> &str {
        self.0.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    /// The fields that `T` knows.
    pub fn content<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        fields(&self.0)
    }

    /// Puts one field in the place of what it was.
    pub fn set(&mut self, field: &str, value: &impl Serialize) -> Result<(), Fault> {
        let value = serde_json::to_value(value).map_err(|_| Fault::Json)?;
        if let Value::Object(body) = &mut self.0 {
            body.insert(field.to_owned(), value);
        }
        Ok(())
    }

    /// The bytes of the signed document.
    pub fn sign(&self, key: &RootKey) -> Result<Vec<u8>, Error> {
        let signature = key.sign(&canonical::write(&self.0).map_err(Error::Describe)?);
        let mut envelope = Map::new();
        envelope.insert("body".into(), self.0.clone());
        envelope.insert("signature".into(), Value::String(hex(&signature)));
        canonical::write(&Value::Object(envelope)).map_err(Error::Describe)
    }
}

pub(crate) fn object(content: &impl Serialize) -> Result<Map<String, Value>, Fault> {
    match serde_json::to_value(content) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Fault::Json),
    }
}

fn fields<T: DeserializeOwned>(body: &Value) -> Result<T, Fault> {
    T::deserialize(body).map_err(|error| Fault::Field(error.to_string()))
}
