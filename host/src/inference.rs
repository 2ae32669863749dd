//! Images through a float or QDQ model in ONNX Runtime.

use crate::dataset::Images;
use crate::runtime::Inference;
use anyhow::{Context, Result, ensure};
use std::ops::Range;

/// One row of outputs (logits, or a reconstruction's values) a sample, as real numbers.
pub type Rows = Vec<Vec<f64>>;

/// Images that a model takes at once.
const BATCH: usize = 256;

/// Runs a model (input `input` [N, C, H, W] in 0…1, first output [N, K]) over the images of `range`; `done` is told how many
/// more are through.
///
/// # Errors
/// If ONNX Runtime fails, or if the model's output is no [N, K].
pub fn rows(model: &mut Inference, images: &Images, range: Range<usize>, done: impl Fn(usize)) -> Result<Rows> {
    let mut rows = Vec::with_capacity(range.len());
    for start in range.clone().step_by(BATCH) {
        let count = BATCH.min(range.end - start);
        let shape = [count, images.channels, images.height, images.width];
        let outputs = model.run(&[("input", &shape, &images.nchw(start..start + count))])?;
        let (_, shape, values) = outputs.first().context("the model has no output")?;
        ensure!(shape.len() == 2 && shape[0] == count, "the model answered {shape:?} to a batch of {count}");
        rows.extend(values.chunks_exact(shape[1]).map(|row| row.iter().map(|&value| f64::from(value)).collect()));
        done(count);
    }
    Ok(rows)
}
