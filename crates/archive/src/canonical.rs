//! Canonical JSON: one value has one spelling, so that a signature over bytes is a signature over a value.
//!
//! The rule is RFC 8785 (JSON Canonicalization Scheme) narrowed to what needs no judgement: keys are printable
//! ASCII in byte order, numbers are integers from 0 to 2^53-1, there is no white space. A reader refuses every
//! other spelling of the same value.

use crate::Fault;
use serde_json::Value;

/// The greatest integer that every JSON reader keeps exactly (RFC 7493).
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The canonical bytes of `value`.
///
/// # Errors
/// [`Fault::NotCanonical`] for a number or a key that the rule does not allow.
pub(crate) fn write(value: &Value) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    append(value, &mut bytes)?;
    Ok(bytes)
}

/// Reads a value that must be spelled canonically.
///
/// # Errors
/// [`Fault::Json`] where it is no JSON, [`Fault::NotCanonical`] where it is another spelling.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Fault> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| Fault::Json)?;
    if write(&value)? == bytes { Ok(value) } else { Err(Fault::NotCanonical) }
}

fn append(value: &Value, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    match value {
        Value::Null => bytes.extend_from_slice(b"null"),
        Value::Bool(true) => bytes.extend_from_slice(b"true"),
        Value::Bool(false) => bytes.extend_from_slice(b"false"),
        Value::Number(number) => {
            let integer = number.as_u64().filter(|integer| *integer <= MAX_INTEGER);
            bytes.extend_from_slice(integer.ok_or(Fault::NotCanonical)?.to_string().as_bytes());
        }
        Value::String(text) => append_text(text, bytes)?,
        Value::Array(items) => {
            bytes.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    bytes.push(b',');
                }
                append(item, bytes)?;
            }
            bytes.push(b']');
        }
        Value::Object(fields) => {
            // The map keeps insertion order when another crate of the build asks serde_json for that.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_bytes());
            bytes.push(b'{');
            for (i, (key, value)) in fields.into_iter().enumerate() {
                if !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                    return Err(Fault::NotCanonical);
                }
                if i > 0 {
                    bytes.push(b',');
                }
                append_text(key, bytes)?;
                bytes.push(b':');
                append(value, bytes)?;
            }
            bytes.push(b'}');
        }
    }
    Ok(())
}

/// serde_json escapes exactly what RFC 8785 §3.2.2.2 tells to escape, in the same spelling.
fn append_text(text: &str, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    serde_json::to_writer(bytes, text).map_err(|_| Fault::Json)
}
