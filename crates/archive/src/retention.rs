//! Which generations are kept: a pure function over what the destinations hold.
//!
//! Only what was proven takes a place, and nothing that a stolen node could have made up takes the place of what
//! another machine has opened: `last`, `daily` and `monthly` are filled twice, once with all that counts and once
//! with what was opened elsewhere, and what either filling names is kept. Whatever is in doubt is kept too.

use crate::{Generation, Generations, Level, ManifestId, Signer};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};

/// So long after it was taken somebody may still be copying it to another destination.
const YOUNG: Duration = Duration::DAY;
/// Below this no rule goes: so many generations, and the newest of so many days.
const FLOOR: (u32, u32) = (3, 7);
/// A clock that is further from the newest generation than this is wrong.
const STRANGE: Duration = Duration::days(400);

/// How many generations are kept, of those that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The newest ones; 3 at least.
    pub last: u32,
    /// The newest of so many days on which there is one (UTC); 7 at least.
    pub daily: u32,
    /// Likewise of months.
    pub monthly: u32,
}

/// What stays and what goes. Every generation is in one of the lists, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What stays, and why.
    pub keep: Vec<(ManifestId, String)>,
    /// What goes, and why.
    pub remove: Vec<(ManifestId, String)>,
    /// Why nothing may go now, whatever the rule says.
    pub veto: Option<String>,
    pub(crate) rule: Keep,
    pub(crate) now: OffsetDateTime,
}

/// What stays and what goes at a time. The newest generation that counts, all that is newer than it, and the newest
/// that each destination holds always stay; something goes only where a majority of the destinations hold a newer
/// one that counts. A destination that does not answer holds nothing here.
pub fn retain(generations: &Generations, keep: Keep, now: OffsetDateTime) -> Retention {
    let veto = veto(generations, now);
    let judge = Judge::new(generations, keep, now);
    let mut retention = Retention { keep: Vec::new(), remove: Vec::new(), veto, rule: keep, now };
    for (place, one) in generations.all.iter().enumerate() {
        match judge.stays(place, one).or_else(|| retention.veto.clone()) {
            Some(why) => retention.keep.push((one.id, why)),
            None => retention.remove.push((one.id, judge.goes(one))),
        }
    }
    retention
}

/// Why nothing may go now.
fn veto(generations: &Generations, now: OffsetDateTime) -> Option<String> {
    let Some(newest) = generations.newest_counting() else {
        return Some("no generation counts: none was restored and compared".into());
    };
    let Some(created) = newest.created() else {
        return Some(format!(
            "nobody knows when the newest that counts was taken: {}",
            newest.public.created
        ));
    };
    let newest = &newest.public.created;
    if now < created {
        return Some(format!(
            "this machine's clock is before {newest}, when the newest that counts was taken"
        ));
    }
    (now - created > STRANGE).then(|| {
        let days = STRANGE.whole_days();
        format!(
            "the newest that counts was taken at {newest}, more than {days} days before this machine's clock"
        )
    })
}

/// Whether another machine than its own has opened or drilled it, or an operator made it.
fn is_vouched(one: &Generation) -> bool {
    let elsewhere =
        |proven: &crate::Proven| proven.proof.level >= Level::L2 && proven.signed_by != one.signed_by;
    one.signed_by == Signer::Root || one.proofs.iter().any(elsewhere)
}

/// Whether it can take a place: it counts, and is of the cluster as it is now. A key that was taken off the list,
/// or that is of a fenced cluster, can sign still.
fn competes(one: &Generation) -> bool {
    one.counts() && !one.fenced && !one.revoked
}

struct Judge<'a> {
    all: &'a [Generation],
    /// Where in the order the newest that counts is.
    newest: usize,
    destinations: usize,
    rule: Keep,
    now: OffsetDateTime,
    /// Why what takes a place does.
    places: BTreeMap<ManifestId, String>,
}

impl<'a> Judge<'a> {
    fn new(generations: &'a Generations, keep: Keep, now: OffsetDateTime) -> Self {
        let rule =
            Keep { last: keep.last.max(FLOOR.0), daily: keep.daily.max(FLOOR.1), monthly: keep.monthly };
        let all = &generations.all;
        let mut judge = Self {
            all,
            newest: all.iter().position(Generation::counts).unwrap_or(all.len()),
            destinations: generations.asked.len(),
            rule,
            now,
            places: BTreeMap::new(),
        };
        let competing = || all.iter().filter(|one| competes(one));
        judge.fill(competing());
        judge.fill(competing().filter(|one| is_vouched(one)));
        // One that competes with nothing may be all that a destination has.
        for at in &generations.asked {
            if let Some(one) = all.iter().find(|one| one.counts() && one.held_by.contains(at)) {
                judge.places.entry(one.id).or_insert_with(|| format!("the newest at {at}"));
            }
        }
        judge
    }

    /// Gives places to generations, which come the newest first.
    fn fill(&mut self, competing: impl Iterator<Item = &'a Generation> + Clone) {
        let (mut days, mut months) = (BTreeMap::new(), BTreeMap::new());
        let mut holders = BTreeMap::new();
        let mut take = |id: ManifestId, why: String| {
            self.places.entry(id).or_insert(why);
        };
        for one in competing.clone().take(self.rule.last as usize) {
            take(one.id, format!("one of the last {}", self.rule.last));
        }
        for one in competing {
            for at in &one.held_by {
                holders.entry(at).or_insert(one.id);
            }
            // What is dated ahead takes no day of another.
            if let Some(created) = one.created().filter(|created| *created <= self.now) {
                let day = created.date();
                days.entry(day).or_insert(one.id);
                months.entry((day.year(), u8::from(day.month()))).or_insert(one.id);
            }
        }
        for (day, id) in days.into_iter().rev().take(self.rule.daily as usize) {
            take(id, format!("the newest of {day}"));
        }
        for ((year, month), id) in months.into_iter().rev().take(self.rule.monthly as usize) {
            take(id, format!("the newest of {year}-{month:02}"));
        }
        for (at, id) in holders {
            take(id, format!("the newest at {at}"));
        }
    }

    /// Why this one stays, if it does.
    fn stays(&self, place: usize, one: &Generation) -> Option<String> {
        let because = |why: &str| Some(why.to_owned());
        if let Some(why) = &one.suspect {
            return Some(format!("suspect, for a person to judge: {why}"));
        }
        if place < self.newest {
            return because("newer than the newest that counts");
        }
        if place == self.newest {
            return because("the newest that counts");
        }
        let Some(created) = one.created() else { return because("nobody knows its age") };
        let age = self.now - created;
        if age < YOUNG {
            return because("younger than a day: it may still be on its way to a destination");
        }
        if let Some(why) = self.places.get(&one.id) {
            return Some(why.clone());
        }
        if !competes(one) && age < self.span(one) {
            return Some(format!("{}, and younger than {} days", what(one), self.span(one).whole_days()));
        }
        self.lacks_successors(place, one)
    }

    /// How long what takes nobody's place is kept: no shorter than what does.
    fn span(&self, one: &Generation) -> Duration {
        let days = if one.counts() { self.rule.daily.max(self.rule.monthly.saturating_mul(31)) } else { 7 };
        Duration::days(i64::from(days))
    }

    /// Why too few destinations hold what could replace it. Only what another machine opened replaces what another
    /// machine opened.
    fn lacks_successors(&self, place: usize, one: &Generation) -> Option<String> {
        let vouched = is_vouched(one);
        let newer = self.all[..place].iter().filter(|newer| competes(newer));
        let newer = newer.filter(|newer| !vouched || is_vouched(newer));
        let holders: BTreeSet<&String> = newer.flat_map(|newer| &newer.held_by).collect();
        (holders.len() * 2 <= self.destinations).then(|| {
            let which = if vouched { " and that another machine has opened" } else { "" };
            format!(
                "only {} of {} destinations hold a newer one that counts{which}",
                holders.len(),
                self.destinations
            )
        })
    }

    fn goes(&self, one: &Generation) -> String {
        if competes(one) { "newer ones take all places".into() } else { format!("{}, and old", what(one)) }
    }
}

/// Why it takes no place.
fn what(one: &Generation) -> &'static str {
    match (one.counts(), one.fenced) {
        (false, _) => "never proven",
        (true, true) => "from a fenced cluster",
        (true, false) => "signed by a key that is no longer delegated",
    }
}

#[cfg(test)]
mod tests;
