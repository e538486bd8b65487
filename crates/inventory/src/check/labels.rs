//! The syntax of labels and taints, as the kubelet and the API check it
//! (`IsQualifiedName` and `IsValidLabelValue` of `k8s.io/apimachinery/pkg/util/validation`).

use crate::document::nearest;
use crate::error::Mistake;
use crate::form::{At, Named};
use crate::parse::Found;
use crate::value::{brief, is_dns_name};
use std::collections::BTreeMap;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const KEY: &str = "[prefix/]name of letters, digits, -, _ and ., at most 63 of them";
const VALUE: &str = "letters, digits, -, _ and ., at most 63 of them, or nothing";
const TAINT: &str = "key=value:Effect or key:Effect";

/// All good labels of a node.
pub(crate) fn labels(raw: &Named<At<String>>, found: &mut Found) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in raw {
        let good_key = found.take(key.text(), |text| match is_key(text) {
            true => Ok(text.to_owned()),
            false => Err(Mistake::new(None, format!("`{}` is no label's key", brief(text)), KEY)),
        });
        let good_value = found.take(value.text(), |text| match is_value(text) {
            true => Ok(text.to_owned()),
            false => Err(Mistake::new(None, format!("`{}` is no label's value", brief(text)), VALUE)),
        });
        labels.extend(good_key.zip(good_value));
    }
    labels
}

/// All good taints of a node; the kubelet does not start with two of one key and effect.
pub(crate) fn taints(raw: &[At<String>], found: &mut Found) -> Vec<String> {
    let identity = |taint: &str| {
        let (left, effect) = taint.rsplit_once(':').unwrap_or((taint, ""));
        (left.split('=').next().map(str::to_owned), effect.to_owned())
    };
    let mut taints: Vec<String> = Vec::new();
    for at in raw {
        let Some(good) = found.take(at.text(), taint) else { continue };
        if let Some(other) = taints.iter().find(|other| identity(other) == identity(&good)) {
            let message = format!("`{good}` and `{other}` have one key and effect");
            found.error(Mistake::new(at.span.clone(), message, "one value for each key and effect"));
        }
        taints.push(good);
    }
    taints
}

/// `key[=value]:Effect`.
fn taint(text: &str) -> Result<String, Mistake> {
    let wrong = |right: String| Err(Mistake::new(None, format!("`{}` is no taint", brief(text)), right));
    let Some((left, effect)) = text.rsplit_once(':') else { return wrong(TAINT.into()) };
    let (key, value) = left.split_once('=').unwrap_or((left, ""));
    if !EFFECTS.contains(&effect) {
        let near = nearest(effect, &EFFECTS);
        return wrong(near.map_or_else(
            || format!("an effect of {}", EFFECTS.join(", ")),
            |near| format!("perhaps the effect {near}"),
        ));
    }
    if !is_key(key) || !is_value(value) {
        return wrong(TAINT.into());
    }
    Ok(text.into())
}

fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    !name.is_empty() && is_value(name) && prefix.is_none_or(is_dns_name)
}

fn is_value(text: &str) -> bool {
    let ends = |letter: char| letter.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= 63
            && text.starts_with(ends)
            && text.ends_with(ends)
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
}
