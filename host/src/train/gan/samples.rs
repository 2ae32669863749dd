//! Looking at what a generator draws.

use super::{Latents, Prior};
use crate::picture;
use crate::runtime::Inference;
use anyhow::{Result, bail};
use std::path::Path;

/// Sides of the grid of samples.
pub const SIDE: usize = 10;

/// What `model` ([N, latent] → [N, 1, height, width] in −1…1) draws from `latents`, a row of pixels each.
///
/// # Errors
/// If ONNX Runtime fails, or if the model draws something else.
pub fn draw(model: &mut Inference, latents: &Latents) -> Result<Vec<Vec<f32>>> {
    const BATCH: usize = 100;
    let mut drawn = Vec::with_capacity(latents.len());
    for start in (0..latents.len()).step_by(BATCH) {
        let rows: Vec<Vec<f32>> = (start..latents.len().min(start + BATCH)).map(|index| latents.real(index)).collect();
        let outputs = model.run(&[("input", &[rows.len(), rows[0].len()], &rows.concat())])?;
        let Some((_, shape, values)) = outputs.first() else { bail!("the generator has no output") };
        let [_, 1, height, width] = shape[..] else { bail!("a generator draws [N, 1, height, width], not {shape:?}") };
        drawn.extend(values.chunks_exact(height * width).map(<[f32]>::to_vec));
    }
    Ok(drawn)
}

/// Writes a PNG of 10 × 10 drawings of `model`, of images that are `width` pixels wide, for the latent values of `seed`.
///
/// # Errors
/// Those of [`draw`]; if the file cannot be written.
pub fn save_samples(path: &Path, model: &mut Inference, prior: Prior, seed: u64, width: usize) -> Result<()> {
    let latents = Latents::draw(seed, SIDE * SIDE, prior, None);
    let drawn = draw(model, &latents)?;
    let pictures: Vec<Vec<u8>> = drawn.iter().map(|values| pixels(values)).collect();
    save(path, &pictures, width)
}

/// Writes `pictures` of `width` pixels a row as a PNG, ten side by side.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, pictures: &[Vec<u8>], width: usize) -> Result<()> {
    let height = pictures.first().map_or(0, |picture| picture.len() / width);
    picture::save_grid(path, &pictures.chunks(SIDE).collect::<Vec<_>>(), height, width)
}

/// Values of −1…1 as pixels of 0…255.
pub fn pixels(values: &[f32]) -> Vec<u8> {
    // The cast saturates.
    values.iter().map(|value| (127.5 * value + 127.5).round() as u8).collect()
}
