//! `keep` of `[archive]`: how much `archive prune` leaves.

use serde::Serialize;

/// How many generations are kept, of those that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// One for each of so many days.
    pub daily: u32,
    /// One for each of so many months.
    pub monthly: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { last: 48, daily: 14, monthly: 6 }
    }
}
