//! From the hash of a word to its token.
//!
//! Hash and displace (Belazzougui, Botelho and Dietzfelbinger, 2009): a word's hash chooses a bucket, the bucket's
//! displacement sends each of its words to a slot of its own, and the slot's fingerprint tells whether the word is the one
//! that belongs there. A word that is not in the vocabulary passes with a probability of 2⁻¹⁶.

use super::tokens::{WordHash, mix};

/// The words of a model: each has a token from 1 on, those that it does not know have 0.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'m> {
    /// Start of every word's hash.
    pub seed: u32,
    /// One a bucket.
    pub displacements: &'m [u16],
    /// One a word, in the order of the slots.
    pub fingerprints: &'m [u16],
}

impl Vocabulary<'_> {
    /// Token of `word`, which ends where the slice does; 0 for one that is not known.
    pub fn token(&self, word: &[u8]) -> i16 {
        let mut hash = WordHash::new(self.seed);
        let split = word.iter().any(|byte| hash.push(*byte).is_some());
        hash.finish().filter(|_| !split).map_or(0, |hash| self.token_of(hash))
    }

    /// Token of the word with this hash; 0 for one that is not known.
    pub(super) fn token_of(&self, hash: u32) -> i16 {
        let displacement = self.displacements.get(bucket(hash, self.displacements.len() as u32));
        let Some(displacement) = displacement else { return 0 };
        let slot = slot(hash, *displacement, self.fingerprints.len() as u32);
        // There are fewer slots than an i16 has positive values.
        if self.fingerprints.get(slot) == Some(&fingerprint(hash)) { slot as i16 + 1 } else { 0 }
    }
}

/// Upper half of the hash, scaled to a number below `buckets`, which is at most 65,535.
pub(super) const fn bucket(hash: u32, buckets: u32) -> usize {
    ((hash >> 16).wrapping_mul(buckets) >> 16) as usize
}

/// Number below `words`, which is at most 32,767.
pub(super) const fn slot(hash: u32, displacement: u16, words: u32) -> usize {
    let mixed = mix(hash ^ (displacement as u32).wrapping_mul(0x9e37_79b1));
    ((mixed >> 16).wrapping_mul(words) >> 16) as usize
}

/// Lower half of the hash, of which the bucket knows nothing.
pub(super) const fn fingerprint(hash: u32) -> u16 {
    hash as u16
}
