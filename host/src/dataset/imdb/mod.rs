//! Stanford's reviews of films (Maas et al., "Learning Word Vectors for Sentiment Analysis", 2011): 25,000 for training,
//! 25,000 for testing, half of each positive. The two parts share no film, and no film has more than 30 reviews.
//!
//! ```text
//! tree · archive · table     the original texts, as a folder, as downloaded, as one table
//! keras ── npz ── pickle     Keras' form: numbers of words, turned back into words
//! ranking ── python2         the words of the training texts, numbered as Keras numbers them
//! ```
//!
//! Whatever the source, reviews stand in one order: training before test, positive before negative, then by the name of
//! the file in the original archive, `<number>_<rating>.txt`, compared as text (0, 10000, 10001, … 9). Keras' ranks
//! depend on it. Numbers are given film by film, so that reviews of one film stand together.

mod archive;
mod keras;
mod load;
mod npz;
mod pickle;
mod python2;
mod ranking;
mod table;
mod tree;

pub use load::load;
pub use ranking::{ranking, words};

use super::download::fetch;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Name of the folder in `$HOST_DATA` and in the cache.
const NAME: &str = "imdb";
const URL: &str = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz";
/// The archive has 84,125,825 bytes; a server that sends more sends something else.
const DOWNLOAD_LIMIT: u64 = 96 << 20;
/// [`content`] of the original.
const CONTENT: &str = "aa4f037ff963dbe83aeaf01b2b3c3c21b7da362ac2fd6dba361eb964f734f1bf";
/// Folders of the original, in the order of the reviews.
const FOLDERS: [&str; 4] = ["train/pos", "train/neg", "test/pos", "test/neg"];
/// Reviews in each of them.
const FOLDER_REVIEWS: usize = 12_500;

/// What somebody wrote about a film, and whether they liked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// As written, with `<br />` where lines end; from Keras' form the known words in lower case with a blank between.
    pub text: String,
    /// 7 to 10 of ten stars; 1 to 4 where not. What lies between is not in the set.
    pub positive: bool,
}

/// Both parts, each in the order that the module's head tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviews {
    pub train: Vec<Review>,
    pub test: Vec<Review>,
}

/// Reviews as a source gives them.
#[derive(Default)]
struct Found {
    /// For each of [`FOLDERS`] the file's name without its ending, and the text.
    folders: [Vec<(String, String)>; 4],
}

/// Loads the reviews from the folder `data`, else from `$HOST_DATA/imdb`, else from the cache, where Stanford's archive
/// is downloaded first. The folder holds, and the first that is there is taken:
///
/// 1. `train/pos/*.txt` and so on, or a folder `aclImdb` with them;
/// 2. `aclImdb_v1.tar.gz`;
/// 3. `aclImdb_reviews.tsv.xz` or `aclImdb_reviews.tsv` (split, label, number, rating, text);
/// 4. `imdb.npz` and `imdb_word_index.json`, Keras' form.
///
/// # Errors
/// Files that are missing, truncated, damaged or not UTF-8, other numbers of reviews; a failed download. The sentence
/// names the file, and the line where there are lines.
pub fn reviews(data: Option<&Path>) -> Result<Reviews> {
    let folder = match (data, std::env::var_os("HOST_DATA")) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(shared)) if Path::new(&shared).join(NAME).is_dir() => Path::new(&shared).join(NAME),
        _ => cached(&setup::cache_dir()?, URL, CONTENT, FOLDER_REVIEWS)?,
    };
    read_folder(&folder, FOLDER_REVIEWS)
}

/// For each test review, whether it stands word for word among those for training too.
pub fn duplicates(reviews: &Reviews) -> Vec<bool> {
    let known: HashSet<&str> = reviews.train.iter().map(|review| review.text.as_str()).collect();
    reviews.test.iter().map(|review| known.contains(review.text.as_str())).collect()
}

fn read_folder(folder: &Path, count: usize) -> Result<Reviews> {
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let trees = [folder.to_owned(), folder.join("aclImdb")];
    if let Some(tree) = trees.into_iter().find(|tree| tree.join("train").is_dir()) {
        tree::read(&tree)?.into_reviews(&tree, count)
    } else if let Some(path) = file(archive::NAME) {
        archive::read(&path)?.into_reviews(&path, count)
    } else if let Some(path) = table::NAMES.into_iter().find_map(file) {
        table::read(&path)?.into_reviews(&path, count)
    } else if let Some(path) = file(keras::NAME) {
        keras::read(&path)?.into_reviews(&path, count)
    } else {
        let [packed, _] = table::NAMES;
        bail!(
            "there are no film reviews in {}: neither a folder aclImdb, nor {}, nor {packed}, nor {}",
            folder.display(),
            archive::NAME,
            keras::NAME
        )
    }
}

impl Found {
    /// Puts the reviews in order; each folder must hold `count`. `source` is for the error.
    fn into_reviews(self, source: &Path, count: usize) -> Result<Reviews> {
        let mut parts = Vec::new();
        for (mut found, folder) in self.folders.into_iter().zip(FOLDERS) {
            ensure!(
                found.len() == count,
                "{}: {folder} holds {} reviews, expected {count}",
                source.display(),
                found.len()
            );
            found.sort_unstable();
            if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                bail!("{}: {folder} holds the review {} twice", source.display(), pair[0].0);
            }
            let positive = folder.ends_with("pos");
            parts.push(found.into_iter().map(move |(_, text)| Review { text, positive }));
        }
        let mut parts = parts.into_iter();
        let mut half = || parts.by_ref().take(2).flatten().collect();
        Ok(Reviews { train: half(), test: half() })
    }
}

/// Checks a name `<number>_<rating>` against the label of the folder that it stands in.
fn check_name(name: &str, folder: usize) -> Result<()> {
    let rating = name.split_once('_').and_then(|(number, rating)| {
        number.parse::<u32>().ok()?;
        rating.parse::<u8>().ok().filter(|rating| (1..=10).contains(rating))
    });
    let Some(rating) = rating else { bail!("`{name}` is not <number>_<rating>") };
    let folder = FOLDERS[folder];
    ensure!((rating > 5) == folder.ends_with("pos"), "a review with {rating} of 10 stars does not belong to {folder}");
    Ok(())
}

/// `bytes` as text; the error tells the first byte that is not UTF-8.
fn utf8(bytes: &[u8]) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => bail!("the text is not UTF-8 from its byte {} on", error.valid_up_to()),
    }
}

/// The folder of the cache that holds the archive, downloaded first if need be.
fn cached(cache: &Path, url: &str, expected: &str, count: usize) -> Result<PathBuf> {
    setup::provide(cache, NAME, |folder| {
        eprintln!("downloading film reviews (84 MB) into {}", cache.join(NAME).display());
        let path = folder.join(archive::NAME);
        fetch(url, archive::NAME, DOWNLOAD_LIMIT, &path).with_context(|| url.to_owned())?;
        let reviews = archive::read(&path).and_then(|found| found.into_reviews(Path::new(url), count))?;
        let content = content(&reviews);
        ensure!(content == expected, "{url}: the SHA-256 of its words is {content}, expected {expected}");
        Ok(())
    })
    .context("the film reviews cannot be downloaded; `--data DIR` reads them from a folder")
}

/// SHA-256 of what a net can see of the reviews, in lower-case hexadecimal: the words that the training texts hold, with
/// a blank after each word and a line feed after each review. It is the same for the original and for Keras' form.
fn content(reviews: &Reviews) -> String {
    let lower = |part: &[Review]| part.iter().map(|review| review.text.to_ascii_lowercase()).collect::<Vec<_>>();
    let (train, test) = (lower(&reviews.train), lower(&reviews.test));
    let known: HashSet<&str> = train.iter().flat_map(|text| words(text)).collect();
    let mut hasher = Sha256::new();
    for text in train.iter().chain(&test) {
        for word in words(text).filter(|word| known.contains(word)) {
            hasher.update(word);
            hasher.update(b" ");
        }
        hasher.update(b"\n");
    }
    setup::hex(&hasher.finalize())
}

#[cfg(test)]
mod tests;
