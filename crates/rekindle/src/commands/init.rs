//! `init`: a commented inventory on standard output.

use crate::cli;
use crate::failure::{Exit, Outcome};
use crate::report::Reporter;
use inventory::{ExampleNode, Role};

/// Writes an example with the given name.
pub fn run(args: &cli::Init, report: &Reporter) -> Outcome {
    let node = |name: &str, last: u8, role| ExampleNode {
        name: name.into(),
        address: [10, 0, 0, last].into(),
        role,
    };
    let nodes = [
        node("cp1", 11, Role::ControlPlane),
        node("cp2", 12, Role::ControlPlane),
        node("cp3", 13, Role::ControlPlane),
        node("w1", 21, Role::Worker),
    ];
    let kubernetes = args.kubernetes.clone().unwrap_or(inventory::DEFAULT_KUBERNETES);
    let text = inventory::commented_example(&args.name, &kubernetes, &nodes);
    report.result(&text, serde_json::json!({ "inventory": text }));
    Ok(Exit::Done)
}
