//! From text to [`Parsed`]: reads, lowers, checks, and sorts what was found wrong by what it weighs.

use crate::error::{Mistake, Mistakes, Severity};
use crate::form::At;
use crate::{Cluster, check, document, lower, not_yet};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// An inventory that can be used.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says.
    pub cluster: Cluster,
    /// What somebody should look at.
    pub warnings: Mistakes,
    /// What is refused at the first `up`, when it costs nothing to mend, and is a warning in a cluster that
    /// is there ([`Mistakes::into_warnings`]): an even number of etcd members.
    pub first_up_errors: Mistakes,
    /// The line of each node in the file, from 1, for messages about it.
    pub node_lines: BTreeMap<String, usize>,
}

/// Reads an inventory. `file_name` is only shown.
///
/// # Errors
/// Every mistake of the text, of its values, and of the rules across them.
pub fn parse(file_name: &str, text: &str) -> Result<Parsed, Mistakes> {
    let mut document = document::read(text);
    let mut found = Found { errors: std::mem::take(&mut document.mistakes), ..Found::default() };
    let (cluster, places) = lower::lower(&document, &mut found);
    check::rules(&document, &cluster, &places, &mut found);
    not_yet::refuse(&document.raw, &mut found);
    let text: Arc<str> = text.into();
    let mistakes = |severity, list| Mistakes::new(file_name, &text, severity, list);
    if !found.errors.is_empty() {
        return Err(mistakes(Severity::Error, found.errors));
    }
    let newlines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |span: &Range<usize>| newlines.partition_point(|&newline| newline < span.start) + 1;
    Ok(Parsed {
        cluster,
        warnings: mistakes(Severity::Warning, found.warnings),
        first_up_errors: mistakes(Severity::Error, found.first_up),
        node_lines: places.nodes.iter().map(|(name, place)| (name.clone(), line(&place.name))).collect(),
    })
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub errors: Vec<Mistake>,
    pub warnings: Vec<Mistake>,
    pub first_up: Vec<Mistake>,
}

impl Found {
    /// The value, or a note and `None`.
    pub fn take<T>(&mut self, at: At<&str>, read: impl FnOnce(&str) -> Result<T, Mistake>) -> Option<T> {
        read(at.value).map_err(|mistake| self.errors.push(Mistake { span: Some(at.span), ..mistake })).ok()
    }

    /// The value, or the default where there is none or it is wrong.
    pub fn or<T>(
        &mut self,
        at: Option<&At<String>>,
        read: impl FnOnce(&str) -> Result<T, Mistake>,
        default: impl FnOnce() -> T,
    ) -> T {
        at.and_then(|at| self.take(at.text(), read)).unwrap_or_else(default)
    }

    /// All good values of a list.
    pub fn all<T>(&mut self, list: &[At<&str>], read: impl Fn(&str) -> Result<T, Mistake>) -> Vec<T> {
        list.iter().filter_map(|at| self.take(at.clone(), &read)).collect()
    }

    /// Notes a mistake.
    pub fn error(&mut self, mistake: Mistake) {
        self.errors.push(mistake);
    }
}
