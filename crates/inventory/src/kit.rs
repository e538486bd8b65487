//! The block of a recovery kit: whose archive it is, by which root key it is known, and where it lies. It stands
//! between two marker lines of a page that is printed and may come back from paper, so it is read strictly, and how
//! its lines end is not looked at.

use crate::cluster::{Destination, Ssh};
use crate::effective;
use crate::error::{Mistake, Mistakes, Severity};
use crate::form::At;
use crate::lower;
use crate::parse::Found;
use crate::raw::{RawPlaces, RawSsh};
use serde::Deserialize;
use std::ops::Range;
use std::sync::Arc;
use toml::Value;

/// The line before the block.
pub const KIT_BEGIN: &str = "-----BEGIN REKINDLE KIT-----";
/// The line after it.
pub const KIT_END: &str = "-----END REKINDLE KIT-----";

/// The version of the block.
const VERSION: u64 = 1;

/// Longer than any page, in bytes.
const LARGEST: usize = 64 << 10;

/// What a kit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kit {
    /// The cluster's name.
    pub cluster: String,
    /// Its uid.
    pub uid: String,
    /// The archive's root public key.
    pub root: String,
    /// Words of that key, by which a typing mistake is found.
    pub words: String,
    /// The archive's id.
    pub repo: String,
    /// The highest epoch when it was written.
    pub epoch: u64,
    /// Where the archive lies; one place at least.
    pub to: Vec<Destination>,
}

/// The block as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: At<u64>,
    cluster: At<String>,
    uid: At<String>,
    root: At<String>,
    words: At<String>,
    repo: At<String>,
    epoch: At<u64>,
    to: At<RawPlaces>,
}

impl Kit {
    /// Reads the page. `file_name` is only shown.
    ///
    /// # Errors
    /// Every mistake of the block, each with its place on the page.
    pub fn parse(file_name: &str, page: &str) -> Result<Self, Mistakes> {
        let wrong = |text: &str, list| Mistakes::new(file_name, &Arc::from(text), Severity::Error, list);
        if page.len() > LARGEST {
            let mistake = Mistake::new(None, "the file is far longer than a page".into(), "a recovery kit");
            return Err(wrong("", vec![mistake]));
        }
        let block = block(page).map_err(|mistake| wrong(page, vec![mistake]))?;
        let raw: Raw = toml::from_str(&block).map_err(|error| {
            wrong(&block, vec![Mistake::new(error.span(), error.message().to_owned(), "")])
        })?;
        let mut found = Found::default();
        if raw.version.value != VERSION {
            let message = format!("a kit of version {}", raw.version.value);
            let mistake = Mistake::new(raw.version.span.clone(), message, "this rekindle reads version 1");
            found.error(mistake.hint("use the rekindle that wrote it, or a newer one"));
        }
        for at in [&raw.cluster, &raw.uid, &raw.root, &raw.words, &raw.repo] {
            found.take(at.text(), |text| {
                let good =
                    (1..=255).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
                let says = || Mistake::new(None, "it is no word of a kit".into(), "as it stands on the page");
                good.then_some(()).ok_or_else(says)
            });
        }
        if raw.epoch.value == 0 {
            found.error(Mistake::new(raw.epoch.span.clone(), "0 is no epoch".into(), "1 or more"));
        }
        let to = lower::destinations(Some(&raw.to), &mut found);
        if !found.errors.is_empty() {
            return Err(wrong(&block, found.errors));
        }
        let Raw { cluster, uid, root, words, repo, epoch, .. } = raw;
        Ok(Self {
            cluster: cluster.value,
            uid: uid.value,
            root: root.value,
            words: words.value,
            repo: repo.value,
            epoch: epoch.value,
            to,
        })
    }

    /// The block with its marker lines.
    pub fn block(&self) -> String {
        let text = |text: &str| Value::from(text);
        let mut block = format!("{KIT_BEGIN}\nversion = {VERSION}\n");
        for (key, value) in [
            ("cluster", text(&self.cluster)),
            ("uid", text(&self.uid)),
            ("root", text(&self.root)),
            ("words", text(&self.words)),
            ("repo", text(&self.repo)),
        ] {
            block += &format!("{key} = {value}\n");
        }
        block += &format!("epoch = {}\n", self.epoch);
        // A line a key: no line is longer than paper is wide.
        for to in &self.to {
            block += &format!("[[to]]\nurl = {}\n", text(&to.url()));
            let Value::Table(table) = effective::destination(to) else { continue };
            for (key, value) in table.iter().filter(|(key, _)| *key != "url") {
                block += &format!("{key} = {value}\n");
            }
        }
        block + KIT_END + "\n"
    }

    /// How hosts of the archive are reached where no inventory says it: as by an inventory without `[ssh]`.
    pub fn ssh() -> Ssh {
        lower::ssh(&RawSsh::default(), &mut Found::default())
    }
}

/// The page with all outside the block made empty lines, so that places stay what they are.
fn block(page: &str) -> Result<String, Mistake> {
    let mut block = String::with_capacity(page.len());
    let (mut begun, mut ended): (Option<Range<usize>>, bool) = (None, false);
    let mut at = 0;
    for line in page.split_inclusive('\n') {
        let span = at..at + line.trim_end().len();
        at += line.len();
        let is_inside = begun.is_some() && !ended;
        match line.trim() {
            KIT_BEGIN if begun.is_some() => {
                return Err(Mistake::new(span, "a second kit begins here".into(), "one kit a file"));
            }
            KIT_BEGIN => begun = Some(span),
            KIT_END if is_inside => ended = true,
            KIT_END => return Err(Mistake::new(span, "a kit ends that did not begin".into(), "")),
            _ if is_inside => {
                block.push_str(line);
                continue;
            }
            _ => {}
        }
        block.push_str(if line.ends_with('\n') { "\n" } else { "" });
    }
    match (begun, ended) {
        (Some(_), true) => Ok(block),
        (Some(begun), false) => Err(Mistake::new(begun, "the kit is cut off".into(), KIT_END)),
        (None, _) => Err(Mistake::new(None, "there is no recovery kit in it".into(), KIT_BEGIN)),
    }
}
