//! Batches of texts.

use crate::dataset::{Texts, token};
use crate::recipe::{Part, Text};
use rand::{Rng, RngExt};

/// Stands in front of texts that are shorter than a span.
pub const NO_TOKEN: f32 = -1.0;

/// Cuts spans out of texts.
pub struct Spans<'a> {
    texts: &'a Texts,
    text: &'a Text,
}

impl<'a> Spans<'a> {
    /// Spans of `texts`, read as `text` says.
    pub fn new(texts: &'a Texts, text: &'a Text) -> Self {
        Spans { texts, text }
    }

    /// Writes the texts `samples` into `batch`, time-major [span, N]: of a text that is longer than the span the part
    /// that the recipe wants, in front of a shorter one [`NO_TOKEN`].
    pub fn batch(&self, samples: &[usize], generator: &mut impl Rng, batch: &mut Vec<f32>) {
        let (span, count) = (self.text.span, samples.len());
        batch.clear();
        batch.resize(span * count, NO_TOKEN);
        for (column, &sample) in samples.iter().enumerate() {
            let ranks = &self.texts.ranks[sample];
            let length = ranks.len().min(span);
            let start = match self.text.part {
                Part::Any => generator.random_range(0..=ranks.len() - length),
                Part::Last => ranks.len() - length,
            };
            for (row, &rank) in (span - length..).zip(&ranks[start..start + length]) {
                let dropped = generator.random::<f32>() < self.text.word_dropout;
                let token = if dropped { 0 } else { token(rank, self.text.vocabulary) };
                batch[row * count + column] = token.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Storage, Vectors};
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    #[test]
    fn short_texts_end_with_the_span_and_long_ones_are_cut_anywhere() {
        let texts =
            Texts { texts: vec![String::new(); 2], ranks: vec![vec![3, 9], (1..=20).collect()], labels: vec![0, 1] };
        let text = Text {
            vocabulary: 9,
            span: 4,
            part: Part::Any,
            window: None,
            word_dropout: 0.0,
            vectors: Vectors::Random,
            storage: Storage::Int8,
        };
        let spans = Spans::new(&texts, &text);
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut batch = Vec::new();
        let mut starts = std::collections::HashSet::new();
        for _ in 0..200 {
            spans.batch(&[0, 1], &mut generator, &mut batch);
            let column = |column: usize| batch.iter().skip(column).step_by(2).copied().collect::<Vec<_>>();
            assert_eq!(column(0), [NO_TOKEN, NO_TOKEN, 3.0, 0.0], "rank 9 is beyond the vocabulary");
            starts.insert(column(1)[0] as u32);
        }
        assert!((0..9).all(|start| starts.contains(&start)), "{starts:?}");
    }
}
