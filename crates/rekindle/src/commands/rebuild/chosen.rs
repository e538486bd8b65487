//! Which generation comes back: the one that this epoch was begun with, the one that a person names, or the newest that
//! counts; and how far its revisions are moved up.

use crate::environment::Environment;
use crate::failure::Failure;
use crate::vault::{Remembered, Vault, failure, generation_name};
use archive::{Generation, Generations};
use std::collections::BTreeMap;

/// Facts of an identity set.
pub const FROM: &str = "rebuilt-from";
const MOVED_BY: &str = "revisions-moved-by";

/// Nobody writes more often than this while nobody looks (etcd's op-guide/recovery.md names this number).
const AT_LEAST: u64 = 1_000_000_000;

/// A rebuild that was begun and has not come to its end: members may lie on nodes already.
pub struct Begun {
    /// The claimed epoch.
    pub epoch: u64,
    /// The etcd clusters that it fences.
    pub fences: Vec<String>,
    /// How far revisions are moved up.
    pub bump: u64,
    from: String,
}

/// What the archive says of one that this holder goes on with.
///
/// # Errors
/// Somebody else is at it, and is not to be taken over.
pub fn begun(
    remembered: &Remembered,
    take_over: bool,
    environment: &Environment,
) -> Result<Option<Begun>, Failure> {
    let Some(claim) = remembered.holding().unfinished() else { return Ok(None) };
    if !claim.is_of(&environment.user, &environment.host) {
        let held = archive::Error::Held { claim: Box::new(claim.clone()) };
        return if take_over { Ok(None) } else { Err(failure(&held)) };
    }
    let facts = remembered.facts();
    let noted = facts.get(FROM).zip(facts.get(MOVED_BY).and_then(|bump| bump.parse().ok()));
    let of_this_epoch = noted.filter(|_| remembered.public().epoch == claim.epoch);
    Ok(of_this_epoch.map(|(from, bump)| Begun {
        epoch: claim.epoch,
        fences: claim.fences.clone(),
        bump,
        from: from.clone(),
    }))
}

/// What an identity set says of it.
pub fn facts(chosen: &Generation, bump: u64) -> BTreeMap<String, String> {
    [(FROM.to_owned(), chosen.id.to_string()), (MOVED_BY.to_owned(), bump.to_string())].into()
}

/// The generation. In an epoch that was begun it can be no other: all members are laid from one snapshot.
pub fn choose<'g>(
    vault: &Vault,
    generations: &'g Generations,
    wanted: Option<&str>,
    begun: Option<&Begun>,
) -> Result<&'g Generation, Failure> {
    let chosen = match (wanted, begun) {
        (None, Some(begun)) => {
            generations.all.iter().find(|one| one.id.to_string() == begun.from).ok_or_else(|| {
                Failure::refused(format!(
                    "the generation with which epoch {} was begun is at no place that answers",
                    begun.epoch
                ))
            })?
        }
        _ => vault.choose_counting(generations, wanted)?,
    };
    match begun {
        Some(begun) if begun.from != chosen.id.to_string() => Err(Failure::refused(format!(
            "epoch {} was begun with another generation than {}, and members of it may lie on nodes",
            begun.epoch,
            generation_name(chosen)
        ))
        .hint("leave the generation out to go on")),
        _ => Ok(chosen),
    }
}

/// Above the highest revision that any generation recorded, by as much as may have been written since.
pub fn moved_by(generations: &Generations, chosen: &Generation) -> u64 {
    let sound = generations.all.iter().filter(|one| one.suspect.is_none());
    let highest = sound.map(|one| one.public.revision).max().unwrap_or_default();
    AT_LEAST + highest.saturating_sub(chosen.public.revision)
}
