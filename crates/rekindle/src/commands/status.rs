//! `status`: what the real thing says of itself.

use super::archive;
use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::relying::{self, Reliance};
use crate::report::Reporter;
use crate::session::Session;
use crate::vault::{LastOpened, Missing, Remembered, openings};
use ::archive::{Generations, Holding};
use inventory::{Cluster, Role};
use plan::ask::health::Health;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;
use step::HostId;

/// Nobody opened the archive for so many days: then nobody knows that it opens.
const UNOPENED: i64 = 30;

/// Asks and prints a table. Complaints make it exit with 5; with `--strict`, what was never set up, too.
pub async fn run(args: &cli::Status, environment: &Environment, report: &Reporter) -> Outcome {
    let session = Session::open(&args.cluster, environment, report).await?;
    // A cluster that is fenced and down is as it should be, and not well.
    let is_fenced = matches!(session.standing(), plan::Standing::Fenced(_));
    let on = session
        .any_control_plane()
        .map_err(|failure| if is_fenced { failure.exit(Exit::Due) } else { failure })?;
    let health = ask(&session, &on).await?;
    let mut complaints = health.complaints(session.cluster());
    complaints.extend(fenced(&session));
    complaints.extend(session.absent.iter().map(|(host, why)| format!("{host}: {why}")));
    if let Some(remembered) = session.remembered.as_ref().filter(|_| session.cluster().archive.payload) {
        let debts = remembered.payload_debts();
        complaints.extend(debts.into_iter().map(|debt| format!("archive: {debt}")));
    }
    let lacking = session.remembered.as_ref().map(|remembered| session.vault.lacking(remembered));
    let generations = session.vault.generations()?;
    let missing = lacking.unwrap_or_default().and(Missing::of_newest(&generations, &[]));
    for why in missing.debts.into_iter().chain(archive::complaints(&generations)) {
        let line = format!("archive: {why}");
        if !complaints.contains(&line) {
            complaints.push(line);
        }
    }
    let notes = missing.notes;
    let newest = generations.newest_counting();
    let wanted = &session.cluster().archive;
    complaints
        .extend(archive::overdue(&generations, wanted, session.now).map(|why| format!("archive: {why}")));
    let archive = standing(&session, &generations, environment, report);
    complaints.extend(archive.unopened.iter().map(|why| format!("archive: it does not open: {why}")));
    complaints.extend(
        archive::booted::overdue(&generations, wanted, session.now).map(|why| format!("archive: {why}")),
    );
    let mut text = table(session.cluster(), &health, &complaints);
    if let Some(newest) = newest {
        text.push_str(&format!(
            "newest generation that counts: {}\n",
            archive::in_words(newest, session.now)
        ));
    }
    text.push_str(&archive.words);
    for note in &notes {
        let _ = writeln!(text, "archive: {note}");
    }
    if let Some(words) = archive::booted::newest_in_words(&generations, session.now) {
        let _ = writeln!(text, "{words}");
    }
    let quiet = relying::is_a_labs(&session.loaded.folder, &environment.labs) && !args.strict;
    if !quiet {
        text.push_str(&relying::in_words(&archive.missing));
    }
    let newest = newest.map(|newest| archive::value(newest, session.now));
    report.result(
        &text,
        json!({
            "asked": on, "health": health, "complaints": complaints, "notes": notes, "generation": newest,
            "last_opened": archive.opened, "before_relying": archive.missing,
        }),
    );
    let due = !complaints.is_empty() || args.strict && !archive.missing.is_empty();
    Ok(if due { Exit::Due } else { Exit::Done })
}

/// What is said of the archive beside its generations.
struct Standing {
    /// Who opened it last, and who never did.
    words: String,
    /// The same for a program.
    opened: Value,
    /// Why it did not open just now.
    unopened: Option<String>,
    /// What was never set up, or not done for too long.
    missing: Vec<String>,
}

fn standing(
    session: &Session,
    generations: &Generations,
    environment: &Environment,
    report: &Reporter,
) -> Standing {
    let Some(remembered) = &session.remembered else {
        return Standing { words: String::new(), opened: Value::Null, unopened: None, missing: Vec::new() };
    };
    let tried = session.vault.open_daily(generations, &remembered.bundle, environment, report);
    let public = remembered.public();
    let counts = generations.newest_counting().is_some();
    let mut missing = Reliance {
        settings: &session.cluster().archive,
        root: public.root.to_string(),
        recipients: &public.recipients,
        kit_confirmed: public.kit_confirmed.is_some(),
        counts,
    }
    .missing();
    let mut openings = openings(generations);
    if let Ok(Some(now)) = &tried {
        openings.insert(0, now.clone());
    }
    let days = openings.first().map(|last| (session.now - last.when).whole_days().max(0));
    missing.extend(unopened(days, counts));
    let words = match (openings.first(), days) {
        (Some(last), Some(days)) => opened_words(last, days, &never_opened(&openings, &public.recipients)),
        _ => "last opened: never\n".into(),
    };
    let opened = openings.first().map_or(Value::Null, |last| {
        json!({"days": days, "by": last.by, "recipient": last.recipient, "never": never_opened(&openings, &public.recipients)})
    });
    Standing { words, opened, unopened: tried.err().map(|failure| failure.message), missing }
}

/// That nobody knows any more whether it opens. Where nothing counts there is nothing to open, and that is said.
fn unopened(days: Option<i64>, counts: bool) -> Option<String> {
    let why = "`rekindle drill` opens it, and proves that it comes back";
    match days {
        _ if !counts => None,
        None => Some(format!("nobody opened the archive yet: {why}")),
        Some(days) => (days > UNOPENED).then(|| format!("nobody opened the archive for {days} days: {why}")),
    }
}

/// Recipients whose key opened nothing that is still there.
fn never_opened<'a>(openings: &[LastOpened], recipients: &'a [String]) -> Vec<&'a String> {
    let did = |one: &&String| openings.iter().any(|opened| opened.recipient.as_ref() == Some(*one));
    recipients.iter().filter(|one| !did(one)).collect()
}

fn opened_words(last: &LastOpened, days: i64, never: &[&String]) -> String {
    let ago = match days {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    };
    let mut text = format!("last opened {ago} by {}", last.by);
    if !never.is_empty() {
        let never: Vec<String> = never.iter().map(|one| one.chars().take(24).collect()).collect();
        let _ = write!(text, "; never with the key of {}…", never.join("…, "));
    }
    text + "\n"
}

/// Nodes that a newer epoch stopped, while others still serve; and that it was claimed.
fn fenced(session: &Session) -> Vec<String> {
    let nodes = session.answers.iter();
    let stopped = nodes
        .filter_map(|(host, answer)| Some(format!("{host} was fenced by {}", answer.today.fenced.as_ref()?)));
    let holding = session.remembered.as_ref().map(Remembered::holding);
    let claim = holding.and_then(Holding::unfinished).map(|claim| {
        format!(
            "epoch {} was claimed by {} on {} at {}",
            claim.epoch, claim.holder, claim.host, claim.created
        )
    });
    stopped.chain(claim).collect()
}

/// The question, to one control plane.
pub async fn ask(session: &Session, on: &HostId) -> Result<Health, Failure> {
    let question = plan::ask::health::health(session.cluster());
    let answer = engine::ask(&session.hosts, on, &question, Duration::from_secs(60)).await;
    answer.map_err(|error| Failure::because(&error).exit(Exit::Unknown))
}

/// The table that `status` and the end of `up` show.
pub fn table(cluster: &Cluster, health: &Health, complaints: &[String]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<16} {:<15} {:<8} {:<12} {:<10} ADDRESS",
        "NODE", "ROLE", "READY", "APISERVER", "ETCD"
    );
    let mut row = |name: &str, role: &str, address: &str| {
        let ready = match health.nodes.get(name) {
            Some(health) if health.ready => "yes",
            Some(_) => "no",
            None => "-",
        };
        let apiserver = match health.apiservers.get(name).map(String::as_str) {
            Some("ok") => "ready",
            Some(_) => "not ready",
            None => "-",
        };
        let member = health.members.iter().find(|member| member.name == name);
        let etcd = member.map_or("-", |member| role_in_etcd(health, member));
        let _ = writeln!(text, "{name:<16} {role:<15} {ready:<8} {apiserver:<12} {etcd:<10} {address}");
    };
    for node in &cluster.nodes {
        let role = match node.role {
            Role::ControlPlane => "control-plane",
            Role::Worker => "worker",
            Role::Etcd => "etcd",
        };
        row(&node.name, role, &node.address.to_string());
    }
    // What stock kubeadm joined, or what left the file.
    for (name, node) in health.nodes.iter().filter(|(name, _)| cluster.node(name).is_none()) {
        row(name, "not in the file", &node.address);
    }
    let _ = writeln!(
        text,
        "CoreDNS {} ready, the cluster's DNS {}",
        health.coredns,
        if health.dns == "ok" { "answers" } else { "does not answer" }
    );
    for complaint in complaints {
        let _ = writeln!(text, "! {complaint}");
    }
    text
}

fn role_in_etcd<'a>(health: &Health, member: &plan::ask::survey::Member) -> &'a str {
    // Ids are hexadecimal in the member list and decimal in a status.
    let id = u64::from_str_radix(&member.id, 16).map(|id| id.to_string()).unwrap_or_default();
    match health.answering.get(&id) {
        None => "silent",
        Some((leader, _)) if *leader == id => "leader",
        Some(_) if member.learner => "learner",
        Some(_) => "member",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(recipient: Option<&str>) -> LastOpened {
        let recipient = recipient.map(str::to_owned);
        LastOpened { when: time::OffsetDateTime::UNIX_EPOCH, by: "ann@laptop".into(), recipient }
    }

    #[test]
    fn who_opened_it_last_and_whose_key_never_did() {
        let recipients = ["age1one".to_owned(), "age1two".to_owned()];
        for (openings, days, words) in [
            (vec![by(Some("age1one"))], 12, "12 days ago by ann@laptop; never with the key of age1two…"),
            (vec![by(Some("age1one")), by(Some("age1two"))], 1, "yesterday by ann@laptop"),
            (vec![by(None)], 0, "today by ann@laptop; never with the key of age1one…, age1two…"),
        ] {
            let never = never_opened(&openings, &recipients);
            assert_eq!(opened_words(&openings[0], days, &never), format!("last opened {words}\n"));
        }
        for (days, counts, said) in [
            (Some(30), true, None),
            (Some(31), true, Some("for 31 days")),
            (None, true, Some("yet")),
            (None, false, None),
            (Some(99), false, None),
        ] {
            let found = unopened(days, counts);
            assert_eq!(found.is_some(), said.is_some(), "{found:?}");
            assert!(said.is_none_or(|said| found.unwrap().contains(said)));
        }
    }
}
