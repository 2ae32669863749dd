//! The search for a minimal perfect hash.

use super::Vocabulary;
use super::tokens::{WordHash, mix};
use super::vocabulary::{bucket, fingerprint, slot};
use std::collections::HashMap;
use std::fmt;

/// Words a bucket, in halves: large buckets take less memory and a longer search.
const HALF_WORDS_A_BUCKET: usize = 9;
/// Seeds that are tried before the search is given up; one in twenty fails.
const SEEDS: u32 = 200;

/// A vocabulary as plain vectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VocabularySpec {
    /// Start of every word's hash.
    pub seed: u32,
    /// One a bucket.
    pub displacements: Vec<u16>,
    /// One a word, in the order of the slots.
    pub fingerprints: Vec<u16>,
}

/// A vocabulary and where its words went.
#[derive(Clone, Debug)]
pub struct Built {
    /// The vocabulary.
    pub vocabulary: VocabularySpec,
    /// Slot of each word, in the order of the words: word `i` has the token `slots[i] + 1`, and so its row of the
    /// embedding.
    pub slots: Vec<u16>,
}

/// Why there is no vocabulary for a list of words. Indices count in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// There are none, or more than 32,767.
    Count {
        /// Number of words.
        words: usize,
    },
    /// The tokeniser never gives this word: it is empty, has a separator or an upper-case ASCII letter in it.
    NoWord {
        /// Index of the word.
        index: usize,
    },
    /// The word stands in the list twice.
    Duplicate {
        /// Index of the second one.
        index: usize,
    },
    /// The search found no place for some word with any seed.
    NotFound,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Count { words } => write!(f, "a vocabulary has 1 to 32,767 words, not {words}"),
            BuildError::NoWord { index } => write!(
                f,
                "word {index} of the vocabulary is none: it is empty, or has a separator or an upper-case letter in it"
            ),
            BuildError::Duplicate { index } => write!(f, "word {index} of the vocabulary stands in it twice"),
            BuildError::NotFound => write!(f, "no perfect hash was found for the vocabulary"),
        }
    }
}

impl std::error::Error for BuildError {}

impl VocabularySpec {
    /// Finds a hash that gives each of `words` a slot of its own. The same list always has the same answer.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build<W: AsRef<[u8]>>(words: &[W]) -> Result<Built, BuildError> {
        check(words)?;
        (0..SEEDS).find_map(|attempt| try_seed(words, mix(attempt))).ok_or(BuildError::NotFound)
    }

    /// The vocabulary as a model has it.
    pub fn view(&self) -> Vocabulary<'_> {
        Vocabulary { seed: self.seed, displacements: &self.displacements, fingerprints: &self.fingerprints }
    }
}

fn check<W: AsRef<[u8]>>(words: &[W]) -> Result<(), BuildError> {
    if !(1..=i16::MAX as usize).contains(&words.len()) {
        return Err(BuildError::Count { words: words.len() });
    }
    let mut seen = HashMap::new();
    for (index, word) in words.iter().map(AsRef::as_ref).enumerate() {
        if word.to_ascii_lowercase() != word || !super::words(word).eq([word]) {
            return Err(BuildError::NoWord { index });
        }
        if seen.insert(word, index).is_some() {
            return Err(BuildError::Duplicate { index });
        }
    }
    Ok(())
}

/// The vocabulary with this seed; `None` where some bucket finds no displacement.
fn try_seed<W: AsRef<[u8]>>(words: &[W], seed: u32) -> Option<Built> {
    let count = words.len() as u32;
    let mut buckets = vec![Vec::new(); (2 * words.len()).div_ceil(HALF_WORDS_A_BUCKET)];
    let bucket_count = buckets.len() as u32;
    for (index, word) in words.iter().enumerate() {
        let hash = hash(word.as_ref(), seed);
        buckets[bucket(hash, bucket_count)].push((hash, index));
    }
    // The largest first, while there is room. Two words with one hash never part, and their bucket fails.
    let mut order: Vec<_> = (0..buckets.len()).collect();
    order.sort_by_key(|bucket| std::cmp::Reverse(buckets[*bucket].len()));
    let mut vocabulary =
        VocabularySpec { seed, displacements: vec![0; buckets.len()], fingerprints: vec![0; words.len()] };
    let (mut taken, mut slots) = (vec![false; words.len()], vec![0; words.len()]);
    let mut chosen = Vec::new();
    for number in order {
        let bucket = &buckets[number];
        let displacement = (0..=u16::MAX).find(|displacement| {
            chosen.clear();
            for (hash, _) in bucket {
                let slot = slot(*hash, *displacement, count);
                if taken[slot] || chosen.contains(&slot) {
                    return false;
                }
                chosen.push(slot);
            }
            true
        })?;
        vocabulary.displacements[number] = displacement;
        for ((hash, index), slot) in bucket.iter().zip(&chosen) {
            taken[*slot] = true;
            slots[*index] = *slot as u16;
            vocabulary.fingerprints[*slot] = fingerprint(*hash);
        }
    }
    Some(Built { vocabulary, slots })
}

fn hash(word: &[u8], seed: u32) -> u32 {
    let mut hash = WordHash::new(seed);
    for byte in word {
        hash.push(*byte);
    }
    // Empty words have been refused.
    hash.finish().unwrap_or_default()
}
