//! What a run measured, epoch by epoch.

use crate::scores::Score;
use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Steps done at its end.
    pub step: u64,
    /// While training: with augmentation, dropout and the loss's smoothing, of the weights under way.
    pub train: Score,
    /// Of the weights to export on the held-back images as they are; absent if none are held back.
    pub validation: Option<Score>,
    /// Learning rate of the last step.
    pub rate: f64,
    /// Training speed, without validation.
    pub images_per_second: f64,
}
