//! The pieces of what a boot for an export prints: lines, and pages after the line that says how long they are. The
//! lines alone are what a boot for a proof prints.

use step::Unreadable;

/// A page longer than this is none, in bytes: 500 objects of etcd's largest, and what JSON adds.
const LONGEST_PAGE: usize = 2 << 30;
/// A line longer than this is none, in bytes.
const LONGEST_LINE: usize = 4 << 10;
/// Lines are kept up to this size, in bytes: one a kind.
const MOST_SAID: usize = 8 << 20;

/// One piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A page of a kind: `PLURAL[.GROUP]`, JSON.
    Page(String, Vec<u8>),
    /// A kind that was not listed, and why.
    Unlisted(String, String),
    /// All was printed.
    Complete,
}

/// Takes output as it arrives.
#[derive(Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// The page that is being read, and its length.
    page: Option<(String, usize)>,
    said: String,
}

impl Frames {
    /// Adds bytes, and hands on the pieces that are whole now.
    ///
    /// # Errors
    /// The output is not the script's.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Unreadable> {
        self.buffer.extend_from_slice(bytes);
        let mut frames = Vec::new();
        loop {
            if let Some((_, length)) = &self.page {
                if self.buffer.len() < *length {
                    return Ok(frames);
                }
                let rest = self.buffer.split_off(*length);
                let page = std::mem::replace(&mut self.buffer, rest);
                if let Some((kind, _)) = self.page.take() {
                    frames.push(Frame::Page(kind, page));
                }
                continue;
            }
            let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
                if self.buffer.len() > LONGEST_LINE {
                    return Err(Unreadable("a line without an end".into()));
                }
                return Ok(frames);
            };
            let rest = self.buffer.split_off(end + 1);
            let line = std::mem::replace(&mut self.buffer, rest);
            let line = String::from_utf8_lossy(&line);
            frames.extend(self.line(line.trim_end())?);
            if self.page.is_none() && self.said.len() < MOST_SAID {
                self.said.push_str(&line);
            }
        }
    }

    /// All lines without the pages, for [`crate::drill::parse`].
    pub fn said(&self) -> &str {
        &self.said
    }

    fn line(&mut self, line: &str) -> Result<Option<Frame>, Unreadable> {
        let unreadable = || Unreadable(format!("unknown line `{line}`"));
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
        match key {
            "list" => {
                let length: usize = rest.parse().map_err(|_| unreadable())?;
                if length > LONGEST_PAGE {
                    return Err(unreadable());
                }
                self.page = Some((first.into(), length));
                Ok(None)
            }
            "unlisted" => Ok(Some(Frame::Unlisted(first.into(), rest.trim_end_matches(['"', ',']).into()))),
            "unready" => Ok(Some(Frame::Unlisted("readyz".into(), value.trim().into()))),
            "incomplete" => Ok(Some(Frame::Unlisted("some kinds".into(), value.into()))),
            "complete" => Ok(Some(Frame::Complete)),
            "at" | "served" => Ok(None),
            "revision" | "hash_kv" | "compact_revision" | "keys" | "other" | "token" => Ok(None),
            _ => Err(unreadable()),
        }
    }
}
