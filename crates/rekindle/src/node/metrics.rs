//! What a control plane tells a monitoring system: a text file for the node exporter's textfile collector.

use super::exposition::Exposition;
use archive::{Generation, Generations, Level, Proof};
use time::OffsetDateTime;

/// The metrics of the archive. `debts` is what this run left undone, `minority` the places that lack the newest
/// generation while enough others have it.
pub fn text(generations: &Generations, debts: usize, minority: usize, now: OffsetDateTime) -> String {
    let mut metrics = Exposition::default();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let size = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    metrics.gauge(
        "archive_run_timestamp_seconds",
        "When this node last asked the archive.",
        now.unix_timestamp(),
    );
    metrics.gauge(
        "archive_generations",
        "Generations at the places that nodes write.",
        count(generations.all.len()),
    );
    metrics.gauge(
        "archive_debts",
        "What was left undone: too few places have the newest generation, or it is not proven.",
        count(debts),
    );
    metrics.gauge(
        "archive_places_behind",
        "Places that lack the newest generation while enough others have it.",
        count(minority),
    );
    metrics.gauge("archive_rejected", "Documents that were left out.", count(generations.rejected.len()));
    let silent = generations.sites.iter().map(|site| {
        let answers = generations.unread.iter().all(|unread| unread.at != site.at);
        (vec![site.at.clone()], i64::from(answers))
    });
    metrics.gauges("archive_place_up", "Whether a place answers.", &["place"], silent);
    let newest = generations.newest_counting();
    // 0, so that an alert on age fires where there is none.
    metrics.gauge(
        "archive_newest_counting_timestamp_seconds",
        "When the newest generation that counts was taken.",
        newest.map_or(0, taken),
    );
    if let Some(newest) = newest {
        let bytes = newest.public.objects.iter().map(|object| object.size).sum();
        metrics.gauge("archive_newest_counting_bytes", "Its ciphertext.", size(bytes));
        metrics.gauge("archive_newest_counting_places", "Places that hold it.", count(newest.held_by.len()));
        metrics.gauge(
            "archive_newest_counting_revision",
            "Its revision of etcd.",
            size(newest.public.revision),
        );
        let seconds = newest.proofs.iter().map(|proven| proven.proof.seconds).max().unwrap_or(0);
        metrics.gauge("archive_newest_counting_proof_seconds", "How long its proof took.", size(seconds));
    }
    let booted = generations.all.iter().filter(|one| one.level() >= Some(Level::L4)).map(taken).max();
    metrics.gauge(
        "archive_newest_booted_timestamp_seconds",
        "When the newest generation that its own Kubernetes booted was taken.",
        booted.unwrap_or(0),
    );
    let proofs = || generations.all.iter().flat_map(|one| &one.proofs).map(|proven| &proven.proof);
    let levels = [Level::L1, Level::L2, Level::L3, Level::L4, Level::L5];
    let of = |level: Level| proofs().filter(move |proof| proof.level == level);
    metrics.gauges(
        "archive_proofs",
        "Proofs of generations, by their level.",
        &["level"],
        levels.map(|level| (vec![level.to_string()], count(of(level).count()))),
    );
    metrics.gauges(
        "archive_newest_proof_timestamp_seconds",
        "When the newest proof of a level was made; 0 where there is none.",
        &["level"],
        levels.map(|level| {
            let when = of(level).filter_map(Proof::date).max();
            (vec![level.to_string()], when.map_or(0, OffsetDateTime::unix_timestamp))
        }),
    );
    metrics.text()
}

fn taken(one: &Generation) -> i64 {
    one.created().map_or(0, OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests {
    use super::super::exposition::tests::{Parsed, parse};
    use super::*;
    use archive::{
        Cluster, Digest, ManifestId, Object, Proven, RootPublic, Signer, Site, SnapshotPublic, Unread,
    };
    use std::collections::BTreeSet;

    const RULES: &str = include_str!("../../../../monitoring/rekindle.rules.yaml");

    fn read(generations: &Generations) -> Parsed {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(9);
        let text = text(generations, 1, 2, now);
        parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
    }

    fn value(parsed: &Parsed, name: &str, label: Option<(&str, &str)>) -> f64 {
        let labels: Vec<_> =
            label.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        parsed[&format!("rekindle_{name}")][&labels]
    }

    /// A generation that counts, proven twice, at one of two places.
    fn some() -> Generations {
        let root: RootPublic = format!("ed25519:{}", "d7".repeat(32)).parse().unwrap();
        let created = "2026-11-25T12:00:00Z".to_owned();
        let id: ManifestId = serde_json::from_str(&format!("\"{}\"", "ab".repeat(32))).unwrap();
        let proof = |level, when: &str| Proven {
            proof: Proof {
                by: "cp1".into(),
                level,
                manifest: id,
                run: "one".into(),
                seconds: 4,
                what: Default::default(),
                when: when.into(),
            },
            signed_by: Signer::Root,
        };
        let one = Generation {
            id,
            public: SnapshotPublic {
                cluster: Cluster { name: "prod".into(), uid: "ab".repeat(16) },
                created,
                epoch: 1,
                etcd_cluster: "cdf8".into(),
                identity: id,
                node: "cp1".into(),
                number: 1,
                objects: vec![Object { sha256: Digest::of(b"o"), size: 1000 }],
                parents: Vec::new(),
                private: Digest::of(b"o"),
                recipients: Vec::new(),
                rekindle: "0.1.0".into(),
                repo: "r".into(),
                revision: 770,
                root,
            },
            signed_by: Signer::Node("cp1".into()),
            held_by: vec!["a".into()],
            off_cluster: true,
            proofs: vec![proof(Level::L4, "1970-01-01T00:00:20Z"), proof(Level::L3, "1970-01-01T00:00:10Z")],
            suspect: None,
            fenced: false,
            revoked: false,
        };
        Generations {
            all: vec![one],
            sites: ["a", "b \"quoted\""].map(|at| Site::apart(at.into())).to_vec(),
            unread: vec![Unread { at: "b \"quoted\"".into(), why: "down".into() }],
            ..Generations::default()
        }
    }

    #[test]
    fn an_archive_without_a_generation_alerts() {
        let parsed = read(&Generations::default());
        assert_eq!(value(&parsed, "archive_run_timestamp_seconds", None), 9.0);
        assert_eq!(value(&parsed, "archive_debts", None), 1.0);
        assert_eq!(value(&parsed, "archive_newest_counting_timestamp_seconds", None), 0.0);
        assert_eq!(value(&parsed, "archive_newest_proof_timestamp_seconds", Some(("level", "L3"))), 0.0);
        assert!(!parsed.contains_key("rekindle_archive_newest_counting_bytes"));
    }

    #[test]
    fn sizes_places_and_proofs_of_the_newest_that_counts() {
        let parsed = read(&some());
        let rows = [
            ("archive_places_behind", None, 2.0),
            ("archive_newest_counting_timestamp_seconds", None, 1_795_608_000.0),
            ("archive_newest_counting_bytes", None, 1000.0),
            ("archive_newest_counting_places", None, 1.0),
            ("archive_newest_counting_revision", None, 770.0),
            ("archive_newest_counting_proof_seconds", None, 4.0),
            ("archive_newest_booted_timestamp_seconds", None, 1_795_608_000.0),
            ("archive_proofs", Some(("level", "L3")), 1.0),
            ("archive_proofs", Some(("level", "L5")), 0.0),
            ("archive_newest_proof_timestamp_seconds", Some(("level", "L3")), 10.0),
            ("archive_newest_proof_timestamp_seconds", Some(("level", "L4")), 20.0),
            ("archive_place_up", Some(("place", "a")), 1.0),
            ("archive_place_up", Some(("place", "b \"quoted\"")), 0.0),
        ];
        for (name, label, expected) in rows {
            assert_eq!(value(&parsed, name, label), expected, "{name} {label:?}");
        }
    }

    #[test]
    fn rules_ask_for_what_is_written_only() {
        let mut written: BTreeSet<String> = read(&some()).into_keys().collect();
        written.extend(super::super::certificates::tests::of_a_node().into_keys());
        let words = |text: &'static str| {
            text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
                .filter(|word| word.starts_with("rekindle_"))
        };
        let rules = RULES.matches("- alert: ").count();
        let expressions: Vec<&str> =
            RULES.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
        assert_eq!(expressions.len(), rules, "each rule has its expression, on one line");
        for expression in expressions {
            assert!(words(expression).next().is_some(), "{expression}");
            for name in words(expression) {
                assert!(written.contains(name), "{name} in {expression:?} is written by nobody");
            }
        }
    }
}
