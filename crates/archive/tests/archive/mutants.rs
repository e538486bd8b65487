//! A small archive, one of its files changed at a time: an error or what was sealed, never a panic and never
//! something else.

use crate::nodes::{ANCHOR, Nodes, ONE, db, proof};
use crate::place::plain;
use archive::Level;

/// xorshift64*: the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len());
    match dice.roll(6) {
        0 => bytes[at] ^= 1 << dice.roll(8),
        1 => bytes[at] = b"{}[]\",:0-\\\0\xff"[dice.roll(12)],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, dice.roll(256) as u8),
        4 => bytes.extend_from_within(..at),
        _ => drop(bytes.drain(at..(at + 1 + dice.roll(40)).min(bytes.len()))),
    }
}

fn try_mutants(count: usize) {
    let (whole, nodes) = Nodes::sealed();
    let id = nodes.publish(&whole.archive(), ONE, 1000).unwrap().id;
    whole.archive().prove(&proof(id, Level::L3, "1"), &ONE.key(), &ANCHOR()).unwrap();
    let files: Vec<(String, Vec<u8>)> = whole.files().into_iter().collect();
    let mut dice = Dice(0x5eed);
    let mut refused = 0;
    for i in 0..count {
        let (name, mut bytes) = files[i % files.len()].clone();
        let before = bytes.clone();
        mutate(&mut bytes, &mut dice);
        let place = whole.copy();
        place.set(&name, bytes.clone());
        let archive = place.archive();
        let what = format!("{name}, mutant {i}");
        let snapshot = nodes.open(&archive, &id);
        let identity = archive.open_identity(&nodes.set.identities, &ANCHOR());
        let said = archive.generations(&ANCHOR());
        for error in
            [snapshot.as_ref().err(), identity.as_ref().err(), said.as_ref().err()].into_iter().flatten()
        {
            assert!(error.to_string().len() > 10, "{what}: {error}");
            refused += 1;
        }
        if let Ok((_, got)) = snapshot {
            assert_eq!(got, db(1000), "{what}");
        }
        if let Ok(opened) = identity {
            assert_eq!(plain(&opened.entries), plain(&nodes.set.entries), "{what}");
        }
        // Nobody reads it but people; every other file that changed is named, or stops what needs it.
        if let (Ok(said), true) = (said, name.starts_with("proof/") && bytes != before) {
            assert!(said.rejected.len() == 1 && said.newest_counting().is_none(), "{what}");
        }
        assert!(nodes.is_scratch_empty(), "{what}: something is left");
    }
    assert!(refused > count / 2, "{refused} of {count}");
}

#[test]
fn mutants_of_an_archive_are_refused_in_words() {
    try_mutants(150);
}

#[test]
#[ignore = "a minute"]
fn ten_thousand_mutants_of_an_archive_are_refused_in_words() {
    try_mutants(10_000);
}
