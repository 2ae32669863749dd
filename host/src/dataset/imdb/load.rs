//! The reviews as a data set.

use super::{FOLDER_REVIEWS, Review, ranking, reviews};
use crate::dataset::{Dataset, Samples, Texts};
use crate::recipe::Source;
use anyhow::Result;
use std::path::Path;

/// Loads the reviews as [`reviews`] does, and reads them by the words of the training part.
///
/// Positive and negative reviews take turns, each kind in the order of its numbers. Those are given film by film, so that
/// what is held back from the end are reviews of films of which training sees nothing (but for those at the seam).
pub fn load(data: Option<&Path>) -> Result<Dataset> {
    let reviews = reviews(data)?;
    let words = ranking(reviews.train.iter().map(|review| review.text.as_str()));
    let texts = |part: Vec<Review>| {
        let (texts, labels) = in_turns(part).into_iter().map(|review| (review.text, u8::from(review.positive))).unzip();
        Samples::Texts(Texts::new(texts, labels, &words))
    };
    let (train, test) = (texts(reviews.train), texts(reviews.test));
    Ok(Dataset { train, test, classes: Source::Imdb.classes(), words })
}

/// From positive before negative, each by its file's name as text, to turns by number.
fn in_turns(part: Vec<Review>) -> Vec<Review> {
    let mut numbers: Vec<usize> = (0..FOLDER_REVIEWS).collect();
    numbers.sort_by_key(|number| format!("{number}_"));
    let mut placed: Vec<(usize, Review)> = part
        .into_iter()
        .enumerate()
        .map(|(index, review)| (2 * numbers[index % FOLDER_REVIEWS] + index / FOLDER_REVIEWS, review))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, review)| review).collect()
}
