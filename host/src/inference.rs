//! Samples through a float or QDQ model in ONNX Runtime.

use crate::dataset::{Images, Samples, Texts, Vectors, tokens};
use crate::recipe::Text;
use crate::runtime::Inference;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::ops::Range;

/// One row of outputs (logits, a probability, or a reconstruction's values) a sample, as real numbers.
pub type Rows = Vec<Vec<f64>>;

/// Images that a model takes at once.
const BATCH: usize = 256;
/// Texts of one length that a model takes at once.
const TEXTS: usize = 64;

/// Runs a model (input `input` [N, C, H, W] in 0…1 or `tokens` [N, T], first output [N, K]) over the samples of `range`; texts
/// are read as `text` says. `done` is told how many more are through.
///
/// # Errors
/// If ONNX Runtime fails, or if the model's output is no [N, K].
pub fn rows(
    model: &mut Inference,
    samples: &Samples,
    text: Option<&Text>,
    range: Range<usize>,
    done: impl Fn(usize),
) -> Result<Rows> {
    match samples {
        Samples::Images(images) => image_rows(model, images, range, done),
        Samples::Texts(texts) => {
            let text = text.context("the recipe has no [text], and the data are texts")?;
            text_rows(model, texts, text, range, done)
        }
        Samples::Vectors(vectors) => vector_rows(model, vectors, range, done),
    }
}

fn image_rows(model: &mut Inference, images: &Images, range: Range<usize>, done: impl Fn(usize)) -> Result<Rows> {
    let mut rows = Vec::with_capacity(range.len());
    for start in range.clone().step_by(BATCH) {
        let count = BATCH.min(range.end - start);
        let shape = [count, images.channels, images.height, images.width];
        let outputs = model.run(&[("input", &shape, &images.nchw(start..start + count))])?;
        rows.extend(answers(&outputs, count)?);
        done(count);
    }
    Ok(rows)
}

/// Vectors are images of one place.
fn vector_rows(model: &mut Inference, vectors: &Vectors, range: Range<usize>, done: impl Fn(usize)) -> Result<Rows> {
    let size = vectors.size;
    let values = &vectors.values[range.start * size..range.end * size];
    let mut rows = Vec::with_capacity(range.len());
    for batch in values.chunks(BATCH * size) {
        let count = batch.len() / size;
        rows.extend(answers(&model.run(&[("input", &[count, size, 1, 1], batch)])?, count)?);
        done(count);
    }
    Ok(rows)
}

/// Texts of one length go together: the model knows no padding.
fn text_rows(
    model: &mut Inference,
    texts: &Texts,
    text: &Text,
    range: Range<usize>,
    done: impl Fn(usize),
) -> Result<Rows> {
    let mut rows = vec![Vec::new(); range.len()];
    let mut by_length: BTreeMap<usize, Vec<(usize, Vec<u16>)>> = BTreeMap::new();
    for (row, sample) in range.enumerate() {
        let mut tokens = tokens(&texts.ranks[sample], text.vocabulary, text.window);
        // A text without words is one unknown word: the model has to read something.
        if tokens.is_empty() {
            tokens.push(0);
        }
        by_length.entry(tokens.len()).or_default().push((row, tokens));
    }
    for (length, group) in by_length {
        for batch in group.chunks(TEXTS) {
            let flat: Vec<i64> =
                batch.iter().flat_map(|(_, tokens)| tokens.iter().map(|&token| token.into())).collect();
            let outputs = model.run(&[("tokens", &[batch.len(), length], &flat)])?;
            for ((row, _), answer) in batch.iter().zip(answers(&outputs, batch.len())?) {
                rows[*row] = answer;
            }
            done(batch.len());
        }
    }
    Ok(rows)
}

/// The rows of the first output.
fn answers(outputs: &[crate::runtime::Output], count: usize) -> Result<Rows> {
    let (_, shape, values) = outputs.first().context("the model has no output")?;
    ensure!(shape.len() == 2 && shape[0] == count, "the model answered {shape:?} to a batch of {count}");
    Ok(values.chunks_exact(shape[1]).map(|row| row.iter().map(|&value| f64::from(value)).collect()).collect())
}
