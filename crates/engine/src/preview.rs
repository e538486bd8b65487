//! What a plan would do: every probe of every lane, and nothing else. One exec a host.

use crate::blobs::Missing;
use crate::exec::{Exec, ExecError, Marked};
use crate::hosts::{Host, Hosts};
use crate::lane::{Mode, Unrenderable, nonce, render};
use answers::Answers;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use step::{Body, Change, Digest, File, HostId, Plan, Step};

mod answers;

/// What was found of every step of a plan.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    steps: BTreeMap<Place, Previewed>,
    missing: BTreeMap<HostId, Vec<Missing>>,
    failed: BTreeMap<HostId, String>,
}

/// A step's place: stage, host, step of the lane.
type Place = (usize, HostId, usize);

/// What was found of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// Whether it holds.
    pub found: Found,
    /// The first 64 KiB of a public text file that would be written, where there is one.
    pub current: Option<Vec<u8>>,
}

/// Whether a step holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It does: nothing would be done.
    Done,
    /// It does not: why.
    Open(String),
    /// Somebody else changed what is there since our last write, and it would be left alone: how.
    Kept(String),
    /// Its probe failed: what it said. Often because it asks something that an earlier step brings.
    Unknown(String),
    /// A step that waits: it is asked when it is reached.
    Waits,
}

impl Preview {
    /// What was found of a step. `None` for a host that was not asked.
    pub fn get(&self, stage: usize, host: &HostId, step: usize) -> Option<&Previewed> {
        self.steps.get(&(stage, host.clone(), step))
    }

    /// Everything that was found, in the order of stages, hosts and steps.
    pub fn steps(&self) -> impl Iterator<Item = (usize, &HostId, usize, &Previewed)> {
        self.steps.iter().map(|((stage, host, step), previewed)| (*stage, host, *step, previewed))
    }

    /// Hosts that could not be asked, and why.
    pub fn failed(&self) -> &BTreeMap<HostId, String> {
        &self.failed
    }

    /// Whether every host was asked and no step is open.
    pub fn nothing_to_do(&self) -> bool {
        self.failed.is_empty() && self.steps.values().all(|step| !step.found.is_open())
    }

    /// Whether a lane has a step that is open. A lane that was not asked has.
    pub fn is_open(&self, stage: usize, host: &HostId) -> bool {
        let mut lane = self
            .steps
            .range((stage, host.clone(), 0)..=(stage, host.clone(), usize::MAX))
            .map(|(_, step)| step)
            .peekable();
        lane.peek().is_none() || lane.any(|step| step.found.is_open())
    }

    /// Bytes of blobs that a host lacks for its open steps.
    pub fn missing_bytes(&self, host: &HostId) -> u64 {
        self.missing(host).iter().map(|missing| missing.size - missing.there.min(missing.size)).sum()
    }

    pub(crate) fn missing(&self, host: &HostId) -> &[Missing] {
        self.missing.get(host).map_or(&[], Vec::as_slice)
    }
}

impl Found {
    /// Whether something would be done.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Unknown(_))
    }
}

/// Probes every step of `plan` on every host and changes nothing. With `overwrite`, what somebody else changed is
/// open too. Hosts of the plan that are not connected are named in [`Preview::failed`].
pub async fn preview(hosts: &Hosts, plan: &Plan, overwrite: bool) -> Preview {
    let mut lanes: BTreeMap<&HostId, Vec<(Place, &Step)>> = BTreeMap::new();
    for (stage_index, stage) in plan.stages.iter().enumerate() {
        for lane in &stage.lanes {
            let places = lane.steps.iter().enumerate();
            lanes
                .entry(&lane.on)
                .or_default()
                .extend(places.map(|(index, step)| ((stage_index, lane.on.clone(), index), step)));
        }
    }
    let ask = |(host, steps)| async move { (host, probe(hosts, host, steps, overwrite).await) };
    let mut preview = Preview::default();
    for (host, answer) in join_all(lanes.into_iter().map(ask)).await {
        match answer {
            Ok(probed) => {
                preview.steps.extend(probed.steps);
                preview.missing.insert(HostId::clone(host), probed.missing);
            }
            Err(error) => drop(preview.failed.insert(HostId::clone(host), error.to_string())),
        }
    }
    preview
}

/// What one host said.
pub(crate) struct Probed {
    pub(crate) steps: Vec<(Place, Previewed)>,
    pub(crate) missing: Vec<Missing>,
}

/// A host that could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error(transparent)]
    Unrenderable(#[from] Unrenderable),
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error("no end of the probes within {0:?}")]
    Deadline(Duration),
}

/// Probes `steps` on one host. The connection may have gone to sleep since it was last used, and probing changes
/// nothing, so a lost one is made again, once.
pub(crate) async fn probe(
    hosts: &Hosts,
    on: &HostId,
    steps: Vec<(Place, &Step)>,
    overwrite: bool,
) -> Result<Probed, ProbeError> {
    let host = hosts.get(on)?;
    match probe_once(hosts, host, on, &steps, overwrite).await {
        Err(ProbeError::Exec(error)) if error.is_lost() => {
            host.reconnect(&hosts.options).await.map_err(|_| error)?;
            probe_once(hosts, host, on, &steps, overwrite).await
        }
        result => result,
    }
}

async fn probe_once(
    hosts: &Hosts,
    host: &Host,
    on: &HostId,
    steps: &[(Place, &Step)],
    overwrite: bool,
) -> Result<Probed, ProbeError> {
    let mark = nonce();
    let numbered: Vec<_> = steps.iter().map(|(_, step)| *step).enumerate().collect();
    let blobs = blobs_of(&numbered);
    let mut script = render(
        &numbered,
        Mode::Probe { detached: !host.is_local() },
        &hosts.options.layout,
        &mark,
        overwrite,
        &|_| None,
    )?;
    let finish = script.rfind("finish\n").unwrap_or(script.len());
    let questions = blobs.keys().fold(String::new(), |mut text, digest| {
        let _ = writeln!(text, "blob {digest}");
        text
    });
    script.insert_str(finish, &questions);
    let exec = Exec::new(&script);
    drop(script);
    let limit = steps.iter().map(|(_, step)| step.within.min(LONGEST)).sum::<Duration>() + LONGEST;
    let mut answers = Answers::new(&numbered, &hosts.options.layout.run);
    let mut marked = Marked::new(&mark);
    let mut sink = |pipe, bytes: &[u8]| marked.take(pipe, bytes, |line, _| answers.take(line));
    let run = host.run(exec, &hosts.options, &mut sink);
    let ended =
        tokio::time::timeout(limit + LONGEST, run).await.map_err(|_| ProbeError::Deadline(limit))??;
    if !answers.ended {
        return Err(marked.fault(on, host.user(), ended).into());
    }
    Ok(answers.sum_up(steps, &blobs))
}

/// What one probe may take, and the whole beyond its probes.
const LONGEST: Duration = Duration::from_secs(60);

/// Blobs of the steps, with their sizes.
fn blobs_of(steps: &[(usize, &Step)]) -> BTreeMap<Digest, u64> {
    let blob = |(_, step): &(usize, &Step)| match &step.change {
        Change::File(File { body: Body::Blob { sha256, size }, .. }) => Some((*sha256, *size)),
        _ => None,
    };
    steps.iter().filter_map(blob).collect()
}
