//! What a stage requires: asked on every host before anything of the stage is changed on any, so that all problems
//! are told at once.

use crate::hosts::Hosts;
use crate::preview::{Found, ProbeError, probe};
use crate::report::{Failure, Outcome};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use step::{Change, HostId, Lane, Step};

/// What came of one host's requirements: by the step's place in its lane, or why it could not be asked.
pub(crate) type Answer = Result<BTreeMap<usize, Outcome>, ProbeError>;

/// Asks the requirements of `lanes`, all hosts at once. Lanes without any are not asked.
pub(crate) async fn ask<'a>(hosts: &Hosts, lanes: &[&'a Lane]) -> Vec<(&'a HostId, Answer)> {
    let one = |lane: &'a Lane| async move {
        let required =
            lane.steps.iter().enumerate().filter(|(_, step)| matches!(step.change, Change::Require(_)));
        let steps: Vec<_> = required.map(|(index, step)| ((0, lane.on.clone(), index), step)).collect();
        if steps.is_empty() {
            return None;
        }
        Some((&lane.on, ask_host(hosts, &lane.on, steps).await))
    };
    join_all(lanes.iter().map(|lane| one(lane))).await.into_iter().flatten().collect()
}

async fn ask_host(hosts: &Hosts, on: &HostId, steps: Vec<((usize, HostId, usize), &Step)>) -> Answer {
    let probed = probe(hosts, on, steps, false).await?;
    let outcome = |found: Found| match found {
        Found::Done | Found::Waits => Outcome::Unchanged,
        Found::Kept(why) => Outcome::Kept(why),
        Found::Open(reason) | Found::Unknown(reason) => {
            let reason = if reason.is_empty() { "does not hold".to_owned() } else { reason };
            Outcome::Failed(Failure { reason, output: String::new() })
        }
    };
    Ok(probed.steps.into_iter().map(|((_, _, index), step)| (index, outcome(step.found))).collect())
}
