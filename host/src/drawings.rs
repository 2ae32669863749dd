//! What a generator draws, wherever it runs.

use crate::artifacts::read;
use crate::dataset::Samples;
use crate::engine::{self, On};
use crate::recipe::Found;
use crate::runtime::Inference;
use crate::train::gan::{self, Latents};
use anyhow::Result;
use indicatif::ProgressBar;

/// What the generator of `found` draws on `on` from each of `latents`: pixels of 0…255, row by row. On a board, every drawing is
/// also compared with the twin's.
///
/// # Errors
/// Those of [`engine::outputs`]; a model that draws no images.
pub fn draw(on: On, found: &Found, latents: &Latents, progress: &ProgressBar) -> Result<Vec<Vec<u8>>> {
    let artifacts = found.artifacts();
    let onnx = match on {
        On::Float => Some(artifacts.float_onnx()),
        On::Qdq => Some(artifacts.int8_onnx()),
        On::Int8 | On::Board(_) => None,
    };
    if let Some(path) = onnx {
        let drawn = gan::draw(&mut Inference::from_bytes(&read(&path)?)?, latents)?;
        progress.inc(latents.len() as u64);
        return Ok(drawn.iter().map(|values| gan::pixels(values)).collect());
    }
    let samples = Samples::Images(latents.images());
    let rows = engine::outputs(on, &artifacts, &samples, None, progress)?;
    let picture = |row: &Vec<f64>| gan::pixels(&row.iter().map(|&value| value as f32).collect::<Vec<_>>());
    Ok(rows.iter().map(picture).collect())
}
