//! Running a plan: stage after stage, each lane on its host, every step proved there.

use crate::blobs::Blobs;
use crate::event::{Event, Events, tell};
use crate::hosts::Hosts;
use crate::lane::{Launch, LaunchError, digest, launch};
use crate::preview::{Found, Preview};
use crate::report::{LaneEnd, LaneReport, Outcome, Report, Stopped};
use crate::requirements;
use follow::Follow;
use futures_util::future::join_all;
use outline::{blob_of, empty_lane, empty_report, plan_hosts};
use std::time::Duration;
use step::{Change, HostId, Lane, Order, Plan, Stage, Step};
use tokio::time::Instant;

mod deliver;
mod follow;
mod outline;

/// How a plan is run.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// What a preview of this plan found: only lanes with an open step run.
    pub preview: Option<&'a Preview>,
    /// Where blobs are found.
    pub blobs: &'a Blobs,
    /// Put back what somebody else changed.
    pub overwrite: bool,
}

/// Runs `plan`. A host that fails, or whose connection does not come back, takes no part in later stages; the others
/// go on while each stage's needs hold.
pub async fn apply(hosts: &Hosts, plan: &Plan, settings: &Settings<'_>, events: &Events) -> Report {
    let mut run = Run { hosts, plan, settings, events, report: empty_report(plan) };
    for host in plan_hosts(plan) {
        if !hosts.contains(host) {
            run.drop_host(host, "not connected".to_owned());
        }
    }
    run.send_blobs().await;
    for (index, stage) in plan.stages.iter().enumerate() {
        let start = Instant::now();
        let stopped = run.stage(index, stage).await;
        if stopped.is_none() || !run.report.stages[index].took.is_zero() {
            run.report.stages[index].took = start.elapsed();
        }
        if stopped.is_some() {
            run.report.stopped = stopped;
            break;
        }
    }
    run.report.traffic = hosts.traffic();
    run.report
}

struct Run<'a> {
    hosts: &'a Hosts,
    plan: &'a Plan,
    settings: &'a Settings<'a>,
    events: &'a Events,
    report: Report,
}

impl<'a> Run<'a> {
    fn drop_host(&mut self, host: &HostId, reason: String) {
        if !self.report.dropped.contains_key(host) {
            tell(self.events, Event::HostDropped { host: host.clone(), reason: reason.clone() });
            self.report.dropped.insert(host.clone(), reason);
        }
    }

    fn takes_part(&self, host: &HostId) -> bool {
        !self.report.dropped.contains_key(host)
    }

    /// Whether a lane has anything to do, as far as is known.
    fn is_open(&self, stage: usize, host: &HostId) -> bool {
        self.settings.preview.is_none_or(|preview| preview.is_open(stage, host))
    }

    async fn stage(&mut self, index: usize, stage: &'a Stage) -> Option<Stopped> {
        if let Some(stopped) = self.unmet_need(stage) {
            return Some(stopped);
        }
        let mut lanes: Vec<(usize, &Lane)> = Vec::new();
        for (place, lane) in stage.lanes.iter().enumerate() {
            if let Some(why) = self.report.dropped.get(&lane.on) {
                self.report.stages[index].lanes[place].end = LaneEnd::NotRun(why.clone());
            } else if self.is_open(index, &lane.on) {
                lanes.push((place, lane));
            } else {
                self.report.stages[index].lanes[place] = self.previewed(index, lane);
            }
        }
        let (name, count) = (stage.name.clone(), lanes.len());
        tell(self.events, Event::StageStarted { index, stage: name, lanes: count });
        let start = Instant::now();
        let stopped = self.run_stage(index, stage, lanes).await;
        let took = start.elapsed();
        self.report.stages[index].took = took;
        tell(self.events, Event::StageEnded { index, stage: stage.name.clone(), took });
        stopped
    }

    fn unmet_need(&self, stage: &Stage) -> Option<Stopped> {
        let left = stage.needs.of.iter().filter(|host| self.takes_part(host)).count();
        let (of, at_least) = (stage.needs.of.clone(), stage.needs.at_least);
        (left < at_least).then(|| Stopped::Needs { stage: stage.name.clone(), of, at_least, left })
    }

    async fn run_stage(
        &mut self,
        index: usize,
        stage: &Stage,
        lanes: Vec<(usize, &Lane)>,
    ) -> Option<Stopped> {
        let only: Vec<&Lane> = lanes.iter().map(|(_, lane)| *lane).collect();
        let answers = requirements::ask(self.hosts, &only).await;
        let problems = self.note_requirements(index, stage, answers);
        if problems > 0 {
            return Some(Stopped::Requires { stage: stage.name.clone(), problems });
        }
        let lanes: Vec<(usize, &Lane)> =
            lanes.into_iter().filter(|(_, lane)| self.takes_part(&lane.on)).collect();
        match stage.order {
            Order::Together => {
                let this = &*self;
                let run = |(place, lane)| async move { (place, this.lane(index, place, lane).await) };
                for (place, report) in join_all(lanes.into_iter().map(run)).await {
                    self.note_lane(index, place, report);
                }
            }
            Order::OneByOne => {
                let mut lanes = lanes.into_iter();
                for (place, lane) in lanes.by_ref() {
                    let report = self.lane(index, place, lane).await;
                    let failed = report.end != LaneEnd::Done;
                    self.note_lane(index, place, report);
                    if failed {
                        break;
                    }
                }
                for (place, lane) in lanes {
                    let why = format!("stage `{}` ended at an earlier host", stage.name);
                    self.report.stages[index].lanes[place].end = LaneEnd::NotRun(why.clone());
                    self.drop_host(&lane.on, why);
                }
            }
        }
        None
    }

    /// Returns how many requirements do not hold.
    fn note_requirements(
        &mut self,
        index: usize,
        stage: &Stage,
        answers: Vec<(&HostId, requirements::Answer)>,
    ) -> usize {
        let mut problems = 0;
        for (host, answer) in answers {
            let Some(place) = stage.lanes.iter().position(|lane| lane.on == *host) else { continue };
            let outcomes = match answer {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    self.report.stages[index].lanes[place].end = LaneEnd::NotRun(error.to_string());
                    self.drop_host(host, error.to_string());
                    continue;
                }
            };
            for (step, outcome) in outcomes {
                let lane = &mut self.report.stages[index].lanes[place];
                if matches!(outcome, Outcome::Failed(_)) {
                    problems += 1;
                    lane.end = LaneEnd::NotRun("a requirement does not hold".to_owned());
                }
                lane.steps[step].outcome = outcome.clone();
                let (host, stage, title) = (host.clone(), stage.name.clone(), lane.steps[step].title.clone());
                let took = Duration::ZERO;
                tell(self.events, Event::StepEnded { host, stage, step, title, outcome, took });
            }
        }
        problems
    }

    fn note_lane(&mut self, index: usize, place: usize, report: LaneReport) {
        match &report.end {
            LaneEnd::Done => {}
            LaneEnd::Failed(why) | LaneEnd::NotRun(why) => self.drop_host(&report.on, why.clone()),
            LaneEnd::Unknown(why) => {
                self.report.unknown.insert(report.on.clone(), why.clone());
                self.drop_host(&report.on, why.clone());
            }
        }
        self.report.stages[index].lanes[place] = report;
    }

    /// The report of a lane in which nothing is open.
    fn previewed(&self, index: usize, lane: &Lane) -> LaneReport {
        let mut report = empty_lane(lane);
        report.end = LaneEnd::Done;
        for (step, told) in report.steps.iter_mut().enumerate() {
            let found = self.settings.preview.and_then(|preview| preview.get(index, &lane.on, step));
            told.outcome = match found.map(|previewed| &previewed.found) {
                Some(Found::Kept(why)) => Outcome::Kept(why.clone()),
                _ => Outcome::Unchanged,
            };
        }
        report
    }

    async fn lane(&self, index: usize, place: usize, lane: &Lane) -> LaneReport {
        let stage = &self.plan.stages[index];
        let asked = self.report.stages[index].lanes[place].clone();
        let mut follow = Follow::new(lane, &stage.name, asked, &self.hosts.options.layout.run, self.events);
        let steps: Vec<(usize, &Step)> = lane.steps.iter().enumerate().collect();
        if steps.iter().all(|(_, step)| matches!(step.change, Change::Require(_))) {
            return follow.ended(Ok(()));
        }
        tell(
            self.events,
            Event::LaneStarted { host: lane.on.clone(), stage: stage.name.clone(), steps: steps.len() },
        );
        let last = self.last_uses(&lane.on);
        let last_use = |step: usize| {
            blob_of(&lane.steps[step]).filter(|digest| last.get(digest) == Some(&(index, step)))
        };
        let launching = Launch {
            hosts: self.hosts,
            on: &lane.on,
            stage: &stage.name,
            steps: &steps,
            digest: digest(&lane.steps, self.settings.overwrite),
            overwrite: self.settings.overwrite,
            last_use: &last_use,
            events: self.events,
        };
        let result: Result<(), LaunchError> = launch(&launching, &mut |line| follow.take(line)).await;
        follow.ended(result)
    }
}
