//! `check`: an inventory, offline: every mistake, or all that it means.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Outcome};
use crate::loaded::Loaded;
use crate::report::Reporter;

/// Checks and prints the effective inventory.
pub fn run(args: &cli::InventoryFile, environment: &Environment, report: &Reporter) -> Outcome {
    let loaded = Loaded::read(&args.inventory, report)?;
    loaded.local_files(environment)?;
    if !loaded.parsed.first_up_errors.is_empty() {
        report.say(loaded.parsed.first_up_errors.render(report.colour).trim_end());
        report.say("(refused at the first `up`, a warning in a cluster that stands)");
    }
    let effective = inventory::effective(loaded.cluster());
    report.result(&effective, serde_json::to_value(loaded.cluster()).unwrap_or_default());
    Ok(Exit::Done)
}
