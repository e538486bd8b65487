//! Four words of a root key, for people who compare it with a page of paper.

use crate::{Digest, RootPublic};

/// A word says this much.
const BITS: u32 = 11;

impl RootPublic {
    /// The first 44 bits of the sha256 of the key's 32 bytes, as four words of BIP 39's English list.
    pub fn words(&self) -> [&'static str; 4] {
        let list = bip39::Language::English.word_list();
        let digest = Digest::of(self.as_bytes());
        let first = digest.as_bytes().iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        [1, 2, 3, 4].map(|nth| list[(first >> (u64::BITS - nth * BITS)) as usize % list.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_key_never_change() {
        for (key, words) in [
            ([0; 32], ["grid", "duck", "problem", "valid"]),
            ([1; 32], ["index", "hidden", "patient", "easily"]),
        ] {
            assert_eq!(RootPublic::from(key).words(), words);
        }
    }
}
