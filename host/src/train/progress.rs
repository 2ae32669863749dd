//! What a user sees while a run is under way.

use super::{checkpoint::Progress, metrics::Epoch};
use crate::recipe::Recipe;
use crate::runtime::Provider;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar an epoch and a line behind each; nothing if the run is not to be shown.
pub struct Display {
    bar: ProgressBar,
    steps_per_epoch: u64,
    epochs: usize,
}

impl Display {
    /// Says at once where the run takes place.
    pub fn new(recipe: &Recipe, show: bool, steps_per_epoch: u64, provider: Provider) -> Self {
        let target = if show { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps_per_epoch), target);
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} {eta}");
        bar.println(format!("training {} on {provider}", recipe.name));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Display { bar, steps_per_epoch, epochs: recipe.training.epochs }
    }

    /// After each step; `speed` in images a second.
    pub fn step(&self, progress: &Progress, speed: f64) {
        let done = (progress.step - 1) % self.steps_per_epoch + 1;
        self.bar.set_prefix(format!("epoch {}/{}", progress.epochs.len() + 1, self.epochs));
        self.bar.set_position(done);
        let loss = progress.loss_sum / done as f64;
        self.bar.set_message(format!("loss {loss:.4} · {speed:.0} samples/s"));
    }

    /// After each epoch.
    pub fn epoch(&self, epoch: &Epoch) {
        let validation = epoch.validation.map_or(String::new(), |score| format!(" · validation {score}"));
        let Epoch { epoch, train, images_per_second, .. } = epoch;
        self.bar
            .println(format!("epoch {epoch}/{} · {train}{validation} · {images_per_second:.0} samples/s", self.epochs));
        self.bar.reset_eta();
    }
}
