//! Looking at what a generator draws.

use crate::picture;
use crate::runtime::Inference;
use crate::train::seed::{Purpose, generator};
use anyhow::{Context, Result, bail};
use rand_distr::{Distribution, StandardNormal};
use std::path::Path;

/// Sides of the grid of samples.
const SIDE: usize = 10;

/// `count` rows of `latent` values each, which depend on `seed` alone.
pub fn latents(seed: u64, count: usize, latent: usize) -> Vec<f32> {
    let random = generator(seed, Purpose::Samples, 0);
    StandardNormal.sample_iter(random).take(count * latent).collect()
}

/// Writes a PNG of 10 × 10 drawings of `model` (serialized ONNX, [N, latent] → [N, 1, height, width] in −1…1) for the latent
/// values of `seed`.
///
/// # Errors
/// If ONNX Runtime fails, or the file cannot be written.
pub fn save_samples(path: &Path, model: &[u8], latent: usize, seed: u64) -> Result<()> {
    let values = latents(seed, SIDE * SIDE, latent);
    let outputs = Inference::from_bytes(model)?.run(&[("input", &[SIDE * SIDE, latent], &values)])?;
    let (_, shape, drawn) = outputs.into_iter().next().context("the generator has no output")?;
    let [_, 1, height, width] = shape[..] else {
        bail!("a generator draws [N, 1, height, width], this one gave {shape:?}")
    };
    let pictures: Vec<Vec<u8>> = drawn.chunks_exact(height * width).map(pixels).collect();
    picture::save_grid(path, &pictures.chunks(SIDE).collect::<Vec<_>>(), height, width)
}

/// Values of −1…1 as pixels of 0…255.
pub fn pixels(values: &[f32]) -> Vec<u8> {
    // The cast saturates.
    values.iter().map(|value| (127.5 * value + 127.5).round() as u8).collect()
}
