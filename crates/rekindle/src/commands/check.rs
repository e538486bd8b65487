//! `check`: an inventory, offline: every mistake, or all that it means. With `--archive`, its places too: whether they
//! take what is written, and refuse what nodes must not do.

use super::archive::policy;
use crate::cli;
use crate::destinations::{Opened, Viewpoint, open};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::loaded::Loaded;
use crate::report::Reporter;
use archive::{Canary, Destination, Name, Prefix, S3, Tried};
use inventory::Writer;
use serde_json::json;

/// Checks and prints the effective inventory.
pub fn run(args: &cli::Check, environment: &Environment, report: &Reporter) -> Outcome {
    let loaded = Loaded::read(&args.file.inventory, report)?;
    loaded.local_files(environment)?;
    if !loaded.parsed.first_up_errors.is_empty() {
        report.say(loaded.parsed.first_up_errors.render(report.colour).trim_end());
        report.say("(refused at the first `up`, a warning in a cluster that stands)");
    }
    if args.archive {
        return places(&loaded, environment, report);
    }
    let effective = inventory::effective(loaded.cluster());
    report.result(&effective, serde_json::to_value(loaded.cluster()).unwrap_or_default());
    Ok(Exit::Done)
}

/// What a place came to.
#[derive(Default)]
struct Found {
    good: Vec<String>,
    complaints: Vec<String>,
    notes: Vec<String>,
}

fn places(loaded: &Loaded, environment: &Environment, report: &Reporter) -> Outcome {
    let cluster = loaded.cluster();
    let mut text = Vec::new();
    let mut values = Vec::new();
    let mut due = false;
    for to in &cluster.archive.to {
        let nodes = to.from == Writer::Nodes;
        let mut found = match open(to, &Viewpoint::of(loaded, environment)) {
            Ok(Opened::S3(bucket)) => bucket_of(&bucket, nodes),
            Ok(Opened::Folder(folder)) => other(&folder, nodes),
            Ok(Opened::Ssh(folder)) => other(&folder, nodes),
            Err(Failure { message, .. }) => Found { complaints: vec![message], ..Found::default() },
        };
        if nodes && !matches!(to.place, inventory::Place::S3(_)) {
            found.notes.push(
                "whoever has what nodes write with can remove it there too: let a bucket be another place"
                    .into(),
            );
        }
        if cluster.domain_of(to).is_none() {
            found.notes.push("a machine of the cluster: what lies there alone does not count".into());
        }
        due |= !found.complaints.is_empty();
        text.push(to.url());
        text.extend(found.good.iter().map(|line| format!("  {line}")));
        text.extend(found.notes.iter().map(|line| format!("  note: {line}")));
        text.extend(found.complaints.iter().map(|line| format!("  ! {line}")));
        values.push(json!({
            "url": to.url(), "from": to.from, "domain": cluster.domain_of(to), "good": found.good,
            "notes": found.notes, "complaints": found.complaints,
        }));
    }
    report.result(&text.join("\n"), json!({"places": values}));
    Ok(if due { Exit::Due } else { Exit::Done })
}

/// A bucket, with the canary. An operator's own credential may delete: he prunes.
fn bucket_of(bucket: &S3, nodes: bool) -> Found {
    let mut found = Found::default();
    let canary = match bucket.canary() {
        Ok(canary) => canary,
        Err(error) => {
            found.complaints.push(format!("it does not take what is written: {}", chain(&error)));
            return found;
        }
    };
    found.good.push("written, read back, listed".into());
    let Canary { overwrite, delete } = canary;
    let missing =
        |sid: &str| format!("`rekindle archive policy s3` prints the policy whose {sid} forbids it");
    let mut judge = |what: &str, tried: Tried, why: String, must_be_refused: bool| match tried {
        Tried::Refused => found.good.push(format!("{what}: refused")),
        Tried::Allowed if must_be_refused => found.complaints.push(format!("{what}: ALLOWED. {why}")),
        Tried::Allowed => found.notes.push(format!("{what}: allowed")),
        Tried::Unclear(said) => found.complaints.push(format!("{what}: not known: {said}")),
    };
    judge("overwrite", overwrite, missing(&format!("condition of {}", policy::PUT)), nodes);
    judge("delete", delete, missing("lack of s3:DeleteObject"), nodes);
    found
}

/// A place that refuses nothing to whoever writes there. Nothing stays of what is tried.
fn other(place: &dyn Destination, nodes: bool) -> Found {
    let mut found = Found::default();
    let tried = place.list(Prefix::Generations).and_then(|names| {
        found.good.push(format!("read: {} manifests", names.len()));
        if nodes {
            place.put_new(&Name::Canary, b"a try\n")?;
            place.get(&Name::Canary, 100)?;
            place.remove(&Name::Canary)?;
            found.good.push("written, read back, removed".into());
        }
        Ok(())
    });
    if let Err(error) = tried {
        found.complaints.push(chain(&error));
    }
    found
}
