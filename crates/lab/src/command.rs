//! Running other programs: one way to run, to read and to fail.

use crate::{Error, Result};
use std::ffi::OsStr;
use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};

/// Lines of standard error that an error keeps.
const TAIL: usize = 8;

/// A program with its arguments, about to run.
pub(crate) struct Run<'a> {
    argv: Vec<String>,
    stdin: Option<&'a File>,
}

impl<'a> Run<'a> {
    pub(crate) fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(|a| a.as_ref().to_string_lossy().into_owned()).collect(),
            stdin: None,
        }
    }

    /// Gives the program a lock file as its standard input, so that the lock lasts as long as the program.
    pub(crate) fn holding(mut self, lock: &'a File) -> Self {
        self.stdin = Some(lock);
        self
    }

    /// Runs the program and returns what it wrote to standard output.
    ///
    /// # Errors
    /// Where it cannot be started or ends with an error.
    pub(crate) fn read(self) -> Result<String> {
        let (status, stdout, stderr) = self.output()?;
        if status.success() {
            return Ok(stdout);
        }
        Err(Error::Command {
            command: shown(&self.argv),
            status: status.to_string(),
            output: tail(&stderr, TAIL),
        })
    }

    /// Runs the program.
    ///
    /// # Errors
    /// As for [`Run::read`].
    pub(crate) fn done(self) -> Result<()> {
        self.read().map(drop)
    }

    fn output(&self) -> Result<(ExitStatus, String, String)> {
        let (program, args) =
            self.argv.split_first().ok_or_else(|| Error::Host { why: "a command is empty".to_owned() })?;
        let start = |source| Error::Start { program: program.clone(), source };
        let stdin = match self.stdin {
            Some(lock) => Stdio::from(lock.try_clone().map_err(start)?),
            None => Stdio::null(),
        };
        let out = Command::new(program).args(args).stdin(stdin).output().map_err(start)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((out.status, text(out.stdout), text(out.stderr)))
    }
}

/// Runs `argv`, split nowhere: each item is one argument.
macro_rules! run {
    ($($arg:expr),+ $(,)?) => {
        $crate::command::Run::new([$(::std::ffi::OsString::from(&$arg)),+])
    };
}
pub(crate) use run;

/// A command line for a person: a script in it is cut at its first line.
fn shown(argv: &[String]) -> String {
    let word = |word: &String| word.split_once('\n').map_or(word.clone(), |(first, _)| format!("{first}…"));
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The last `n` lines of a text that say something, in one line.
pub(crate) fn tail(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(n)..].join(" | ")
}

/// Quotes a word for a POSIX shell.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command line of quoted words.
pub(crate) fn line<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|w| quote(w.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Where programs of a Linux system lie.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Whether this host has a program.
pub(crate) fn exists(program: &str) -> bool {
    PATH.iter().any(|dir| std::path::Path::new(dir).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_comes_back_from_a_shell_as_it_was() {
        for word in ["plain", "", "two words", "it's", "$HOME `id` \"x\"", "a\nb", "*"] {
            let out = run!["sh", "-c", format!("printf %s {}", quote(word))].read().unwrap();
            assert_eq!(out, word);
        }
    }

    #[test]
    fn a_failed_command_says_what_it_was_and_the_end_of_its_errors() {
        let e = run!["sh", "-c", "exec >&2\necho no such thing; exit 3", "name"].done().unwrap_err();
        insta::assert_snapshot!(e, @"`sh -c exec >&2… name` failed (exit status: 3): no such thing");
        let e = run!["/does/not/exist"].done().unwrap_err();
        insta::assert_snapshot!(e, @"failed to start /does/not/exist");
    }
}
