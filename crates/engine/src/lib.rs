//! Runs plans and asks on hosts, over SSH or on this machine.
//!
//! [`Hosts::connect`] opens one connection a host. [`ask`] and [`ask_all`] read; [`preview`] probes every step
//! of a plan and changes nothing; [`apply`] runs the lanes and proves every step; [`stream`] runs one script and
//! hands on what it says. What happens is told as
//! [`Event`]s and summed up in a [`Report`]; nothing is printed here, and nothing is read from the environment,
//! the clock of the day or the arguments: the caller hands them over.
//!
//! The engine knows no more of the plan's subject than a shell does: it moves scripts, files and bytes.

mod apply;
mod ask;
mod blobs;
mod event;
mod exec;
mod hosts;
mod journal;
mod lane;
mod local;
mod options;
mod preview;
mod redact;
mod report;
mod requirements;
mod ssh;
mod stream;

pub use apply::{Settings, apply};
pub use ask::{AskError, ask, ask_all, ask_each};
pub use blobs::Blobs;
pub use event::{Event, Events};
pub use exec::{ExecError, Pipe, Rest};
pub use hosts::{Hosts, Traffic};
pub use journal::Journal;
pub use options::{Layout, Options, Reach, Reconnect, SshAddress, SshOptions, Target};
pub use preview::{Found, Preview, Previewed, preview};
pub use report::{Failure, LaneEnd, LaneReport, Outcome, Report, StageReport, StepReport, Stopped};
pub use ssh::error::{ConnectError, HostKeyProblem, Unreachable};
pub use stream::stream;
