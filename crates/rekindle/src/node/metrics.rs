//! What a control plane tells a monitoring system: a text file for the node exporter's textfile collector.

use archive::{Generation, Generations, Level};
use std::fmt::Write;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The metrics (Prometheus text format 0.0.4). `debts` is what this run left undone.
pub fn text(generations: &Generations, debts: usize, now: OffsetDateTime) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: i64| {
        let _ = writeln!(
            text,
            "# HELP rekindle_{name} {help}\n# TYPE rekindle_{name} gauge\nrekindle_{name} {value}"
        );
    };
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    gauge("archive_run_timestamp_seconds", "When this node last asked the archive.", now.unix_timestamp());
    gauge("archive_generations", "Generations at the places that nodes write.", count(generations.all.len()));
    gauge(
        "archive_debts",
        "Places that lack the newest generation, and other things left undone.",
        count(debts),
    );
    gauge("archive_rejected", "Documents that were left out.", count(generations.rejected.len()));
    let newest = generations.newest_counting();
    // 0, so that an alert on age fires where there is none.
    let taken = newest.and_then(created).map_or(0, OffsetDateTime::unix_timestamp);
    gauge(
        "archive_newest_counting_timestamp_seconds",
        "When the newest generation that counts was taken.",
        taken,
    );
    if let Some(newest) = newest {
        let size: u64 = newest.public.objects.iter().map(|object| object.size).sum();
        gauge("archive_newest_counting_bytes", "Its ciphertext.", i64::try_from(size).unwrap_or(i64::MAX));
        let revision = i64::try_from(newest.public.revision).unwrap_or(i64::MAX);
        gauge("archive_newest_counting_revision", "Its revision of etcd.", revision);
        let seconds = newest.proofs.iter().map(|proven| proven.proof.seconds).max().unwrap_or(0);
        gauge(
            "archive_newest_counting_proof_seconds",
            "How long its proof took.",
            i64::try_from(seconds).unwrap_or(0),
        );
    }
    let booted =
        generations.all.iter().filter(|one| one.level() >= Some(Level::L4)).filter_map(created).max();
    let booted = booted.map_or(0, OffsetDateTime::unix_timestamp);
    gauge(
        "archive_newest_booted_timestamp_seconds",
        "When the newest generation that its own Kubernetes booted was taken.",
        booted,
    );
    text
}

/// When it was taken, by the clock of the node.
pub(super) fn created(one: &Generation) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(&one.public.created, &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_without_a_generation_alerts() {
        let text = text(&Generations::default(), 1, OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(9));
        for line in [
            "rekindle_archive_run_timestamp_seconds 9",
            "rekindle_archive_debts 1",
            "rekindle_archive_newest_counting_timestamp_seconds 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        // Each metric has its help and its type before it, as the format wants it.
        for chunk in text.lines().collect::<Vec<_>>().chunks(3) {
            let [help, kind, value] = chunk else { panic!("{chunk:?}") };
            let name = value.split(' ').next().unwrap();
            assert!(
                help.starts_with(&format!("# HELP {name} ")) && *kind == format!("# TYPE {name} gauge"),
                "{chunk:?}"
            );
        }
    }
}
