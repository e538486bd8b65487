//! What is wrong with an inventory: all of it, each mistake with its place in the text, drawn with a caret.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Mistakes beyond this many are counted, not shown: nobody reads them, and a broken file can hold a million.
const SHOWN: usize = 50;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the text that it is about; `None` where the file as a whole is meant.
    pub span: Option<Range<usize>>,
    /// What is wrong; lower case, no final dot.
    pub message: String,
    /// What would be right, shown beside the caret; empty where the message says it.
    pub right: String,
    /// What a person can do.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake at `span`: what is wrong, and what would be right.
    pub(crate) fn new(
        span: impl Into<Option<Range<usize>>>,
        message: String,
        right: impl Into<String>,
    ) -> Self {
        Self { span: span.into(), message, right: right.into(), hint: None }
    }

    /// The same with a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How much a list of mistakes weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The inventory can't be used.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// All mistakes of one file, in the order of the text.
#[derive(Clone)]
pub struct Mistakes {
    file: String,
    text: Arc<str>,
    severity: Severity,
    list: Vec<Mistake>,
}

impl Mistakes {
    pub(crate) fn new(file: &str, text: &Arc<str>, severity: Severity, mut list: Vec<Mistake>) -> Self {
        for mistake in &mut list {
            mistake.message = without_secrets(&mistake.message);
        }
        list.sort_by_key(|mistake| mistake.span.as_ref().map_or(0, |span| span.start));
        list.dedup();
        Self { file: file.into(), text: Arc::clone(text), severity, list }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Each, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.list.iter()
    }

    /// The file's name as it was given to [`crate::parse`].
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Errors or warnings.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The same list as warnings: what is an error at the first `up` only.
    pub fn into_warnings(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Line and column (in characters) of a mistake of this list, both from 1.
    pub fn position(&self, mistake: &Mistake) -> Option<(usize, usize)> {
        let start = mistake.span.as_ref()?.start;
        let before = self.text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// Every mistake as `file:line:col`, the line with a caret, what would be right and the hint.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut shown: Vec<String> =
            self.list.iter().take(SHOWN).map(|mistake| self.draw(&renderer, mistake)).collect();
        if self.list.len() > SHOWN {
            shown.push(format!("and {} more", self.list.len() - SHOWN));
        }
        shown.join("\n\n")
    }

    fn draw(&self, renderer: &Renderer, mistake: &Mistake) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(mistake.message.as_str());
        let mut report = match &mistake.span {
            Some(span) => {
                let excerpt = Excerpt::of(&self.text, span);
                let mut caret = AnnotationKind::Primary.span(excerpt.span);
                if !mistake.right.is_empty() {
                    caret = caret.label(mistake.right.as_str());
                }
                title.element(
                    Snippet::source(without_secrets(excerpt.line))
                        .line_start(excerpt.number)
                        .path(self.file.as_str())
                        .annotation(caret),
                )
            }
            None => title.element(Origin::path(self.file.as_str())),
        };
        if mistake.span.is_none() && !mistake.right.is_empty() {
            report = report.element(Level::NOTE.message(mistake.right.as_str()));
        }
        if let Some(hint) = &mistake.hint {
            report = report.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[report])
    }
}

/// The line that a span begins in: the renderer would otherwise walk the whole text for each mistake, and a
/// value of many lines would bury the others.
struct Excerpt<'a> {
    line: &'a str,
    number: usize,
    span: Range<usize>,
}

impl<'a> Excerpt<'a> {
    fn of(text: &'a str, span: &Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let from = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let to = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = text.ceil_char_boundary(span.end).clamp(start, to);
        let number = text[..from].matches('\n').count() + 1;
        Self { line: &text[from..to], number, span: start - from..end - from }
    }
}

/// What follows these on a line is a secret key that somebody pasted into the wrong place.
const SECRETS: [&str; 2] = ["AGE-SECRET-KEY-", "PRIVATE KEY-----"];

/// The same text, as long, with secret keys struck out.
fn without_secrets(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    let Some(start) = SECRETS.iter().filter_map(|mark| Some(upper.find(mark)? + mark.len())).min() else {
        return text.into();
    };
    let strike = |letter: char| if letter.is_ascii_alphanumeric() { '*' } else { letter };
    let struck = text[start..].chars().map(strike).collect::<String>();
    text[..start].to_owned() + &struck
}

impl fmt::Debug for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mistakes")
            .field("file", &self.file)
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}
