//! `kubectl`: runs on any control plane whose apiserver answers, with its admin.conf.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::report::Reporter;
use crate::session::Session;
use std::io::{IsTerminal, Read, Write};
use std::time::Duration;
use step::{Ask, Output, Script, Secret};

/// kubectl's own deadline is longer than most of its work.
const WITHIN: Duration = Duration::from_secs(300);
/// More than this on standard input is no manifest, in bytes.
const LARGEST_INPUT: u64 = 16 << 20;

/// Hands arguments and standard input over, and gives back what kubectl printed and its exit status.
pub async fn run(args: &cli::Kubectl, environment: &Environment, report: &Reporter) -> Result<i32, Failure> {
    let session = Session::open(&args.cluster, environment, report).await?;
    let on = session.any_control_plane()?;
    let words: Vec<String> = args.arguments.iter().map(|word| step::quote(word)).collect();
    let mut script =
        Script::new(format!("exec kubectl --kubeconfig=/etc/kubernetes/admin.conf {}", words.join(" ")));
    let mut stdin = std::io::stdin();
    if !stdin.is_terminal() && args.arguments.iter().any(|word| word == "-") {
        let mut input = Vec::new();
        stdin
            .by_ref()
            .take(LARGEST_INPUT)
            .read_to_end(&mut input)
            .map_err(|error| Failure::because(&error))?;
        script = script.input(Secret::new(input));
    }
    let whole = |output: &Output| Ok(output.clone());
    let answer = engine::ask(&session.hosts, &on, &Ask { script, parse: whole }, WITHIN).await;
    let output = answer.map_err(|error| Failure::because(&error).exit(Exit::Unknown))?;
    report.settle();
    let _ = std::io::stdout().write_all(output.stdout.as_bytes());
    let _ = std::io::stderr().write_all(output.stderr.as_bytes());
    Ok(output.status)
}
