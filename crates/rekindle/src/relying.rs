//! What is to be set up before one relies on an archive: one list, said by `up` and by `status`.

use inventory::Archive;
use std::path::Path;

/// What is known of an archive.
pub struct Reliance<'a> {
    /// Its section of the inventory.
    pub settings: &'a Archive,
    /// The root key.
    pub root: String,
    /// Who can open the newest identity set.
    pub recipients: &'a [String],
    /// Whether somebody typed the words of the kit.
    pub kit_confirmed: bool,
    /// Whether any generation counts.
    pub counts: bool,
}

impl Reliance<'_> {
    /// What is missing, a line each; empty where one may rely on it.
    pub fn missing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.settings.trust.is_none() {
            lines.push(format!("put into the inventory, under [archive]: trust = \"{}\"", self.root));
        }
        if self.recipients.len() < 2 {
            let own = self.recipients.first().map_or("age1…", String::as_str);
            lines.push(format!(
                "name a second recipient that is kept offline, under [archive]: recipients = [\"{own}\", \"age1…\"]"
            ));
        }
        if !self.kit_confirmed {
            lines.push(
                "print `rekindle archive kit`, and type its words into `rekindle archive kit --confirm`"
                    .into(),
            );
        }
        if self.settings.to.len() < 2 {
            lines.push(
                "name a second place, away from the first, under [archive]: to = [\"./archive\", \"s3://…\"]"
                    .into(),
            );
        }
        if !self.counts {
            lines.push("no generation counts yet: `rekindle snapshot` makes one and proves it".into());
        }
        lines
    }
}

/// The list for a person; empty where nothing is missing.
pub fn in_words(missing: &[String]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let list: String = missing.iter().map(|line| format!("\n  - {line}")).collect();
    format!("before you rely on this:{list}")
}

/// Whether the inventory in this folder is a lab's: nobody relies on that, so nothing is said without being asked.
pub fn is_a_labs(folder: &Path, labs: &Path) -> bool {
    labs.canonicalize().is_ok_and(|labs| folder.starts_with(labs))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[cluster]\nname = \"x\"\nkubernetes = \"1.36.3\"\n[nodes]\ncp1 = { address = \"10.0.0.1\", role = \"control-plane\" }\n[archive]\n";

    #[test]
    fn each_thing_that_is_missing_is_said() {
        let both = ["age1one".to_owned(), "age1two".to_owned()];
        let whole = "to = [\"a\", \"b\"]\ntrust = \"ed25519:00\"\n";
        for (archive, recipients, kit_confirmed, counts, words) in [
            (whole, &both[..], true, true, None),
            ("to = [\"a\", \"b\"]\n", &both, true, true, Some("trust = \"ed25519:11\"")),
            (whole, &both[..1], true, true, Some("[\"age1one\", \"age1…\"]")),
            (whole, &both, false, true, Some("--confirm")),
            ("trust = \"ed25519:00\"\n", &both, true, true, Some("a second place")),
            (whole, &both, true, false, Some("no generation counts")),
        ] {
            let parsed = inventory::parse("x", &format!("{HEAD}{archive}")).unwrap();
            let settings = &parsed.cluster.archive;
            let missing =
                Reliance { settings, root: "ed25519:11".into(), recipients, kit_confirmed, counts }.missing();
            assert_eq!(missing.len(), usize::from(words.is_some()), "{missing:?}");
            assert!(words.is_none_or(|words| missing[0].contains(words)), "{missing:?}");
        }
        assert_eq!(in_words(&[]), "");
        assert_eq!(in_words(&["a".into(), "b".into()]), "before you rely on this:\n  - a\n  - b");
    }
}
