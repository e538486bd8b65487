//! Starting a lane on its host, following it, and finding it again after a lost connection.

use super::render::{Mode, Numbered, Unrenderable, render, stripped};
use super::{Line, nonce, parse};
use crate::event::{Event, Events, tell};
use crate::exec::{Exec, ExecError, Marked};
use crate::hosts::{Host, Hosts};
use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::time::Duration;
use step::{Digest, HostId, quote};

/// A lane on its way.
pub(crate) struct Launch<'a> {
    pub(crate) hosts: &'a Hosts,
    pub(crate) on: &'a HostId,
    pub(crate) stage: &'a str,
    pub(crate) steps: &'a [Numbered<'a>],
    pub(crate) digest: Digest,
    pub(crate) overwrite: bool,
    /// Of a step's number: the blob that no later step of the host wants.
    pub(crate) last_use: &'a (dyn Fn(usize) -> Option<Digest> + Sync),
    pub(crate) events: &'a Events,
}

static FOLLOW: LazyLock<String> = LazyLock::new(|| stripped(include_str!("launch.sh")));

/// A lane that was not told to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Unrenderable(#[from] Unrenderable),
    #[error("the lane could not be started: {0}")]
    Refused(String),
    #[error("the lane ended without a result: it was killed, or the host is out of memory")]
    Gone,
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The connection did not come back.
    #[error("the connection was lost while the lane ran, and did not come back: {0}")]
    Unknown(String),
}

/// A lane is looked for again after this many lost connections at most.
const LOSSES: u32 = 10;

/// How long another operator's lane is waited for, at least.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the lane and hands on its lines as they come. After a lost connection they come again from the first.
///
/// # Errors
/// The lane was not started, ended early, or the connection did not come back.
pub(crate) async fn launch(
    launch: &Launch<'_>,
    on_line: &mut (dyn FnMut(Line) + Send),
) -> Result<(), LaunchError> {
    let host = launch.hosts.get(launch.on)?;
    let mut resume = String::new();
    let mut losses = 0;
    loop {
        let error = match attempt(launch, host, &mut resume, on_line).await {
            Err(LaunchError::Exec(error)) if error.is_lost() => error,
            result => return result,
        };
        losses += 1;
        tell(launch.events, Event::LinkLost { host: launch.on.clone(), error: error.to_string() });
        if losses > LOSSES {
            return Err(LaunchError::Unknown(error.to_string()));
        }
        let again = host.reconnect(&launch.hosts.options).await;
        again.map_err(|error| LaunchError::Unknown(error.to_string()))?;
    }
}

/// One exec. `resume` is the mark of the lane that was started or found, for the next one.
async fn attempt(
    launch: &Launch<'_>,
    host: &Host,
    resume: &mut String,
    on_line: &mut (dyn FnMut(Line) + Send),
) -> Result<(), LaunchError> {
    let layout = &launch.hosts.options.layout;
    let mark = nonce();
    let mode = Mode::Apply { detached: !host.is_local() };
    let limits = Limits::of(launch.steps);
    // One copy is kept while the lane runs, times the hosts.
    let exec = {
        let lane = render(launch.steps, mode, layout, &mark, launch.overwrite, launch.last_use)?;
        Exec::new(&(settings(launch, host, &mark, resume, &lane, &limits) + &FOLLOW))
    };
    resume.clone_from(&mark);
    let mut marked = Marked::new(&mark);
    let mut end = None;
    let mut sink = |pipe, bytes: &[u8]| {
        marked.take(pipe, bytes, |line, mark| {
            match parse(line) {
                Some(Line::Attached(theirs)) => {
                    mark.clone_from(&theirs);
                    *resume = theirs;
                    let (host, stage) = (launch.on.clone(), launch.stage.to_owned());
                    tell(launch.events, Event::Reattached { host, stage });
                }
                Some(Line::Waiting) => {
                    let (host, stage) = (launch.on.clone(), launch.stage.to_owned());
                    tell(launch.events, Event::LaneWaits { host, stage });
                }
                Some(Line::Gone) => end = Some(Err(LaunchError::Gone)),
                Some(Line::Refused(why)) => end = Some(Err(LaunchError::Refused(why))),
                Some(Line::End) => end = Some(Ok(())),
                Some(line) => on_line(line),
                None => {}
            }
            if end.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    let run = host.run(exec, &launch.hosts.options, &mut sink);
    let whole = limits.life + limits.patience + PATIENCE;
    let Ok(ended) = tokio::time::timeout(whole, run).await else {
        return Err(LaunchError::Unknown(format!("no end within {whole:?}")));
    };
    let ended = ended?;
    end.unwrap_or_else(|| Err(marked.fault(launch.on, host.user(), ended).into()))
}

struct Limits {
    /// After which systemd ends the lane.
    life: Duration,
    /// How long another lane is waited for.
    patience: Duration,
}

impl Limits {
    fn of(steps: &[Numbered<'_>]) -> Self {
        // `timeout -k 5` may take five seconds more than it was told.
        let steps: Duration = steps.iter().map(|(_, step)| step.within + Duration::from_secs(5)).sum();
        Self { life: steps + PATIENCE, patience: steps.max(PATIENCE) }
    }
}

fn settings(
    launch: &Launch<'_>,
    host: &Host,
    mark: &str,
    resume: &str,
    lane: &str,
    limits: &Limits,
) -> String {
    format!(
        "MARK={mark}\nRUN={}\nDIGEST={}\nPATIENCE={}\nLIFE={}\nRESUME={}\nDETACHED={}\nLANE={}\n",
        quote(&launch.hosts.options.layout.run),
        launch.digest,
        limits.patience.as_secs(),
        limits.life.as_secs(),
        quote(resume),
        u8::from(!host.is_local()),
        quote(lane),
    )
}
