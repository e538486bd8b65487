//! `rekindle rebuild` of a cluster whose control planes are gone and whose worker lives, against `rekindle up` of an empty
//! cluster on the same nodes in the same run: seconds from the first step on a node until an apiserver answers, until
//! all is Ready, and of the whole command with the archive opened and the generation booted first.
//!
//! Nodes are prepared and hold their images in both. Run: `cargo bench -p tests --bench rebuild [-- ROUNDS]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../suite/program.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod program;

#[path = "machines.rs"]
mod machines;

use machines::{Machines, load};
use program::{Program, Run};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

const NAME: &str = "again";

/// When things happened, in seconds: until the first step on a node, from there until an apiserver answered and until
/// the controllers act, and the whole command.
#[derive(Clone, Debug, Default)]
struct Seen {
    before: f64,
    api: f64,
    acts: f64,
    ready: f64,
    all: f64,
    /// Titles of the longest steps, with their seconds.
    steps: Vec<(f64, String)>,
}

struct Bench(Machines);

fn main() {
    let rounds: usize = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(5);
    if !Program::can_make_labs() {
        println!("skipped: a lab needs Linux and root");
        return;
    }
    let bench = Bench(Machines::make(NAME));
    println!("load before: {}", load());
    // The first run prepares the nodes.
    bench.watched(bench.verb("up"));
    let (mut up, mut rebuild) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        bench.0.reset(&["cp1", "cp2", "cp3", "w1"]);
        bench.0.forget_archive();
        up.push(bench.watched(bench.verb("up")));
        bench.0.reset(&["cp1", "cp2", "cp3"]);
        rebuild.push(bench.watched(bench.verb("rebuild").arg(format!("--old-cluster-is-gone={NAME}"))));
        println!(
            "round {round}: up {}   rebuild {}   load {}",
            line(&up[round - 1]),
            line(&rebuild[round - 1]),
            load()
        );
    }
    for (name, seen) in [("up", &up), ("rebuild", &rebuild)] {
        println!("the longest steps of the last {name}:");
        for (seconds, title) in seen.last().map(|seen| &seen.steps[..]).unwrap_or_default() {
            println!("  {seconds:5.1} {title}");
        }
    }
    println!(
        "\nmedians of {rounds} rounds, seconds: before the first step, then to the API / controllers / all Ready, in all"
    );
    let of = |seen: &[Seen], part: fn(&Seen) -> f64| {
        let mut values: Vec<f64> = seen.iter().map(part).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let parts: [fn(&Seen) -> f64; 5] = [|s| s.before, |s| s.api, |s| s.acts, |s| s.ready, |s| s.all];
    for (name, seen) in [("up", &up), ("rebuild", &rebuild)] {
        let row: Vec<String> = parts.iter().map(|part| format!("{:6.1}", of(seen, *part))).collect();
        println!("{name:<10}{}", row.join(" "));
    }
    for (what, part) in [
        ("first step to the API", parts[1]),
        ("first step to all Ready", parts[3]),
        ("the whole command", parts[4]),
    ] {
        println!("rebuild / up, {what}: {:.2}", of(&rebuild, part) / of(&up, part));
    }
    bench.0.program.run(&["lab", "down", "--name", NAME]).expect(0);
}

fn line(seen: &Seen) -> String {
    format!("{:.1} + {:.1} / {:.1} / {:.1}, {:.1}", seen.before, seen.api, seen.acts, seen.ready, seen.all)
}

impl Bench {
    fn verb(&self, verb: &str) -> Run {
        self.0.program.run(&[verb, "--output", "json", "-i"]).arg(&self.0.inventory)
    }

    /// Runs it, and looks at the clock at each event.
    fn watched(&self, run: Run) -> Seen {
        let start = Instant::now();
        let mut command = run.command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program");
        let mut seen = Seen::default();
        let mut first = None;
        for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
            let Ok(event) = serde_json::from_str::<Value>(&line.expect("a line")) else { continue };
            let now = start.elapsed().as_secs_f64();
            let title = event["title"].as_str().unwrap_or_default();
            match event["event"].as_str().unwrap_or_default() {
                "stage-started" if first.is_none() => {
                    first = Some(now);
                    seen.before = now;
                }
                "step-ended" => {
                    let since = now - first.unwrap_or_default();
                    let at = match title {
                        "apiserver is live" => Some(&mut seen.api),
                        "write manifest of kube-controller-manager" => Some(&mut seen.acts),
                        "nodes are Ready" => Some(&mut seen.ready),
                        _ => None,
                    };
                    if let Some(at) = at.filter(|at| **at == 0.0) {
                        *at = since;
                    }
                    let took = event["took"].as_f64().unwrap_or_default();
                    let host = event["host"].as_str().unwrap_or_default();
                    seen.steps.push((took, format!("{host}: {title}")));
                }
                _ => {}
            }
        }
        seen.all = start.elapsed().as_secs_f64();
        seen.steps.sort_by(|one, two| two.0.total_cmp(&one.0));
        seen.steps.truncate(14);
        let code = child.wait().expect("its end").code();
        assert_eq!(code, Some(0), "it did not end well");
        seen
    }
}
