//! One lane as it is told from its host, made into events and a report.

use crate::event::{Event, Events, tell};
use crate::lane::{LaunchError, Line};
use crate::redact::{Redact, without_spool};
use crate::report::{Failure, LaneEnd, LaneReport, Outcome};
use step::Lane;
use tokio::time::Instant;

pub(super) struct Follow<'a> {
    stage: &'a str,
    report: LaneReport,
    started: Vec<Option<Instant>>,
    last: Instant,
    redact: Redact,
    run: &'a str,
    events: &'a Events,
}

impl<'a> Follow<'a> {
    /// `asked` holds what came of the lane's requirements; spools lie in `run`.
    pub(super) fn new(
        lane: &Lane,
        stage: &'a str,
        asked: LaneReport,
        run: &'a str,
        events: &'a Events,
    ) -> Self {
        let mut redact = Redact::default();
        lane.steps.iter().for_each(|step| redact.note_step(step));
        let started = vec![None; lane.steps.len()];
        Self { stage, report: asked, started, last: Instant::now(), redact, run, events }
    }

    /// Takes one line. After a lost connection lines come again; what was told is not told twice.
    pub(super) fn take(&mut self, line: Line) {
        let (step, outcome) = match line {
            Line::Started(step) => return self.start(step),
            Line::Unchanged(step) => (step, Outcome::Unchanged),
            Line::Changed(step) => (step, Outcome::Changed),
            Line::Kept(step, why) => (step, Outcome::Kept(self.redact.apply(&why))),
            Line::Failed { step, reason, output } => {
                let shown = |text: &str| without_spool(&self.redact.apply(text), self.run);
                let (reason, output) = (shown(&reason), shown(&output));
                (step, Outcome::Failed(Failure { reason, output }))
            }
            _ => return,
        };
        let now = Instant::now();
        let Some(told) = self.report.steps.get_mut(step).filter(|told| told.outcome == Outcome::NotRun)
        else {
            return;
        };
        told.outcome = outcome.clone();
        told.took = now - self.started[step].unwrap_or(self.last);
        self.last = now;
        let (host, stage) = (self.report.on.clone(), self.stage.to_owned());
        let (title, took) = (told.title.clone(), told.took);
        tell(self.events, Event::StepEnded { host, stage, step, title, outcome, took });
    }

    fn start(&mut self, step: usize) {
        let (Some(started @ None), Some(told)) = (self.started.get_mut(step), self.report.steps.get(step))
        else {
            return;
        };
        *started = Some(Instant::now());
        let (host, stage) = (self.report.on.clone(), self.stage.to_owned());
        tell(self.events, Event::StepStarted { host, stage, step, title: told.title.clone() });
    }

    /// The report of the lane, now that it has ended.
    pub(super) fn ended(mut self, result: Result<(), LaunchError>) -> LaneReport {
        let failed = self.report.steps.iter().find_map(|step| match &step.outcome {
            Outcome::Failed(failure) => Some(format!("{}: {}", step.title, failure.reason)),
            _ => None,
        });
        let silent = self.report.steps.iter().position(|step| step.outcome == Outcome::NotRun);
        self.report.end = match (result, failed, silent) {
            (Err(LaunchError::Unknown(why)), ..) => LaneEnd::Unknown(why),
            (_, Some(failed), _) => LaneEnd::Failed(failed),
            (Err(error @ LaunchError::Gone), _, Some(step)) => {
                LaneEnd::Failed(format!("{}: {error}", self.report.steps[step].title))
            }
            (Err(error), ..) => LaneEnd::Failed(error.to_string()),
            (Ok(()), None, Some(step)) => {
                LaneEnd::Failed(format!("{}: the lane told nothing of it", self.report.steps[step].title))
            }
            (Ok(()), None, None) => LaneEnd::Done,
        };
        self.report
    }
}
