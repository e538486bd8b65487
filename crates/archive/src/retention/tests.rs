//! Retention by tables, and by many random histories against rules that are written down a second time.

use super::*;
use crate::manifest::Cluster;
use crate::proof::Proof;
use crate::{Digest, Proven, RootKey, Secret, SnapshotPublic};
use time::Date;
use time::format_description::well_known::Rfc3339;

const PLACES: [&str; 3] = ["a", "b", "c"];

fn now() -> OffsetDateTime {
    OffsetDateTime::parse("2026-11-25T12:00:00Z", &Rfc3339).unwrap()
}

/// What a row says of a generation.
#[derive(Clone, Debug)]
struct Row {
    epoch: u64,
    revision: u64,
    hours: i64,
    node: u8,
    /// Proven by its own node.
    own: Option<Level>,
    /// Proven by an operator.
    other: Option<Level>,
    held: Vec<usize>,
    suspect: bool,
    revoked: bool,
}

fn row(revision: u64, hours: i64) -> Row {
    let (own, held) = (Some(Level::L3), vec![0, 1, 2]);
    Row { epoch: 1, revision, hours, node: 1, own, other: None, held, suspect: false, revoked: false }
}

impl Row {
    fn id(&self) -> ManifestId {
        ManifestId::of(format!("{}-{}-{}", self.epoch, self.revision, self.node).as_bytes())
    }

    fn counts(&self) -> bool {
        !self.suspect && !self.held.is_empty() && self.own.max(self.other) >= Some(Level::L3)
    }

    fn generation(&self, newest_epoch: u64) -> Generation {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend([1; 32]);
        let root = RootKey::parse(&Secret::new(der)).unwrap().public().unwrap();
        let node = format!("cp{}", self.node);
        // Node 0 is an operator.
        let signed_by = if self.node == 0 { Signer::Root } else { Signer::Node(node.clone()) };
        let proven = |level, signed_by| Proven {
            proof: Proof {
                by: "x".into(),
                level,
                manifest: self.id(),
                run: "1".into(),
                seconds: 1,
                what: BTreeMap::new(),
                when: String::new(),
            },
            signed_by,
        };
        let own = self.own.map(|level| proven(level, signed_by.clone()));
        let other = self.other.map(|level| proven(level, Signer::Root));
        Generation {
            id: self.id(),
            public: SnapshotPublic {
                cluster: Cluster { name: "prod".into(), uid: "00".into() },
                created: (now() - Duration::hours(self.hours)).format(&Rfc3339).unwrap(),
                epoch: self.epoch,
                etcd_cluster: "1".into(),
                identity: ManifestId::of(b"identity"),
                node,
                number: 1,
                objects: Vec::new(),
                parents: Vec::new(),
                private: Digest::of(b""),
                recipients: Vec::new(),
                rekindle: String::new(),
                repo: String::new(),
                revision: self.revision,
                root,
            },
            signed_by,
            off_cluster: !self.held.is_empty(),
            held_by: self.held.iter().map(|at| PLACES[*at].to_owned()).collect(),
            proofs: own.into_iter().chain(other).collect(),
            suspect: self.suspect.then(|| "odd".to_owned()),
            fenced: self.epoch < newest_epoch,
            revoked: self.revoked,
        }
    }
}

fn history(rows: &[Row]) -> Generations {
    let newest = rows.iter().map(|row| row.epoch).max().unwrap_or(1);
    of_epoch(rows, newest)
}

fn of_epoch(rows: &[Row], newest: u64) -> Generations {
    let mut all: Vec<Generation> = rows.iter().map(|row| row.generation(newest)).collect();
    all.sort_by_key(|one| {
        std::cmp::Reverse((one.suspect.is_none(), one.public.epoch, one.public.revision, one.id))
    });
    Generations { all, asked: PLACES.map(String::from).to_vec(), ..Generations::default() }
}

/// The revisions that go.
fn gone(rows: &[Row], keep: Keep) -> Vec<u64> {
    let generations = history(rows);
    let retention = retain(&generations, keep, now());
    retention.remove.iter().map(|(id, _)| generations.get(id).unwrap().public.revision).collect()
}

const LITTLE: Keep = Keep { last: 3, daily: 7, monthly: 0 };

/// One each 6 hours for 20 days, revision 80 the newest.
fn twenty_days() -> Vec<Row> {
    (1..=80).map(|revision| row(revision, (80 - revision as i64) * 6 + 1)).collect()
}

#[test]
fn last_days_and_months_are_kept() {
    let kept = |keep| {
        let gone = gone(&twenty_days(), keep);
        (1..=80).filter(|revision| !gone.contains(revision)).collect::<Vec<u64>>()
    };
    // The last day whole, and the newest of each of seven days; 12:00 less an hour is the first.
    let seven = vec![58, 62, 66, 70, 74, 77, 78, 79, 80];
    assert_eq!(kept(LITTLE), seven);
    assert_eq!(kept(Keep { last: 0, daily: 0, monthly: 0 }), seven, "the floor");
    assert_eq!(
        kept(Keep { last: 8, daily: 7, monthly: 1 }),
        [58, 62, 66, 70, 73, 74, 75, 76, 77, 78, 79, 80]
    );
    let ten = vec![46, 50, 54, 58, 62, 66, 70, 74, 77, 78, 79, 80];
    assert_eq!(kept(Keep { last: 3, daily: 10, monthly: 0 }), ten);
    assert_eq!(kept(Keep { last: 80, daily: 0, monthly: 0 }).len(), 80);
    assert_eq!(kept(Keep { last: u32::MAX, daily: u32::MAX, monthly: u32::MAX }).len(), 80);
    assert!(gone(&[], LITTLE).is_empty());
}

/// A change to the history of twenty days, and whether revision 1, which else goes, stays.
#[test]
fn what_is_in_doubt_is_kept() {
    let all = |change: fn(&mut Row)| {
        twenty_days()
            .into_iter()
            .map(|mut row| {
                change(&mut row);
                row
            })
            .collect()
    };
    let some = |from: u64, change: fn(&mut Row)| -> Vec<Row> {
        let change = |mut row: Row| {
            if row.revision >= from {
                change(&mut row);
            }
            row
        };
        twenty_days().into_iter().map(change).collect()
    };
    let first = |change: fn(&mut Row)| -> Vec<Row> {
        let mut rows = twenty_days();
        change(&mut rows[0]);
        rows
    };
    let cases: [(&str, Vec<Row>, bool); 17] = [
        ("nothing", twenty_days(), false),
        ("all unproven", all(|row| row.own = None), true),
        ("all L2 only", all(|row| row.own = Some(Level::L2)), true),
        ("newer ones unproven", some(2, |row| row.own = None), true),
        ("newer ones at one of three", some(2, |row| row.held = vec![0]), true),
        ("newer ones at two of three", some(3, |row| row.held = vec![0, 2]), false),
        ("newer ones suspect", some(2, |row| row.suspect = true), true),
        ("newer ones revoked", some(2, |row| row.revoked = true), true),
        ("it is suspect", first(|row| row.suspect = true), true),
        ("it is unproven", first(|row| row.own = None), false),
        ("it is fenced and not so old", some(2, |row| row.epoch = 2), false),
        ("it was opened elsewhere", first(|row| row.other = Some(Level::L2)), true),
        ("it was only read back elsewhere", first(|row| row.other = Some(Level::L1)), false),
        ("it is an operator's", first(|row| row.node = 0), true),
        ("all were opened elsewhere", all(|row| row.other = Some(Level::L4)), false),
        ("the clock is behind", all(|row| row.hours -= 24), true),
        ("the clock is ahead", all(|row| row.hours += 24 * 401), true),
    ];
    for (what, rows, stays) in cases {
        assert_eq!(!gone(&rows, LITTLE).contains(&1), stays, "{what}");
    }
}

#[test]
fn vetoes_say_why() {
    let veto = |hours: i64, own| {
        let retention = retain(&history(&[Row { own, ..row(1, hours) }]), LITTLE, now());
        assert!(retention.remove.is_empty());
        retention.veto.unwrap_or_default()
    };
    assert_eq!(veto(1, Some(Level::L4)), "");
    assert!(veto(1, None).contains("no generation counts"));
    assert!(veto(-1, Some(Level::L3)).contains("this machine's clock is before 2026-11-25T13:00:00Z"));
    assert!(veto(401 * 24, Some(Level::L3)).contains("more than 400 days"));
}

#[test]
fn what_is_of_a_fenced_cluster_takes_no_place_and_goes_by_age() {
    let mut rows = twenty_days();
    rows[..40].iter_mut().for_each(|row| row.epoch = 1);
    rows[40..].iter_mut().for_each(|row| row.epoch = 2);
    let removed = gone(&rows, LITTLE);
    // The last of epoch 1 are 10 days old and more, beyond seven.
    assert!((1..=40).all(|revision| removed.contains(&revision)));
    let removed = gone(&rows, Keep { last: 3, daily: 7, monthly: 1 });
    assert!((1..=40).all(|revision| !removed.contains(&revision)));
    let none = retain(&of_epoch(&twenty_days(), 2), LITTLE, now());
    assert!(none.remove.is_empty(), "the newest epoch has none that counts");
}

/// xorshift64*: the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

fn random_history(dice: &mut Dice) -> Vec<Row> {
    let mut hours = 24 * (20 + dice.roll(100) as i64);
    let step = 1 + dice.roll(60);
    let mut rows = Vec::new();
    let (mut epoch, proven, elsewhere) = (1, 1 + dice.roll(4), 2 + dice.roll(20));
    for revision in 1..1 + dice.roll(60) {
        hours -= dice.roll(step) as i64;
        epoch += u64::from(dice.roll(25) == 0);
        let level =
            |roll| [None, Some(Level::L1), Some(Level::L2), Some(Level::L3), Some(Level::L4)][roll as usize];
        let held = if dice.roll(4) > 0 { 7 } else { dice.roll(8) };
        rows.push(Row {
            // Late ones, of an older epoch.
            epoch: if dice.roll(10) == 0 { 1 } else { epoch },
            revision,
            // A clock that is wrong now and then.
            hours: if dice.roll(12) == 0 { dice.roll(24 * 150) as i64 - 24 } else { hours.max(1) },
            node: dice.roll(4) as u8,
            own: if dice.roll(proven + 1) > 0 { Some(Level::L3) } else { level(dice.roll(5)) },
            other: if dice.roll(elsewhere) == 0 { level(dice.roll(5)) } else { None },
            held: (0..3).filter(|at| held & (1 << at) != 0).collect(),
            suspect: dice.roll(25) == 0,
            revoked: dice.roll(15) == 0,
        });
    }
    rows
}

/// The ids that go of these rows.
fn removed(rows: &[Row], newest: u64, keep: Keep) -> BTreeSet<ManifestId> {
    retain(&of_epoch(rows, newest), keep, now()).remove.into_iter().map(|(id, _)| id).collect()
}

fn without(rows: &[Row], drop: impl Fn(&Row) -> bool) -> Vec<Row> {
    rows.iter().filter(|row| !drop(row)).cloned().collect()
}

#[test]
fn no_history_loses_what_it_must_keep() {
    let mut dice = Dice(0x5eed);
    let mut removals = 0;
    for _ in 0..1000 {
        let rows = random_history(&mut dice);
        let keep =
            Keep { last: dice.roll(12) as u32, daily: dice.roll(15) as u32, monthly: dice.roll(4) as u32 };
        let newest_epoch = rows.iter().map(|row| row.epoch).max().unwrap_or(1);
        let retention = retain(&of_epoch(&rows, newest_epoch), keep, now());
        let listed: BTreeSet<ManifestId> =
            retention.keep.iter().chain(&retention.remove).map(|(id, _)| *id).collect();
        assert_eq!(listed, rows.iter().map(Row::id).collect(), "all are listed");
        assert_eq!(retention.keep.len() + retention.remove.len(), rows.len(), "and once");
        let gone = removed(&rows, newest_epoch, keep);
        let stays = |row: &&Row| !gone.contains(&row.id());
        removals += gone.len();
        let rank = |row: &Row| (row.epoch, row.revision);
        let current = |row: &&Row| row.counts() && row.epoch == newest_epoch && !row.revoked;
        let vouched = |row: &Row| row.node == 0 || row.other >= Some(Level::L2);
        let Some(newest) = rows.iter().filter(|row| row.counts()).max_by_key(|row| rank(row)) else {
            assert!(gone.is_empty(), "none counts");
            continue;
        };
        if newest.hours < 0 || newest.hours > 400 * 24 {
            assert!(gone.is_empty(), "the clock");
        }
        for row in rows.iter().filter(|row| gone.contains(&row.id())) {
            assert!(rank(row) < rank(newest) && !row.suspect && row.hours >= 24, "{row:?}");
            let holds = |at: usize, newer: &Row| newer.held.contains(&at) && rank(newer) > rank(row);
            let held = |at: &usize| {
                let good = |newer: &&Row| holds(*at, newer) && (!vouched(row) || vouched(newer));
                rows.iter().filter(current).filter(stays).any(|newer| good(&newer))
            };
            assert!((0..3).filter(held).count() >= 2, "a majority must hold a newer one that stays: {row:?}");
        }
        for at in 0..3 {
            let there = |row: &&Row| row.counts() && row.held.contains(&at);
            let newest = rows.iter().filter(there).max_by_key(|row| rank(row));
            assert!(newest.is_none_or(|row| !gone.contains(&row.id())), "the newest anywhere");
        }
        let count = rows.iter().filter(current).count();
        assert!(rows.iter().filter(current).filter(stays).count() >= count.min(3));
        let days = |of: &dyn Fn(&&Row) -> bool| -> BTreeSet<Date> {
            let of = rows.iter().filter(current).filter(|row| row.hours >= 0 && of(row));
            of.map(|row| (now() - Duration::hours(row.hours)).date()).collect()
        };
        let (had, has) = (days(&|_| true), days(&|row| stays(row)));
        assert!(had.iter().rev().take(7).all(|day| has.contains(day)), "seven days");
        // What may not displace anything: without it nothing goes that does not go otherwise, or goes with it.
        let idle = without(&rows, |row| !row.counts() && !row.suspect);
        let expected: BTreeSet<_> =
            gone.iter().copied().filter(|id| idle.iter().any(|row| row.id() == *id)).collect();
        assert_eq!(removed(&idle, newest_epoch, keep), expected, "unproven ones neither count nor cause");
        let opened = without(&rows, |row| !vouched(row));
        let alone = removed(&opened, newest_epoch, keep);
        let opened_gone = opened.iter().filter(|row| gone.contains(&row.id())).map(Row::id);
        if retain(&of_epoch(&opened, newest_epoch), keep, now()).veto.is_none() {
            for id in opened_gone {
                let old = rows.iter().find(|row| row.id() == id).unwrap();
                assert!(
                    alone.contains(&id) || !current(&old),
                    "displaced by what nobody else opened: {old:?}"
                );
            }
        }
        let left = without(&rows, |row| gone.contains(&row.id()));
        assert!(removed(&left, newest_epoch, keep).is_empty(), "once is enough");
    }
    assert!(removals > 1000, "{removals}: the histories are too short to say anything");
}
