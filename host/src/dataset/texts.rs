//! Texts as tokens.

use super::imdb::words;
use std::collections::HashMap;

/// Labelled texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub texts: Vec<String>,
    /// For each text, the ranks of its words, from 1 for the most frequent word; 0 for a word that has none.
    pub ranks: Vec<Vec<u32>>,
    /// One class index a text.
    pub labels: Vec<u8>,
}

impl Texts {
    /// Reads `texts` by the words of `ranking`, the most frequent first.
    pub fn new(texts: Vec<String>, labels: Vec<u8>, ranking: &[String]) -> Self {
        let ranks: HashMap<&str, u32> = ranking.iter().map(String::as_str).zip(1..).collect();
        let read = |text: &String| {
            words(&text.to_ascii_lowercase()).map(|word| ranks.get(word).copied().unwrap_or(0)).collect()
        };
        let ranks = texts.iter().map(read).collect();
        Texts { texts, ranks, labels }
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first `count` texts; all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        let Texts { texts, ranks, labels } = self;
        Texts { texts: texts[..count].to_vec(), ranks: ranks[..count].to_vec(), labels: labels[..count].to_vec() }
    }
}

/// The token of the word of rank `rank`: itself, or 0 beyond the vocabulary.
pub fn token(rank: u32, vocabulary: usize) -> u16 {
    // Recipes keep vocabularies below 2¹⁵.
    if (rank as usize) < vocabulary { rank as u16 } else { 0 }
}

/// What a model reads of a text: the last `window` words, as tokens of a vocabulary.
pub fn tokens(ranks: &[u32], vocabulary: usize, window: Option<usize>) -> Vec<u16> {
    let start = window.map_or(0, |window| ranks.len().saturating_sub(window));
    ranks[start..].iter().map(|&rank| token(rank, vocabulary)).collect()
}
