//! A plan before it is run: its hosts, its blobs, its empty report.

use crate::report::{LaneEnd, LaneReport, Outcome, Report, StageReport, StepReport};
use std::time::Duration;
use step::{Body, Change, Digest, File, HostId, Lane, Plan, Stage, Step};

/// The blob that a step installs.
pub(super) fn blob_of(step: &Step) -> Option<Digest> {
    match &step.change {
        Change::File(File { body: Body::Blob { sha256, .. }, .. }) => Some(*sha256),
        _ => None,
    }
}

/// The hosts of a plan, each once, in the order in which they come.
pub(super) fn plan_hosts(plan: &Plan) -> Vec<&HostId> {
    let mut hosts: Vec<&HostId> = Vec::new();
    for lane in plan.stages.iter().flat_map(|stage| &stage.lanes) {
        if !hosts.contains(&&lane.on) {
            hosts.push(&lane.on);
        }
    }
    hosts
}

/// A report of a plan of which nothing was run.
pub(super) fn empty_report(plan: &Plan) -> Report {
    let stage = |stage: &Stage| StageReport {
        name: stage.name.clone(),
        took: Duration::ZERO,
        lanes: stage.lanes.iter().map(empty_lane).collect(),
    };
    Report { stages: plan.stages.iter().map(stage).collect(), ..Report::default() }
}

/// The same of a lane.
pub(super) fn empty_lane(lane: &Lane) -> LaneReport {
    let step = |step: &Step| StepReport {
        title: step.title.clone(),
        outcome: Outcome::NotRun,
        took: Duration::ZERO,
        hint: step.hint.clone(),
    };
    LaneReport {
        on: lane.on.clone(),
        end: LaneEnd::NotRun("the plan did not come to it".to_owned()),
        steps: lane.steps.iter().map(step).collect(),
    }
}
