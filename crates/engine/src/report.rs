//! What came of a plan.

use crate::event::seconds;
use crate::hosts::Traffic;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use step::HostId;

/// What came of every step on every host.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order of the plan; also those that never started.
    pub stages: Vec<StageReport>,
    /// Hosts that take no part any more, and why.
    pub dropped: BTreeMap<HostId, String>,
    /// Hosts whose connection was lost while a lane ran and did not come back: nobody knows what they did since.
    pub unknown: BTreeMap<HostId, String>,
    /// Why the plan was not run to its end, where it was not.
    pub stopped: Option<Stopped>,
    /// What the connections cost, since they were opened.
    pub traffic: BTreeMap<HostId, Traffic>,
}

impl Report {
    /// Whether every lane ended well.
    pub fn is_complete(&self) -> bool {
        self.stopped.is_none()
            && self.dropped.is_empty()
            && self.lanes().all(|(_, lane)| matches!(lane.end, LaneEnd::Done))
    }

    /// How many steps changed something.
    pub fn changed(&self) -> usize {
        self.steps().filter(|(_, _, step)| step.outcome == Outcome::Changed).count()
    }

    /// Every step that failed: its stage, its host, itself.
    pub fn failures(&self) -> impl Iterator<Item = (&StageReport, &LaneReport, &StepReport)> {
        self.steps().filter(|(_, _, step)| matches!(step.outcome, Outcome::Failed(_)))
    }

    /// Every lane with its stage.
    pub fn lanes(&self) -> impl Iterator<Item = (&StageReport, &LaneReport)> {
        self.stages.iter().flat_map(|stage| stage.lanes.iter().map(move |lane| (stage, lane)))
    }

    /// Every step with its stage and its lane.
    pub fn steps(&self) -> impl Iterator<Item = (&StageReport, &LaneReport, &StepReport)> {
        self.lanes().flat_map(|(stage, lane)| lane.steps.iter().map(move |step| (stage, lane, step)))
    }
}

/// What came of a stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// How long it took; zero where it did not start.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// Its lanes.
    pub lanes: Vec<LaneReport>,
}

/// What came of a lane.
#[derive(Clone, Debug, Serialize)]
pub struct LaneReport {
    /// The host.
    pub on: HostId,
    /// How it ended.
    pub end: LaneEnd,
    /// Its steps.
    pub steps: Vec<StepReport>,
}

/// How a lane ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "end", content = "why", rename_all = "kebab-case")]
pub enum LaneEnd {
    /// Every step holds.
    Done,
    /// A step failed, or the lane could not be started.
    Failed(String),
    /// It never started.
    NotRun(String),
    /// The connection was lost and did not come back.
    Unknown(String),
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Its title.
    pub title: String,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, seen from here.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// What a person can do where it failed.
    pub hint: Option<String>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// It held already.
    Unchanged,
    /// It was acted, and holds now.
    Changed,
    /// Somebody else changed what is there since our last write; it was left alone. How it differs.
    Kept(String),
    /// It does not hold.
    Failed(Failure),
    /// It was not reached, or nobody knows.
    NotRun,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// In one line.
    pub reason: String,
    /// The end of what it said: 64 KiB at most.
    pub output: String,
}

impl Failure {
    /// The last 20 lines of what the step said.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.output.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Why a plan was not run to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "stopped", rename_all = "kebab-case")]
pub enum Stopped {
    /// Too few of the hosts that a stage needs still take part.
    #[error("stage `{stage}` needs {at_least} of {of}, and {left} still take part", of = names(.of))]
    Needs {
        /// The stage.
        stage: String,
        /// The hosts that count.
        of: Vec<HostId>,
        /// How many of them must take part.
        at_least: usize,
        /// How many do.
        left: usize,
    },
    /// Something that a stage requires does not hold; nothing of the stage was changed on any host.
    #[error("stage `{stage}` was not started: {problems} of its requirements do not hold")]
    Requires {
        /// The stage.
        stage: String,
        /// How many requirements, over all hosts.
        problems: usize,
    },
}

fn names(hosts: &[HostId]) -> String {
    hosts.iter().map(HostId::as_str).collect::<Vec<_>>().join(", ")
}
