//! A generation's objects as manifests that `kubectl apply -R -f` takes, a file each.
//!
//! Left out is what a cluster makes by itself or what says how one was doing: Events, Leases, Nodes and what belongs
//! to them, whatever a controller owns (Pods of Deployments, ReplicaSets, EndpointSlices), Kubernetes' own roles,
//! priorities and API services, tokens, the certificates' ConfigMaps. Names come from an archive, so they are hostile:
//! nothing of them but letters, digits, `-`, `_` and inner dots becomes a path.

mod clean;
mod frames;
pub mod stream;

pub use frames::{Frame, Frames};

use crate::yaml;
use serde_json::Value;
use std::fmt::Write;
use step::{Digest, Unreadable};

/// A longer name is cut, and told apart by its digest: file systems end at 255 bytes.
const LONGEST_NAME: usize = 180;

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Relative: `shop/deployments.apps/web.yaml`, or `_cluster/namespaces/shop.yaml`.
    pub path: String,
    /// YAML. May hold a Secret's content.
    pub text: String,
}

/// What of one page of one kind (`PLURAL[.GROUP]`) is exported, and how many objects are left out.
///
/// # Errors
/// The page is no list of objects.
pub fn manifests(kind: &str, page: &[u8]) -> Result<(Vec<Manifest>, usize), Unreadable> {
    let unreadable = |why: &str| Unreadable(format!("{kind}: {why}"));
    let mut page: Value = serde_json::from_slice(page).map_err(|error| unreadable(&error.to_string()))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, list) = (text(&page["apiVersion"]), text(&page["kind"]));
    let items = match page.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        Some(Value::Null) if list.ends_with("List") => Vec::new(),
        _ => return Err(unreadable("it is no list")),
    };
    let mut made = Vec::new();
    let all = items.len();
    for mut item in items {
        // Items of a list do not say what they are.
        let own = item.as_object_mut().ok_or_else(|| unreadable("an item is no object"))?;
        for (key, value) in [("apiVersion", version.as_str()), ("kind", list.trim_end_matches("List"))] {
            if own.get(key).and_then(Value::as_str).is_none_or(str::is_empty) {
                own.insert(key.into(), value.into());
            }
        }
        if clean::is_left_out(kind, &item) {
            continue;
        }
        clean::clean(kind, &mut item);
        let metadata = &item["metadata"];
        let name = metadata["name"].as_str().ok_or_else(|| unreadable("an object has no name"))?;
        let namespace = metadata["namespace"].as_str().filter(|namespace| !namespace.is_empty());
        // No namespace begins with `_`, and it comes before all letters: kubectl applies in this order.
        let folder = namespace.map_or_else(|| "_cluster".into(), safe);
        let path = format!("{folder}/{}/{}.yaml", safe(kind), safe(name));
        made.push(Manifest { path, text: yaml::document(&item) });
    }
    let left_out = all - made.len();
    Ok((made, left_out))
}

/// The objects on one page of one kind, for whoever reads some of them; of a page that lists none, none.
///
/// # Errors
/// The page is no JSON.
pub(crate) fn items(kind: &str, page: &[u8]) -> Result<Vec<Value>, Unreadable> {
    let mut page: Value =
        serde_json::from_slice(page).map_err(|error| Unreadable(format!("{kind}: {error}")))?;
    match page["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// A name as one part of a path: other bytes than lower-case letters, digits, `-`, `_` and inner dots as `%XX`, so that
/// no two names meet, whatever the file system thinks of case.
fn safe(name: &str) -> String {
    let mut text = String::new();
    for (i, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || byte == b'-'
            || (i > 0 && (byte == b'.' || byte == b'_'));
        match plain {
            true => text.push(char::from(byte)),
            // Writing to a String can't fail.
            false => drop(write!(text, "%{byte:02X}")),
        }
    }
    if text.len() > LONGEST_NAME {
        text.truncate(LONGEST_NAME);
        let digest = Digest::of(name.as_bytes()).hex();
        let _ = write!(text, "%{}", &digest[..32]);
    }
    if text.is_empty() { "%".into() } else { text }
}

#[cfg(test)]
mod tests;
