//! `status`: what the real thing says of itself.

use super::archive;
use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::report::Reporter;
use crate::session::Session;
use crate::vault::Missing;
use inventory::{Cluster, Role};
use plan::ask::health::Health;
use std::fmt::Write;
use std::time::Duration;
use step::HostId;

/// Asks and prints a table. Complaints make it exit with 5.
pub async fn run(args: &cli::Cluster, environment: &Environment, report: &Reporter) -> Outcome {
    let session = Session::open(args, environment, report).await?;
    let on = session.any_control_plane()?;
    let health = ask(&session, &on).await?;
    let mut complaints = health.complaints(session.cluster());
    complaints.extend(session.absent.iter().map(|(host, why)| format!("{host}: {why}")));
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
    let mut text = table(session.cluster(), &health, &complaints);
    if let Some(newest) = newest {
        text.push_str(&format!(
            "newest generation that counts: {}\n",
            archive::in_words(newest, session.now)
        ));
    }
    for note in &notes {
        let _ = writeln!(text, "archive: {note}");
    }
    let newest = newest.map(|newest| archive::value(newest, session.now));
    report.result(
        &text,
        serde_json::json!({"asked": on, "health": health, "complaints": complaints, "notes": notes, "generation": newest}),
    );
    Ok(if complaints.is_empty() { Exit::Done } else { Exit::Due })
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
