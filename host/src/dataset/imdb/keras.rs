//! Keras' form: `imdb.npz` holds each review as the ranks of its words, `imdb_word_index.json` the rank of each word.
//!
//! The file holds ranks alone. That numbers start at 4, a review with 1 and rare words become 2 is what Keras'
//! `load_data` adds when it reads the file.

use super::{Found, npz::Npz};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub const NAME: &str = "imdb.npz";
pub const INDEX: &str = "imdb_word_index.json";

/// Reads the file at `path` and the index beside it; texts are the reviews' known words with blanks between.
pub fn read(path: &Path) -> Result<Found> {
    let words = index(&path.with_file_name(INDEX))?;
    let mut found = Found::default();
    let mut arrays = Npz::open(path)?;
    for (part, name) in ["train", "test"].into_iter().enumerate() {
        let labels = arrays.bits(&format!("y_{name}"))?;
        let lists = arrays.lists(&format!("x_{name}"))?;
        let context = || format!("{}: x_{name}", path.display());
        let (reviews, expected) = (lists.len(), labels.len());
        ensure!(reviews == expected, "{}: {reviews} reviews with {expected} labels", context());
        for (index, (ranks, positive)) in lists.iter().zip(labels).enumerate() {
            let text = text(ranks, &words).with_context(|| format!("review {index}")).with_context(context)?;
            found.folders[2 * part + usize::from(!positive)].push((format!("{index:05}"), text));
        }
    }
    Ok(found)
}

/// Words by rank; 0 is no rank.
pub fn index(path: &Path) -> Result<Vec<String>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let ranks: HashMap<String, usize> =
        serde_json::from_reader(BufReader::new(file)).with_context(|| path.display().to_string())?;
    let mut words = vec![String::new(); ranks.len() + 1];
    for (word, rank) in ranks {
        match words.get_mut(rank) {
            Some(place) if rank > 0 && place.is_empty() => *place = word,
            _ => bail!("{}: `{word}` has the rank {rank}, which is too large or taken", path.display()),
        }
    }
    Ok(words)
}

fn text(ranks: &[u32], words: &[String]) -> Result<String> {
    let mut text = String::new();
    for (place, &rank) in ranks.iter().enumerate() {
        let word = words.get(rank as usize).filter(|word| !word.is_empty());
        text.push_str(if place > 0 { " " } else { "" });
        text.push_str(word.with_context(|| format!("the index has no word {rank}"))?);
    }
    Ok(text)
}
