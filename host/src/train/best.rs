//! The best epoch of a stage, where a recipe stops early.

use super::checkpoint::write_atomically;
use super::metrics::Epoch;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The weights to export after the epoch that did best on the held-back samples.
#[derive(Debug, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: usize,
    /// Larger is better.
    measure: f64,
    /// In the order of the network's parameters.
    pub weights: Vec<Vec<f32>>,
}

impl Best {
    /// What a stage in `directory` has stored, of an epoch up to `epochs`; `None` if there is nothing of use.
    pub fn load(directory: &Path, epochs: usize) -> Result<Option<Self>> {
        let path = file(directory);
        if !path.exists() {
            return Ok(None);
        }
        let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let best: Self = postcard::from_bytes(&content)
            .with_context(|| format!("{} is damaged; train without --resume", path.display()))?;
        Ok(Some(best).filter(|best| best.epoch <= epochs))
    }

    /// The better of `best` and what `epoch` ended with, stored in `directory` if it is new. Equally good: the earlier.
    pub fn after(best: Option<Self>, epoch: &Epoch, weights: Vec<Vec<f32>>, directory: &Path) -> Result<Option<Self>> {
        let Some(score) = epoch.validation else { return Ok(best) };
        let measure = score.accuracy.unwrap_or(-score.loss);
        if best.as_ref().is_some_and(|best| best.measure >= measure) {
            return Ok(best);
        }
        let new = Self { epoch: epoch.epoch, measure, weights };
        write_atomically(&file(directory), &postcard::to_allocvec(&new)?)?;
        Ok(Some(new))
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("best")
}
