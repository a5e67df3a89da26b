//! Which calls are looked into for the names of their parameters: the first sixteen of a caller and a method, then one
//! in 64. A table of a fixed size; callers that fall on the same place make each other begin anew.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// So many calls are looked into from the first on.
const FIRST: u64 = 16;

/// Then one of so many.
const ONE_IN: u64 = 64;

/// Places of the table.
const PLACES: usize = 4096;

/// The bits of a place that count; the others tell whose it is.
const COUNT: u64 = 0xFFFF;

/// What was looked into so far.
#[derive(Debug)]
pub struct Sampler {
    places: Box<[AtomicU64]>,
    seed: u64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            seed: RandomState::new().hash_one(PLACES),
        }
    }
}

impl Sampler {
    /// Counts a call of the method with this rule's number by the caller with this key; says whether to look into it.
    pub fn takes(&self, rule: usize, key: &str) -> bool {
        let hash = self.hash(rule, key.as_bytes());
        let place = &self.places[hash as usize % PLACES];
        let known = place.load(Ordering::Relaxed);
        let count = match known & !COUNT == hash & !COUNT {
            true => known & COUNT,
            false => 0,
        };
        let is_turn = count < FIRST || count == FIRST + ONE_IN - 1;
        let next = match count == FIRST + ONE_IN - 1 {
            true => FIRST,
            false => count + 1,
        };
        // Of two calls at the same moment one may not count: that is good enough for a sample.
        place.store(hash & !COUNT | next, Ordering::Relaxed);
        is_turn
    }

    /// A quick hash: who finds two keys that fall together makes each other's sample begin anew, and nothing else.
    fn hash(&self, rule: usize, key: &[u8]) -> u64 {
        let mix = |hash: u64, part: u64| {
            let product = u128::from(hash ^ part) * 0x9e37_79b9_7f4a_7c15;
            (product as u64) ^ (product >> 64) as u64
        };
        let (words, rest) = key.as_chunks::<8>();
        let hash = words
            .iter()
            .fold(mix(self.seed, rule as u64), |hash, word| {
                mix(hash, u64::from_le_bytes(*word))
            });
        let rest = rest
            .iter()
            .fold(key.len() as u64, |last, byte| last << 8 | u64::from(*byte));
        mix(hash, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sixteen_calls_of_a_row_are_looked_into_and_then_one_in_64() {
        let sampler = Sampler::default();
        let taken: Vec<usize> = (0..300).filter(|_| sampler.takes(3, "webhook:1")).collect();
        let first: Vec<usize> = (0..16).collect();
        assert_eq!(taken[..16], first);
        assert_eq!(taken[16..], [79, 143, 207, 271]);
        assert!(
            sampler.takes(3, "webhook:2"),
            "another caller has its own count"
        );
        assert!(sampler.takes(4, "webhook:1"), "another method too");
    }
}
