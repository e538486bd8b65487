//! `archive fence`: claims the next epoch, so that a cluster stops that can't be reached by SSH and reads the archive.
//! The first half of a rebuild, for whoever wants no more than that.

use super::{age, in_words, signer};
use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::ready;
use crate::report::{Reporter, duration};
use crate::vault::{Remembered, Vault};
use archive::{Claim, Generation};
use serde_json::json;
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Shows, asks, claims.
pub fn run(args: &cli::Fence, environment: &Environment, report: &Reporter) -> Outcome {
    let (loaded, vault) = Vault::of(&args.opening, environment, report)?;
    let vault = vault.without(&args.without)?;
    let remembered = vault.open()?.ok_or_else(|| Failure::refused("there is no archive yet"))?;
    let generations = vault.generations()?;
    let running = generations.running();
    if running.is_empty() {
        return Err(Failure::refused(
            "the archive holds no generation, so nothing says which etcd cluster is to stop",
        )
        .hint("where the nodes can be reached, stop their kubelets: `systemctl disable --now kubelet`"));
    }
    let now = OffsetDateTime::now_utc();
    let archive = &loaded.cluster().archive;
    let read: Vec<String> = archive.written_by_nodes().map(|to| to.url()).collect();
    let every = archive.every.unwrap_or(crate::node::EVERY);
    let mut text = what_stops(&remembered, &running, now);
    let _ = if read.is_empty() {
        writeln!(text, "! no place of the archive is read by nodes: nothing stops by itself")
    } else {
        writeln!(text, "each stops within {} once it reads one of: {}", duration(every), read.join(", "))
    };
    agree(&text, &format!("FENCE-{}", loaded.cluster().name), args.yes.as_deref(), report)?;
    let fences: Vec<String> = running.iter().map(|one| one.public.etcd_cluster.clone()).collect();
    let created = now.format(&Rfc3339).unwrap_or_default();
    let stamp = ready::stamp(&created, environment);
    let claimed = vault.claim(&remembered, &fences, args.take_over, stamp)?;
    let Claim { epoch, holder, host, created, .. } = &claimed.claim;
    let how = if claimed.new { "claimed" } else { "claimed before, and held" };
    let mut words =
        format!("epoch {epoch} is {how} by {holder} on {host} ({created}), at {}", claimed.held.join(", "));
    for failed in &claimed.failed {
        let _ = write!(words, "\n! {failed}");
    }
    let failed: Vec<_> = claimed.failed.iter().map(|one| json!({"at": one.at, "why": one.why})).collect();
    report.result(&format!("{text}{words}"), json!({
        "epoch": epoch, "fences": claimed.claim.fences, "holder": holder, "host": host, "created": created,
        "new": claimed.new, "at": claimed.held, "failed": failed,
    }));
    Ok(if claimed.failed.is_empty() { Exit::Done } else { Exit::Due })
}

/// For a person who is about to stop a cluster.
fn what_stops(remembered: &Remembered, running: &[&Generation], now: OffsetDateTime) -> String {
    let public = remembered.public();
    let mut text = format!(
        "cluster {} (Kubernetes {}): every control plane of these etcd clusters stops\n",
        public.cluster.name, public.kubernetes
    );
    for one in running {
        let age =
            age(one, now).map_or_else(|| "at an unknown time".into(), |age| format!("{} ago", duration(age)));
        let _ = writeln!(
            text,
            "  {}: last seen {age} on {}, by {}; newest generation {}",
            one.public.etcd_cluster,
            one.public.node,
            signer(one),
            in_words(one, now)
        );
    }
    text.push_str("Their snapshots end, and what they still publish is never the newest. Workers and their pods go on; data stays on the disks.\n");
    text
}

/// Nothing is undone of this, so a word that names the cluster is wanted, not a `y`.
fn agree(text: &str, word: &str, yes: Option<&str>, report: &Reporter) -> Result<(), Failure> {
    let hint = format!("--yes={word} agrees to it");
    let asked = || report.ask(&format!("{text}type {word} to stop them for good: "));
    let Some(answer) = yes.map(str::to_owned).or_else(asked) else {
        return Err(Failure::refused(format!("{text}this would stop them for good")).hint(hint));
    };
    if answer == word {
        Ok(())
    } else {
        Err(Failure::refused(format!("{answer:?} is not {word}: nothing was claimed")).hint(hint))
    }
}
