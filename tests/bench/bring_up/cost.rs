//! What one `up` cost the controller.

use serde_json::Value;
use std::fmt;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// The most round trips that any host took.
    round_trips: u64,
    /// Bytes to and from all hosts.
    sent: u64,
    received: u64,
    /// User and system time of the process.
    cpu_ms: u64,
    /// The most memory that it held.
    peak_kib: u64,
}

impl Cost {
    /// Runs it to its end; its result says what went over the wires, the kernel says the rest.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let mut cost = Self::default();
        while child.try_wait().expect("a child of ours").is_none() {
            cost.look(child.id());
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = child.wait().expect("a child of ours");
        let text = reader.join().expect("the reader").expect("text");
        assert!(status.success(), "rekindle up failed: {text}");
        let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let result = events.find(|event| event["event"] == "result").expect("a result");
        for host in result["result"]["traffic"].as_object().expect("traffic").values() {
            let number = |name: &str| host[name].as_u64().expect("a number");
            cost.round_trips = cost.round_trips.max(number("round_trips"));
            cost.sent += number("sent");
            cost.received += number("received");
        }
        cost
    }

    /// The last look is at most 20 ms before the end.
    fn look(&mut self, pid: u32) {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let stat = read("stat");
        // After the name come state, 10 fields, user and system time in hundredths of a second (proc(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        self.cpu_ms = self.cpu_ms.max((ticks(11) + ticks(12)) * 10);
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        self.peak_kib = self.peak_kib.max(peak.unwrap_or(0));
    }

    /// Each figure's median.
    pub fn median(costs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> u64| {
            let mut values: Vec<u64> = costs.iter().map(figure).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        Self {
            round_trips: of(|cost| cost.round_trips),
            sent: of(|cost| cost.sent),
            received: of(|cost| cost.received),
            cpu_ms: of(|cost| cost.cpu_ms),
            peak_kib: of(|cost| cost.peak_kib),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { round_trips, sent, received, cpu_ms, peak_kib } = self;
        let (sent, received) = (sent / 1024, received / 1024);
        write!(
            f,
            "{round_trips} round trips to a host at most, {sent} KiB sent and {received} KiB received by all, \
             {cpu_ms} ms of CPU, {} MiB of memory",
            peak_kib / 1024
        )
    }
}
