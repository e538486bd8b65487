//! What can be done to a node and what can be read from it, as plain data.
//!
//! A [`Plan`] is a list of [`Stage`]s; a stage gives each node a [`Lane`] of [`Step`]s; a step is one
//! [`Change`] that proves itself: it is probed, acted and probed again. Reading without changing is an
//! [`Ask`]. Nothing here does IO, knows SSH or knows what the steps are for: the crate `plan` writes the
//! data, the crate `engine` runs it.

mod ask;
mod digest;
mod file;
mod script;
mod secret;

use std::fmt;
use std::time::Duration;

pub use ask::{Ask, Output, Unreadable};
pub use digest::Digest;
pub use file::{Body, File, Owner, Same};
pub use script::{Script, quote};
pub use secret::Secret;

/// A machine that a lane runs on: a node's name, `old/NAME` for a fenced predecessor, `here` for this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct HostId(String);

impl HostId {
    /// Takes the name as it is.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name, for example `cp1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One change to one node.
#[derive(Clone, Debug)]
pub enum Change {
    /// A file, a link, or the absence of one.
    File(File),
    /// An action, and the script that tells whether its effect is there.
    ///
    /// `done_when` exits 0 when it is, 1 when it is not (its first line of output says why), and 3 when
    /// what is there was changed by somebody else since our last write: it is shown and left alone.
    Run {
        /// Probed before and after.
        done_when: Script,
        /// Run when the probe does not hold.
        run: Script,
    },
    /// Something that must become true by itself: asked again and again until the step's deadline.
    Wait(Script),
    /// Something that must be true already; nothing of the stage is changed on any node while one is not.
    Require(Script),
}

/// One [`Change`] with its name and its deadline.
#[derive(Clone, Debug)]
pub struct Step {
    /// Imperative, no dot: `start the service`.
    pub title: String,
    /// What is done.
    pub change: Change,
    /// The longest that the step may take on the node.
    pub within: Duration,
    /// What a person can do when it fails.
    pub hint: Option<String>,
}

impl Step {
    /// A step with a deadline of 30 seconds, enough for everything that waits for nobody else.
    pub fn new(title: impl Into<String>, change: Change) -> Self {
        Self { title: title.into(), change, within: Duration::from_secs(30), hint: None }
    }

    /// A step that writes a file; its title names the path.
    pub fn file(file: File) -> Self {
        Self::new(file.path.clone(), Change::File(file))
    }

    /// A step that acts unless `done_when` holds.
    pub fn run(title: impl Into<String>, done_when: Script, run: Script) -> Self {
        Self::new(title, Change::Run { done_when, run })
    }

    /// A step that waits.
    pub fn wait(title: impl Into<String>, until: Script) -> Self {
        Self::new(title, Change::Wait(until))
    }

    /// Sets the deadline, in seconds.
    pub fn within(mut self, seconds: u64) -> Self {
        self.within = Duration::from_secs(seconds);
        self
    }

    /// Sets the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The steps of one node in one stage, run there in their order as one script.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The node.
    pub on: HostId,
    /// In the order in which they run. The lane ends at the first that fails.
    pub steps: Vec<Step>,
}

/// How the lanes of a stage run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each node as fast as it can.
    Together,
    /// One node after the other, in the order of the lanes; the first failure ends the stage.
    OneByOne,
}

/// Which hosts must still take part for a stage to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The hosts that count.
    pub of: Vec<HostId>,
    /// How many of them at least; 0 asks nothing.
    pub at_least: usize,
}

/// A barrier: every lane of a stage has ended, or its host dropped out, before the next stage starts.
#[derive(Clone, Debug)]
pub struct Stage {
    /// For people: `prepare`, `control plane`.
    pub name: String,
    /// Together or one by one.
    pub order: Order,
    /// What must hold for the stage to start.
    pub needs: Needs,
    /// At most one lane a host.
    pub lanes: Vec<Lane>,
}

/// All that is done, in order. No choice is left in it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Run one after the other.
    pub stages: Vec<Stage>,
}
