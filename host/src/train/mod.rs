//! Training: the loop around the step graph.
//!
//! ```text
//! recipe ──Step──▶ ONNX graph ──Stepper──▶ session with the state bound      runs/<name>/
//! images ──Batches (own thread)──▶ batch ──▶ step ──▶ loss                    ├ checkpoint               every epoch, and on Ctrl-C
//!                                    epoch's end: judge on held-back images   ├ metrics.jsonl            one line an epoch
//!                                                                             ├ recipe.json              what was trained
//!                                                                             └ <name>.onnx              the float model, at the end
//! ```
//!
//! Everything random depends on the recipe's seed and a counter alone, so that a resumed run equals one that never stopped,
//! bit for bit on the CPU. Exported are the moving averages of the weights after the last step (the weights themselves if
//! the recipe keeps none), not those of the best epoch: the schedule ends where the weights are best.

mod batches;
mod checkpoint;
mod metrics;
mod progress;
pub mod schedule;
mod seed;
mod step;
mod stepper;
mod weights;

pub use metrics::Epoch;
pub use step::{Kind, StateTensor, Step};
pub use stepper::{Measured, Stepper, exported, initial_state};
pub use weights::initial;

use crate::dataset::Dataset;
use crate::graph::Network;
use crate::inference::rows;
use crate::recipe::{Recipe, Target};
use crate::runtime::{Device, Inference, Provider};
use crate::scores::Score;
use anyhow::{Context, Result, bail, ensure};
use batches::{Batch, Batches};
use checkpoint::{Identity, Progress, write_atomically};
use progress::Display;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

/// One run.
pub struct Options<'a> {
    /// The effective recipe: what the command line overrides is overridden.
    pub recipe: &'a Recipe,
    pub dataset: &'a Dataset,
    pub device: Device,
    /// Go on from the checkpoint in `directory`.
    pub resume: bool,
    /// `runs/<name>`; made if missing.
    pub directory: &'a Path,
    /// Set to stop after the step under way.
    pub stop: &'a AtomicBool,
    /// Whether to show a progress bar on stderr.
    pub show: bool,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Summary {
    pub provider: Provider,
    pub steps: u64,
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
    /// `None` if the run was stopped before its end; its checkpoint is `checkpoint`.
    pub model: Option<PathBuf>,
    pub checkpoint: PathBuf,
}

/// Trains as `options` say.
///
/// # Errors
/// If recipe and data do not fit together, if ONNX Runtime fails, if the loss is no longer finite, or if a file cannot be
/// written.
pub fn run(options: &Options<'_>) -> Result<Summary> {
    let mut run = Run::new(options)?;
    let finished = run.steps()?;
    let model = if finished { Some(run.export()?) } else { None };
    let (steps, epochs) = (run.progress.step, run.progress.epochs);
    Ok(Summary { provider: run.stepper.provider(), steps, epochs, model, checkpoint: run.checkpoint })
}

/// A run under way.
struct Run<'a> {
    options: &'a Options<'a>,
    network: Network,
    step: Step,
    stepper: Stepper,
    identity: Identity,
    progress: Progress,
    /// Training images; those behind them are held back.
    samples: usize,
    checkpoint: PathBuf,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options<'a>) -> Result<Self> {
        let Options { recipe, dataset, .. } = options;
        let images = &dataset.train;
        let network = Network::new(&recipe.layers, [images.channels, images.height, images.width])?;
        let outputs = network.outputs();
        let (wanted, what) = match recipe.data.target {
            Target::Class => (dataset.classes.len(), "classes"),
            Target::Input => (images.size(), "values a sample"),
        };
        ensure!(outputs == wanted, "the last layer gives {outputs} values, the data have {wanted} {what}");
        let samples = images.len().saturating_sub(recipe.data.validation);
        let batch = recipe.training.batch;
        ensure!(
            batch > 0 && samples >= batch,
            "{} images less {} for validation do not fill a batch of {batch}",
            images.len(),
            recipe.data.validation
        );
        let step = Step::new(&network, &recipe.training)?;
        let mut stepper = Stepper::new(&step, options.device, 0)?;
        std::fs::create_dir_all(options.directory)
            .with_context(|| format!("cannot make the folder {}", options.directory.display()))?;
        let checkpoint = options.directory.join("checkpoint");
        let identity = Identity { recipe: serde_json::to_string(recipe)?, data: fingerprint(dataset) };
        let (state, progress) = if options.resume {
            checkpoint::load(&checkpoint, &step, &identity)?
        } else {
            (initial_state(&step, &initial(&network, recipe.training.seed)), Progress::default())
        };
        stepper.set_state(&state)?;
        Ok(Run { options, network, step, stepper, identity, progress, samples, checkpoint })
    }

    /// Runs what is left; whether it came to its end.
    fn steps(&mut self) -> Result<bool> {
        let options = self.options;
        let network = self.network.clone();
        let images = &options.dataset.train;
        let batches = Batches::new(options.recipe, images, self.samples, network.outputs(), network.masks());
        let first = self.progress.step;
        // One batch waits while one is made: more would only use memory.
        let (send, ready) = sync_channel::<Batch>(1);
        let (give_back, used) = channel::<Batch>();
        std::thread::scope(|scope| {
            let batches = &batches;
            scope.spawn(move || batches.produce(first, send, used));
            // The channels are moved in, so that they close at the end, which ends the producer on every way out.
            self.consume(batches, ready, give_back)
        })
    }

    fn consume(&mut self, batches: &Batches<'_>, ready: Receiver<Batch>, give_back: Sender<Batch>) -> Result<bool> {
        let mut display = Display::new(self.options, batches.steps_per_epoch(), self.stepper.provider());
        let mut busy = Duration::ZERO;
        let mut begun = self.progress.step;
        while self.progress.step < batches.steps() {
            if self.options.stop.load(Ordering::Relaxed) {
                self.save()?;
                return Ok(false);
            }
            let start = Instant::now();
            let batch = ready.recv().context("the thread that prepares the batches has died")?;
            let number = self.progress.step + 1;
            let factor = schedule::factor(&self.options.recipe.training.schedule, number, batches.steps());
            let measured = self.stepper.run(&batch, &self.step.scalar_values(number, factor))?;
            if !measured.loss.is_finite() {
                bail!("the loss is {} at step {number}{}", measured.loss, self.last_good());
            }
            // The producer may have ended and no longer take batches back.
            let _ = give_back.send(batch);
            self.progress.step = number;
            self.progress.loss_sum += f64::from(measured.loss);
            self.progress.measure_sum += f64::from(measured.measure);
            busy += start.elapsed();
            let images = (number - begun) as usize * self.options.recipe.training.batch;
            let speed = images as f64 / busy.as_secs_f64();
            display.step(&self.progress, speed);
            if number.is_multiple_of(batches.steps_per_epoch()) {
                self.end_epoch(batches.steps_per_epoch(), factor, speed, &mut display)?;
                (busy, begun) = (Duration::ZERO, number);
            }
        }
        Ok(true)
    }

    fn end_epoch(&mut self, steps: u64, factor: f64, speed: f64, display: &mut Display) -> Result<()> {
        let images = &self.options.dataset.train;
        let n = steps as usize * self.options.recipe.training.batch;
        let target = self.options.recipe.data.target;
        // The step's loss is a mean over its batch.
        let loss_sum = self.progress.loss_sum * self.options.recipe.training.batch as f64;
        let train = Score::of(target, n, loss_sum, self.progress.measure_sum);
        let validation = if self.samples < images.len() {
            let held_back = self.samples..images.len();
            let rows = rows(&mut Inference::from_bytes(&self.model()?)?, images, held_back, |_| {})?;
            Some(Score::judge(target, &rows, images, self.samples))
        } else {
            None
        };
        let epoch = Epoch {
            epoch: self.progress.epochs.len() + 1,
            step: self.progress.step,
            train,
            validation,
            rate: self.step.rate() * factor,
            images_per_second: speed,
        };
        display.epoch(&epoch);
        self.progress.epochs.push(epoch);
        (self.progress.loss_sum, self.progress.measure_sum) = (0.0, 0.0);
        // Written whole each time, so that it fits the checkpoint after a kill.
        let mut lines = Vec::new();
        for epoch in &self.progress.epochs {
            serde_json::to_writer(&mut lines, epoch)?;
            lines.push(b'\n');
        }
        write_atomically(&self.options.directory.join("metrics.jsonl"), &lines)?;
        self.save()
    }

    fn save(&self) -> Result<()> {
        checkpoint::save(&self.checkpoint, &self.step, self.stepper.state()?, &self.identity, &self.progress)
    }

    /// The float model with the weights to export.
    fn model(&self) -> Result<Vec<u8>> {
        self.network.inference(&exported(&self.step, &self.stepper.state()?))
    }

    fn export(&self) -> Result<PathBuf> {
        let recipe = serde_json::to_vec_pretty(self.options.recipe)?;
        write_atomically(&self.options.directory.join("recipe.json"), &recipe)?;
        let path = self.options.directory.join(format!("{}.onnx", self.options.recipe.name));
        write_atomically(&path, &self.model()?)?;
        Ok(path)
    }

    fn last_good(&self) -> String {
        let epochs = self.progress.epochs.len();
        match epochs {
            0 => "; there is no checkpoint yet: lower the learning rate".to_owned(),
            _ => format!("; the last good checkpoint, of epoch {epochs}, is {}", self.checkpoint.display()),
        }
    }
}

/// SHA-256 of the training images and their labels.
fn fingerprint(dataset: &Dataset) -> String {
    let mut hash = Sha256::new();
    hash.update(&dataset.train.pixels);
    hash.update(&dataset.train.labels);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
