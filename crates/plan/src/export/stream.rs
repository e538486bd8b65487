//! All manifests of a generation as one text: YAML documents in the order in which they can be applied, each after the
//! name of its file, as other tools' templates print it. A person splits it with an editor, `kubectl apply -f` takes it
//! as it is, and [`Documents`] gives the manifests back.

use super::{LONGEST_NAME, Manifest};
use std::fmt::Write;
use step::Unreadable;

const SOURCE: &str = "# Source: ";
const UNLISTED: &str = "# Not listed: ";
const COMPLETE: &str = "# Complete: ";

/// A document longer than this is none, in bytes: etcd takes no request above 1.5 MiB by default, and escapes make six
/// bytes of one.
const LONGEST_DOCUMENT: usize = 64 << 20;

/// One document.
pub fn document(manifest: &Manifest) -> String {
    format!("---\n{SOURCE}{}\n{}", manifest.path, manifest.text)
}

/// What comes after the last: kinds that were not listed and why, how many documents there are, how many objects were
/// left out.
pub fn end(unlisted: &[(String, String)], written: usize, left_out: usize) -> String {
    let mut text = "---\n".to_owned();
    for (kind, why) in unlisted {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{UNLISTED}{kind}: {}", why.replace(char::is_control, " "));
    }
    let _ = writeln!(text, "{COMPLETE}{written} documents, {left_out} objects left out");
    text
}

/// One piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A manifest, whose path stays below a folder.
    Manifest(Manifest),
    /// A kind that was not listed, and why.
    Unlisted(String, String),
    /// Nothing is missing: so many manifests, so many objects left out.
    Complete(usize, usize),
}

/// Takes the text as it arrives. It comes from an archive, so it is hostile.
#[derive(Default)]
pub struct Documents {
    buffer: Vec<u8>,
    /// The manifest that is being read.
    manifest: Option<Manifest>,
    /// Whether the line before began a document.
    begins: bool,
}

impl Documents {
    /// Adds bytes, and hands on the pieces that are whole now.
    ///
    /// # Errors
    /// The text is not as [`document`] and [`end`] write it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, Unreadable> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let mut from = 0;
        while let Some(length) = self.buffer[from..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8(self.buffer[from..from + length].to_vec());
            let line = line.map_err(|_| Unreadable("a line that is no text".into()))?;
            from += length + 1;
            pieces.extend(self.line(&line)?);
        }
        self.buffer.drain(..from);
        if self.buffer.len() > LONGEST_DOCUMENT {
            return Err(Unreadable("a line without an end".into()));
        }
        Ok(pieces)
    }

    fn line(&mut self, line: &str) -> Result<Option<Piece>, Unreadable> {
        let begins = std::mem::replace(&mut self.begins, line == "---");
        if self.begins {
            return Ok(self.manifest.take().map(Piece::Manifest));
        }
        if let Some(manifest) = &mut self.manifest {
            manifest.text.push_str(line);
            manifest.text.push('\n');
            let fits = manifest.text.len() <= LONGEST_DOCUMENT;
            return if fits { Ok(None) } else { Err(Unreadable(format!("{}: too long", manifest.path))) };
        }
        let unreadable =
            || Unreadable(format!("unknown line `{}`", line.chars().take(200).collect::<String>()));
        if let Some(path) = line.strip_prefix(SOURCE).filter(|path| begins && is_below(path)) {
            self.manifest = Some(Manifest { path: path.to_owned(), text: String::new() });
            return Ok(None);
        }
        if let Some((kind, why)) = line.strip_prefix(UNLISTED).and_then(|rest| rest.split_once(": ")) {
            return Ok(Some(Piece::Unlisted(kind.into(), why.into())));
        }
        let counts = line.strip_prefix(COMPLETE).and_then(|rest| {
            let (written, rest) = rest.split_once(" documents, ")?;
            let left_out = rest.strip_suffix(" objects left out")?;
            Some(Piece::Complete(written.parse().ok()?, left_out.parse().ok()?))
        });
        counts.map(Some).ok_or_else(unreadable)
    }
}

/// Whether this is a path as [`super::manifests`] makes it.
fn is_below(path: &str) -> bool {
    let part = |part: &str| {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.%ABCDEF".contains(&byte);
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= LONGEST_NAME + 40
            && part.bytes().all(plain)
    };
    let parts: Vec<&str> = path.split('/').collect();
    parts.len() == 3 && path.ends_with(".yaml") && parts.into_iter().all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str, text: &str) -> Manifest {
        Manifest { path: path.into(), text: text.into() }
    }

    fn read(text: &str, size: usize) -> Result<Vec<Piece>, Unreadable> {
        let mut documents = Documents::default();
        let pieces: Result<Vec<_>, _> =
            text.as_bytes().chunks(size).map(|piece| documents.take(piece)).collect();
        pieces.map(|pieces| pieces.concat())
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let made = [
            manifest("_cluster/namespaces/shop.yaml", "kind: Namespace\n"),
            manifest("shop/secrets/%41.yaml", "data:\n  a: \"---\\n# Source: x\"\n"),
        ];
        let unlisted = [("widgets.example.com".to_owned(), "no\nkey: 7".to_owned())];
        let text: String = made.iter().map(document).collect::<String>() + &end(&unlisted, 2, 9);
        insta::assert_snapshot!(text);
        let [one, two] = made;
        let wanted = [
            Piece::Manifest(one),
            Piece::Manifest(two),
            Piece::Unlisted("widgets.example.com".into(), "no key: 7".into()),
            Piece::Complete(2, 9),
        ];
        for size in 1..=text.len() {
            assert_eq!(read(&text, size).unwrap(), wanted, "cut every {size} bytes");
        }
    }

    #[test]
    fn no_hostile_text_leaves_the_folder() {
        for path in [
            "../secrets/a.yaml",
            "/etc/cron.d/a.yaml",
            "a/b/../c.yaml",
            "a/b/.yaml",
            "a/b.yaml",
            "a//b.yaml",
            "a/b/c/d.yaml",
            "a/b/c.sh",
            "Z/b/c.yaml",
            "",
        ] {
            let text = document(&manifest(path, "kind: X\n"));
            assert!(read(&text, 7).is_err(), "{path}");
        }
        for text in ["hello\n", "# Source: a/b/c.yaml\n", "---\n# Complete: x\n", "---\n\u{0}\n"] {
            assert!(read(text, 3).is_err(), "{text}");
        }
        // A text that was cut off never says that it is complete.
        let whole = document(&manifest("a/b/c.yaml", "kind: X\n")) + &end(&[], 1, 0);
        for length in 0..whole.len() {
            let cut = read(&whole[..length], 5).unwrap();
            assert!(!cut.iter().any(|piece| matches!(piece, Piece::Complete(..))), "{length}");
        }
    }
}
