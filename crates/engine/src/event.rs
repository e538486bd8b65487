//! What happens, as it happens. The caller turns events into bars, lines or JSON.

use crate::report::Outcome;
use serde::{Serialize, Serializer};
use std::time::Duration;
use step::{Digest, HostId};
use tokio::sync::mpsc::UnboundedSender;

/// Where events go. A receiver that went away is no error.
pub type Events = UnboundedSender<Event>;

/// One thing that happened. Durations are written as seconds. No event holds a secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A host answered and let us in.
    HostConnected {
        /// Which.
        host: HostId,
        /// From the first packet to the accepted login.
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
    /// A host did not.
    HostFailed {
        /// Which.
        host: HostId,
        /// Why, in one line.
        error: String,
        /// What a person can do.
        hint: Option<String>,
    },
    /// A connection was lost while a lane ran.
    LinkLost {
        /// To which host.
        host: HostId,
        /// Why, in one line.
        error: String,
    },
    /// The lane was found again after a lost connection, or one that an earlier run had started was found
    /// still running.
    Reattached {
        /// On which host.
        host: HostId,
        /// Of which stage.
        stage: String,
    },
    /// Another operator's lane runs on the host; ours starts when it has ended.
    LaneWaits {
        /// On which host.
        host: HostId,
        /// Of which stage.
        stage: String,
    },
    /// A host takes no part in what follows.
    HostDropped {
        /// Which.
        host: HostId,
        /// Why, in one line.
        reason: String,
    },
    /// A stage starts.
    StageStarted {
        /// Its place in the plan, from 0.
        index: usize,
        /// Its name.
        stage: String,
        /// How many lanes it will run.
        lanes: usize,
    },
    /// A stage ended, well or not.
    StageEnded {
        /// Its place in the plan, from 0.
        index: usize,
        /// Its name.
        stage: String,
        /// How long it took.
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
    /// A lane is on its way to its host.
    LaneStarted {
        /// The host.
        host: HostId,
        /// Of which stage.
        stage: String,
        /// How many steps it has.
        steps: usize,
    },
    /// A step begins to act or to wait.
    StepStarted {
        /// On which host.
        host: HostId,
        /// Of which stage.
        stage: String,
        /// Its place in the lane, from 0.
        step: usize,
        /// Its title.
        title: String,
    },
    /// A step ended.
    StepEnded {
        /// On which host.
        host: HostId,
        /// Of which stage.
        stage: String,
        /// Its place in the lane, from 0.
        step: usize,
        /// Its title.
        title: String,
        /// How.
        outcome: Outcome,
        /// How long it took, seen from here.
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
    /// A blob is under way.
    BlobProgress {
        /// To which host.
        host: HostId,
        /// Which.
        #[serde(serialize_with = "hex")]
        sha256: Digest,
        /// Bytes that are there.
        sent: u64,
        /// Bytes in all.
        size: u64,
    },
}

/// Sends `event`; nobody listening is fine.
pub(crate) fn tell(events: &Events, event: Event) {
    let _ = events.send(event);
}

pub(crate) fn seconds<S: Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((took.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn hex<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(digest)
}
