//! TOML to [`Raw`], going on after every mistake: what the parser or serde refuses is noted, taken out, and
//! the rest is read again, so that one run names them all.

use crate::change;
use crate::error::Mistake;
use crate::raw::Raw;
use crate::value;
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// The largest file that is read, in bytes: an inventory of 5000 nodes has a third of it.
const LARGEST: usize = 1 << 20;

/// Each round reads the document again; beyond so many mistakes the author has enough to mend.
const MOST_ROUNDS: usize = 100;

/// What could be read, and what could not.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub raw: Raw,
    pub mistakes: Vec<Mistake>,
    /// Keys that were written, but taken out: nobody may call them missing.
    broken: Vec<String>,
    /// The text is no TOML: whatever is missing may have been there.
    torn: bool,
}

impl Document {
    /// Whether `path`, or something in it, was written and could not be read.
    pub fn is_broken(&self, path: &str) -> bool {
        self.torn || self.broken.iter().any(|broken| is_under(path, broken) || is_under(broken, path))
    }
}

fn is_under(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Reads `text`.
pub(crate) fn read(text: &str) -> Document {
    if text.len() > LARGEST {
        let message = format!("the file has {:.1} MB", text.len() as f64 / 1e6);
        let mistake =
            Mistake::new(None, message, "an inventory has at most 1 MiB").hint("is this the right file?");
        return Document { mistakes: vec![mistake], torn: true, ..Document::default() };
    }
    let (mut table, syntax) = DeTable::parse_recoverable(text);
    let mut document = Document { torn: !syntax.is_empty(), ..Document::default() };
    document.mistakes.extend(syntax.iter().map(|error| explain_syntax(text, error)));
    for _ in 0..MOST_ROUNDS {
        let error = match Raw::deserialize(Deserializer::from(table.clone())) {
            Ok(raw) => {
                document.raw = raw;
                return document;
            }
            Err(error) => error,
        };
        let path = error.span().and_then(|span| take_out(table.get_mut(), &span));
        let found = path.is_some();
        let path = path.unwrap_or_default().join(".");
        // What serde says of a torn text, or of what is left of a table, is not the author's word.
        let emptied = found && document.broken.iter().any(|broken| is_under(&path, broken));
        if (!document.torn || !found) && !emptied {
            let (mistake, meant) = explain(error.message(), error.span(), &path);
            document.mistakes.push(mistake);
            document.broken.extend(meant);
        }
        document.broken.push(path);
        if !found {
            break;
        }
    }
    document.torn = true;
    document
}

/// Removes the innermost entry that `span` lies in and returns its path.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    for (key, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(mut path) = take_out(inner, span)
        {
            path.insert(0, key.get_ref().to_string());
            return Some(path);
        }
    }
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let key: Spanned<Cow<'_, str>> = table
        .iter()
        .find(|(key, value)| covers(key.span()) || covers(value.span()))
        .map(|(key, _)| key.clone())?;
    table.remove(&key);
    Some(vec![key.into_inner().into_owned()])
}

/// The parser's message in our words.
fn explain_syntax(text: &str, error: &toml::de::Error) -> Mistake {
    let written = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    if error.message() == "duplicate key" {
        let message = format!("`{}` is written twice", value::brief(written));
        return Mistake::new(error.span(), message, "each key once");
    }
    let mistake = Mistake::new(error.span(), lower_case(error.message()), "");
    let is_scalar = ["invalid float", "invalid integer", "invalid unquoted", "string values must be quoted"];
    if is_scalar.iter().any(|start| mistake.message.starts_with(start)) {
        return mistake.hint("addresses, versions and names stand in quotes");
    }
    mistake
}

/// serde's message in our words, and the key that was meant where an unknown one is near it. Its forms are
/// serde's own (`unknown_field`, `unknown_variant`, `invalid_type`, `invalid_value` of `serde::de::Error`).
fn explain(message: &str, span: Option<Range<usize>>, path: &str) -> (Mistake, Option<String>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field") {
        return unknown_key(path, &quoted, span);
    }
    if message.starts_with("unknown variant")
        && let [found, expected @ ..] = &quoted[..]
    {
        let right = nearest(found, expected)
            .map_or_else(|| format!("one of {}", quote(expected)), |near| format!("perhaps \"{near}\""));
        // Of `{ miror = … }` the key is what is wrong.
        let path = path.strip_suffix(&format!(".{found}")).unwrap_or(path);
        return (Mistake::new(span, format!("`{found}` is no value of `{path}`"), right), None);
    }
    for start in ["invalid type: ", "invalid value: "] {
        let Some((found, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected "))
        else {
            continue;
        };
        let mistake =
            Mistake::new(span, format!("`{path}` can't be {}", in_words(found)), expectation(expected));
        let number = found.strip_prefix("floating point `").and_then(|rest| rest.strip_suffix('`'));
        let hint = number
            .filter(|_| path == "cluster.kubernetes")
            .map(|number| format!("write the exact version in quotes, like \"{number}.0\""));
        return (Mistake { hint, ..mistake }, None);
    }
    let place = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
    (Mistake::new(span, format!("{place}{message}"), ""), None)
}

fn unknown_key(path: &str, quoted: &[&str], span: Option<Range<usize>>) -> (Mistake, Option<String>) {
    let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
    // Of a table in a list the path ends at the list.
    let (section, key) = match quoted.first() {
        Some(found) if *found != key => (path, *found),
        _ => (section, key),
    };
    let expected = quoted.get(1..).unwrap_or_default();
    let message = if section.is_empty() {
        format!("unknown key `{key}`")
    } else {
        format!("unknown key `{section}.{key}`")
    };
    if let Some(near) = nearest(key, expected) {
        let meant = if section.is_empty() { near.to_owned() } else { format!("{section}.{near}") };
        return (Mistake::new(span, message, format!("perhaps `{near}`")), Some(meant));
    }
    let place = if section.is_empty() { "of an inventory".into() } else { format!("of `{section}`") };
    let mistake = Mistake::new(span, message, format!("the keys {place} are {}", quote(expected)));
    match change::section_of(key) {
        Some(home) if home != section => (mistake.hint(format!("`{key}` belongs in `{home}`")), None),
        _ => (mistake, None),
    }
}

/// The candidate that `word` is most likely a slip of.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('_', "-");
    candidates
        .iter()
        .map(|&candidate| (strsim::damerau_levenshtein(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 2.min(candidate.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn quote(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn in_words(found: &str) -> String {
    match found.split([' ', '`']).next() {
        Some("integer") => format!("the {found}"),
        Some("floating") => found.replacen("floating point", "the number", 1),
        Some("string" | "boolean") => format!("the {}", found.replace('"', "`")),
        Some("map") => "a table".into(),
        Some("sequence") => "a list".into(),
        _ => found.into(),
    }
}

fn expectation(expected: &str) -> String {
    match expected {
        "u16" => "a whole number from 1 to 65535".into(),
        "u32" => "a whole number of at least 0".into(),
        "a map" => "a table".into(),
        "a sequence" => "a list".into(),
        "path string" => "a path".into(),
        _ if expected.starts_with("struct ") => "a table".into(),
        _ if expected.starts_with("enum ") || expected == "string or table" => "a string".into(),
        _ => expected.into(),
    }
}

fn lower_case(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
