//! A terminal: one live line a node, a bar for what takes long, and above them the lines that stay.

use super::plain::words;
use super::{Teller, amount, line};
use engine::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// More nodes than this share one line, or the terminal flickers.
const LINES: usize = 12;

pub struct Bars {
    all: MultiProgress,
    hosts: BTreeMap<String, ProgressBar>,
    works: BTreeMap<String, ProgressBar>,
    colour: bool,
}

impl Bars {
    pub fn new(colour: bool) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        Self { all, hosts: BTreeMap::new(), works: BTreeMap::new(), colour }
    }

    fn style(text: &str) -> ProgressStyle {
        ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
    }

    fn host(&mut self, host: &str) -> ProgressBar {
        let key = if self.hosts.len() < LINES || self.hosts.contains_key(host) { host } else { "others" };
        let (all, colour) = (&self.all, self.colour);
        self.hosts
            .entry(key.to_owned())
            .or_insert_with(|| {
                let bar = all.add(ProgressBar::new_spinner());
                let text = if colour {
                    "{spinner:.cyan} {prefix:.bold} {wide_msg}"
                } else {
                    "{spinner} {prefix} {wide_msg}"
                };
                bar.set_style(Self::style(text));
                bar.set_prefix(format!("{key:<12}"));
                bar.enable_steady_tick(Duration::from_millis(125));
                bar
            })
            .clone()
    }

    fn above(&self, text: &str) {
        if self.all.println(text).is_err() {
            line(&mut std::io::stderr(), text);
        }
    }
}

impl Teller for Bars {
    fn event(&mut self, event: &Event) {
        match event {
            Event::StepStarted { host, title, .. } => self.host(host.as_str()).set_message(title.clone()),
            Event::BlobProgress { host, sent, size, .. } => self.host(host.as_str()).set_message(format!(
                "sending {} of {}",
                amount(*sent, "bytes"),
                amount(*size, "bytes")
            )),
            Event::StageEnded { .. } => {
                for bar in self.hosts.values() {
                    bar.finish_and_clear();
                }
                self.hosts.clear();
                self.above(&words(event).unwrap_or_default());
            }
            Event::StepEnded { outcome: engine::Outcome::Changed, .. } => {}
            _ => {
                if let Some(words) = words(event) {
                    self.above(&words);
                }
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.above(text);
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>, unit: &str) {
        let all = &self.all;
        let bar = self.works.entry(what.to_owned()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new(total.unwrap_or_default()));
            bar.set_style(Self::style("  {wide_msg} [{bar:24}] {percent:>3} %"));
            bar
        });
        bar.set_length(total.unwrap_or(done + 1));
        bar.set_position(done);
        bar.set_message(format!("{what}: {}", amount(done, unit)));
        if total == Some(done) {
            bar.finish_and_clear();
            self.works.remove(what);
        }
    }

    fn result(&mut self, text: &str, _value: serde_json::Value) {
        line(&mut std::io::stdout(), text.trim_end());
    }

    fn settle(&mut self) {
        for bar in self.hosts.values().chain(self.works.values()) {
            bar.finish_and_clear();
        }
        self.hosts.clear();
        self.works.clear();
    }
}
