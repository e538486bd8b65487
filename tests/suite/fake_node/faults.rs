//! What goes wrong on a node, and when.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The connection is cut, once.
#[derive(Clone, Debug)]
struct Cut {
    when: When,
    /// The node does not answer afterwards, until [`Faults::answer`].
    stay_away: bool,
}

/// A moment in the life of a connection.
#[derive(Clone, Debug)]
pub enum When {
    /// The n-th command, from 1, is asked for: it does not start.
    Exec(usize),
    /// This many bytes of all commands' input have arrived.
    Input(usize),
    /// A command's output holds this text: it does not get through.
    BeforeOutput(String),
    /// The same, but it gets through.
    AfterOutput(String),
    /// The n-th command, from 1, has ended: its status does not get through.
    Status(usize),
}

/// Faults to come, and what was seen.
#[derive(Default)]
pub struct Faults {
    cut: Mutex<Option<Cut>>,
    away: AtomicBool,
    hangs: AtomicBool,
    execs: AtomicUsize,
    input: AtomicUsize,
    commands: Mutex<Vec<String>>,
    shell: Mutex<Option<String>>,
}

impl Faults {
    /// Cuts the connection when the moment comes.
    pub fn cut(&self, when: When, stay_away: bool) {
        *self.cut.lock().unwrap() = Some(Cut { when, stay_away });
    }

    /// Answers again.
    pub fn answer(&self) {
        *self.cut.lock().unwrap() = None;
        self.away.store(false, Ordering::Relaxed);
    }

    /// Connections are accepted and nothing is said.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }

    /// Every login runs this command, whatever was asked for.
    pub fn force_command(&self, command: &str) {
        *self.shell.lock().unwrap() = Some(command.to_owned());
    }

    pub(super) fn forced(&self) -> Option<String> {
        self.shell.lock().unwrap().clone()
    }

    /// Whether the cut that was asked for is still to come.
    pub fn pending(&self) -> bool {
        self.cut.lock().unwrap().is_some()
    }

    /// Commands that were asked for.
    pub fn execs(&self) -> usize {
        self.execs.load(Ordering::Relaxed)
    }

    /// Their command lines.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    pub(super) fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed)
    }

    /// A command is asked for: its number, and whether the connection is cut now.
    pub(super) fn exec(&self, command: &str) -> (usize, bool) {
        self.commands.lock().unwrap().push(command.to_owned());
        let number = self.execs.fetch_add(1, Ordering::Relaxed) + 1;
        (number, self.fires(|when| matches!(when, When::Exec(n) if *n == number)))
    }

    /// Input has arrived.
    pub(super) fn input(&self, bytes: usize) -> bool {
        let all = self.input.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.fires(|when| matches!(when, When::Input(n) if *n <= all))
    }

    /// Output is on its way: whether the connection is cut before it, or after it.
    pub(super) fn output(&self, bytes: &[u8]) -> (bool, bool) {
        let text = String::from_utf8_lossy(bytes);
        let before =
            self.fires(|when| matches!(when, When::BeforeOutput(needle) if text.contains(needle.as_str())));
        let after =
            self.fires(|when| matches!(when, When::AfterOutput(needle) if text.contains(needle.as_str())));
        (before, after)
    }

    /// A command has ended.
    pub(super) fn status(&self, number: usize) -> bool {
        self.fires(|when| matches!(when, When::Status(n) if *n == number))
    }

    fn fires(&self, now: impl Fn(&When) -> bool) -> bool {
        let mut cut = self.cut.lock().unwrap();
        match cut.take() {
            Some(due) if now(&due.when) => {
                self.away.store(due.stay_away, Ordering::Relaxed);
                true
            }
            other => {
                *cut = other;
                false
            }
        }
    }
}
