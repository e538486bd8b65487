//! How many objects of each kind an apiserver serves, and what is different elsewhere.

use std::collections::BTreeMap;
use step::{Ask, Output, Script, Unreadable};

/// Objects by kind (`PLURAL[.GROUP]`).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counted {
    /// How many.
    pub served: BTreeMap<String, u64>,
    /// Kinds that could not be listed, and why.
    pub unlisted: BTreeMap<String, String>,
}

/// A kind of which two have another number.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// `PLURAL[.GROUP]`.
    pub kind: String,
    /// In the one.
    pub one: u64,
    /// In the other.
    pub other: u64,
}

/// Kinds that a cluster writes by itself all day.
const BY_ITSELF: [&str; 3] = ["events", "events.events.k8s.io", "leases.coordination.k8s.io"];

/// Asks a control plane whose apiserver answers. Pods of the node `without` are not counted.
pub fn counted(without: Option<&str>) -> Ask<Counted> {
    let script = Script::new(include_str!("counted.sh"));
    Ask { script: script.set("NODE", without.unwrap_or_default()), parse }
}

fn parse(output: &Output) -> Result<Counted, Unreadable> {
    let mut counted = Counted::default();
    let mut complete = false;
    for line in output.stdout.lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (kind, value) = rest.split_once(' ').unwrap_or((rest, ""));
        match what {
            "counted" => complete = true,
            "served" => {
                counted.served.insert(kind.into(), super::survey::number(kind, value)?);
            }
            "unlisted" => drop(counted.unlisted.insert(kind.into(), value.into())),
            "incomplete" => drop(counted.unlisted.insert("kinds".into(), rest.into())),
            _ => return Err(Unreadable(format!("unknown line `{line}`"))),
        }
    }
    if complete { Ok(counted) } else { Err(Unreadable(format!("it was cut off: {}", output.stderr.trim()))) }
}

impl Counted {
    /// Objects and kinds, but for what a cluster writes by itself.
    pub fn totals(&self) -> (u64, usize) {
        let kinds = self.served.iter().filter(|(kind, _)| !BY_ITSELF.contains(&kind.as_str()));
        kinds.fold((0, 0), |(objects, kinds), (_, count)| (objects + count, kinds + 1))
    }
}

/// The kinds of which `other` has another number, but for those that a cluster writes by itself. A kind that could not be
/// listed there is no difference.
pub fn differences(one: &BTreeMap<String, u64>, other: &Counted) -> Vec<Difference> {
    let kinds: std::collections::BTreeSet<&String> = one.keys().chain(other.served.keys()).collect();
    let difference = |kind: &String| {
        let of = |counts: &BTreeMap<String, u64>| counts.get(kind).copied().unwrap_or_default();
        let (one, other) = (of(one), of(&other.served));
        (one != other).then(|| Difference { kind: kind.clone(), one, other })
    };
    kinds
        .into_iter()
        .filter(|kind| !BY_ITSELF.contains(&kind.as_str()) && !other.unlisted.contains_key(*kind))
        .filter_map(difference)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_is_told_by_kind() {
        let answer =
            |stdout: &str| parse(&Output { status: 0, stdout: stdout.into(), stderr: String::new() });
        let text = "served pods 3\nserved events 90\nserved widgets.example.com 1\n\
                    unlisted metrics.example.com no endpoints\nincomplete not every API answers\ncounted\n";
        let other = answer(text).unwrap();
        assert_eq!(other.totals(), (4, 2));
        assert_eq!(other.unlisted.keys().collect::<Vec<_>>(), ["kinds", "metrics.example.com"]);
        let one = [
            ("pods", 4),
            ("events", 2),
            ("secrets", 1),
            ("metrics.example.com", 7),
            ("widgets.example.com", 1),
        ];
        let one = one.map(|(kind, count)| (kind.to_owned(), count)).into();
        let found = differences(&one, &other);
        let found: Vec<_> = found.iter().map(|one| (one.kind.as_str(), one.one, one.other)).collect();
        assert_eq!(found, [("pods", 4, 3), ("secrets", 1, 0)]);
        for text in ["", "served pods 3\n", "served pods x\ncounted\n", "nonsense\ncounted\n"] {
            assert!(answer(text).is_err(), "{text:?}");
        }
    }
}
