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
//! the recipe keeps none), not those of the best epoch: the schedule ends where the weights are best. A recipe that says
//! `early-stopping` gets those of the epoch that did best on the held-back samples, and one that says `temperature` logits
//! divided by one ([`temperature`]); scores are those of the logits as they were. A recipe with an adversary trains a GAN
//! ([`gan`]), and leaves a grid of its drawings in `samples/` at each epoch's end.

mod batches;
mod best;
mod checkpoint;
mod frozen;
pub mod gan;
mod init;
mod learner;
mod metrics;
mod pretrained;
mod progress;
pub mod schedule;
mod seed;
mod spans;
mod stages;
mod step;
mod stepper;
pub mod temperature;
mod weights;

pub use gan::Pair;
pub use learner::{Learner, Net};
pub use metrics::Epoch;
pub use step::{Kind, StateTensor, Step};
pub use stepper::{Measured, Stepper, exported, initial_state};
pub use weights::initial;

use crate::dataset::{Dataset, Samples};
use crate::graph::{Input, Network};
use crate::inference::rows;
use crate::recipe::{Recipe, Target};
use crate::runtime::{Device, Inference, Provider};
use crate::scores::Score;
use anyhow::{Context, Result, bail, ensure};
use batches::{Batch, Batches};
use best::Best;
use checkpoint::{Identity, Progress, write_atomically};
use progress::Display;
use stages::{Stage, Weights};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

/// One run.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The effective recipe: what the command line overrides is overridden.
    pub recipe: &'a Recipe,
    pub dataset: &'a Dataset,
    pub device: Device,
    /// Float model whose weights the run starts from; pretrained convolutions where the recipe freezes them.
    pub init: Option<&'a Path>,
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
    /// What the logits were divided by at the end, where the recipe says so.
    pub temperature: Option<f64>,
    pub checkpoint: PathBuf,
}

/// Trains as `options` say.
///
/// # Errors
/// If recipe and data do not fit together, if ONNX Runtime fails, if the loss is no longer finite, or if a file cannot be
/// written.
pub fn run(options: &Options<'_>) -> Result<Summary> {
    match options.init {
        Some(path) if options.recipe.training.freeze => frozen::run(options, path),
        _ => stages_of(options),
    }
}

/// Trains all of the net, stage by stage.
fn stages_of(options: &Options<'_>) -> Result<Summary> {
    let stages = stages::of(options.recipe, options.directory);
    if !options.resume {
        stages::forget(&stages[1..])?;
    }
    let mut weights = match options.init {
        Some(path) => Some(init::load(
            path,
            &Network::new(&options.recipe.layers, input(options.recipe, &options.dataset.train)?)?,
        )?),
        None => None,
    };
    let (mut steps, mut epochs) = (0, Vec::new());
    for (index, stage) in stages.iter().enumerate() {
        // A run that is resumed may not have come to its later stages.
        let resume = options.resume && (index == 0 || stage.checkpoint().exists());
        let mut run = Run::new(options, stage, weights.as_ref(), resume)?;
        let finished = run.steps()?;
        steps += run.progress.step;
        epochs.extend(run.progress.epochs.clone());
        let is_last = index + 1 == stages.len();
        if !finished || is_last {
            let (model, temperature) = finished.then(|| run.export(options)).transpose()?.unzip();
            let (provider, checkpoint) = (run.learner.provider(), stage.checkpoint());
            return Ok(Summary { provider, steps, epochs, model, temperature: temperature.flatten(), checkpoint });
        }
        weights = Some(run.weights()?);
    }
    unreachable!("there is a last stage, which returns")
}

/// A stage under way.
struct Run<'a> {
    options: &'a Options<'a>,
    stage: &'a Stage,
    network: Network,
    learner: Box<dyn Learner>,
    identity: Identity,
    progress: Progress,
    /// Training samples; those behind them are held back.
    samples: usize,
    checkpoint: PathBuf,
    /// Where the recipe stops early.
    best: Option<Best>,
}

impl<'a> Run<'a> {
    /// Prepares a stage, which goes on from its checkpoint if `resume`, else from `weights`, or anew.
    fn new(options: &'a Options<'a>, stage: &'a Stage, weights: Option<&Weights>, resume: bool) -> Result<Self> {
        let (recipe, data) = (&stage.recipe, &options.dataset.train);
        let samples = data.len().saturating_sub(recipe.data.validation);
        let batch = recipe.training.batch;
        ensure!(
            batch > 0 && samples >= batch,
            "{} samples less {} for validation do not fill a batch of {batch}",
            data.len(),
            recipe.data.validation
        );
        let start = stages::start(stage, data, samples, weights)?;
        let network = Network::with_codes(&recipe.layers, input(recipe, data)?, start.codes.as_deref())?;
        check_outputs(&network, recipe, options.dataset)?;
        let mut learner = learner::new(recipe, &network, data, options.device)?;
        std::fs::create_dir_all(&stage.directory)
            .with_context(|| format!("cannot make the folder {}", stage.directory.display()))?;
        let checkpoint = stage.checkpoint();
        let identity = Identity { recipe: serde_json::to_string(recipe)?, data: data.fingerprint() };
        let (state, progress) = if resume {
            checkpoint::load(&checkpoint, &learner.tensors(), &identity)?
        } else {
            (learner.initial_state(&start.parameters(&network, recipe.training.seed)), Progress::default())
        };
        learner.set_state(&state)?;
        let early = recipe.training.early_stopping.is_some() && resume;
        let best = if early { Best::load(&stage.directory, progress.epochs.len())? } else { None };
        Ok(Run { options, stage, network, learner, identity, progress, samples, checkpoint, best })
    }

    /// Runs what is left; whether it came to its end.
    fn steps(&mut self) -> Result<bool> {
        let (data, outputs) = (&self.options.dataset.train, self.network.outputs());
        let masks = self.learner.masks().to_vec();
        let batches = Batches::new(&self.stage.recipe, data, self.samples, outputs, &masks)?;
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
        let recipe = &self.stage.recipe;
        let mut display = Display::new(recipe, self.options.show, batches.steps_per_epoch(), self.learner.provider());
        let mut busy = Duration::ZERO;
        let mut begun = self.progress.step;
        while self.progress.step < batches.steps() && !self.has_stalled() {
            if self.options.stop.load(Ordering::Relaxed) {
                self.save()?;
                return Ok(false);
            }
            let start = Instant::now();
            let batch = ready.recv().context("the thread that prepares the batches has died")?;
            let number = self.progress.step + 1;
            let factor = schedule::factor(&recipe.training.schedule, number, batches.steps());
            let measured = self.learner.step(&batch, number, factor)?;
            if !measured.loss.is_finite() {
                bail!("the loss is {} at step {number}{}", measured.loss, self.last_good());
            }
            // The producer may have ended and no longer take batches back.
            let _ = give_back.send(batch);
            self.progress.step = number;
            self.progress.loss_sum += f64::from(measured.loss);
            self.progress.measure_sum += f64::from(measured.measure);
            busy += start.elapsed();
            let samples = (number - begun) as usize * recipe.training.batch;
            let speed = samples as f64 / busy.as_secs_f64();
            display.step(&self.progress, speed);
            if number.is_multiple_of(batches.steps_per_epoch()) {
                self.end_epoch(batches.steps_per_epoch(), factor, speed, &mut display)?;
                (busy, begun) = (Duration::ZERO, number);
            }
        }
        Ok(true)
    }

    fn end_epoch(&mut self, steps: u64, factor: f64, speed: f64, display: &mut Display) -> Result<()> {
        let (recipe, data) = (&self.stage.recipe, &self.options.dataset.train);
        let n = steps as usize * recipe.training.batch;
        let target = recipe.data.target;
        // The step's loss is a mean over its batch.
        let loss_sum = self.progress.loss_sum * recipe.training.batch as f64;
        let train = Score::of(target, n, loss_sum, self.progress.measure_sum);
        let validation = if recipe.adversary.is_some() {
            self.draw()?;
            None
        } else if self.samples < data.len() {
            Some(Score::judge(target, &self.held_back(&self.model()?)?, data, self.samples))
        } else {
            None
        };
        let epoch = Epoch {
            epoch: self.progress.epochs.len() + 1,
            step: self.progress.step,
            train,
            validation,
            rate: self.learner.rate() * factor,
            images_per_second: speed,
        };
        display.epoch(&epoch);
        if recipe.training.early_stopping.is_some() {
            let weights = self.current_weights()?;
            self.best = Best::after(self.best.take(), &epoch, weights, &self.stage.directory)?;
        }
        self.progress.epochs.push(epoch);
        (self.progress.loss_sum, self.progress.measure_sum) = (0.0, 0.0);
        // Written whole each time, so that it fits the checkpoint after a kill.
        let mut lines = Vec::new();
        for epoch in &self.progress.epochs {
            serde_json::to_writer(&mut lines, epoch)?;
            lines.push(b'\n');
        }
        write_atomically(&self.stage.directory.join("metrics.jsonl"), &lines)?;
        self.save()
    }

    fn save(&self) -> Result<()> {
        let state = self.learner.state()?;
        // A last step whose loss was still a number may have ended in none.
        let finite = state.iter().flatten().all(|value| value.is_finite());
        ensure!(finite, "the weights are no longer finite at step {}{}", self.progress.step, self.last_good());
        checkpoint::save(&self.checkpoint, &self.learner.tensors(), state, &self.identity, &self.progress)
    }

    /// Whether the recipe stops early, and now.
    fn has_stalled(&self) -> bool {
        let best = self.best.as_ref().map(|best| best.epoch);
        match (self.stage.recipe.training.early_stopping, best) {
            (Some(patience), Some(best)) => self.progress.epochs.len() >= best + patience,
            _ => false,
        }
    }

    /// The float model with the weights as they are.
    fn model(&self) -> Result<Vec<u8>> {
        let weights = self.current_weights()?;
        self.onnx(&weights)
    }

    /// The float model with `weights`.
    fn onnx(&self, weights: &[Vec<f32>]) -> Result<Vec<u8>> {
        self.network.inference(&weights.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// What `model` gives for the held-back samples, a row each.
    fn held_back(&self, model: &[u8]) -> Result<Vec<Vec<f64>>> {
        let data = &self.options.dataset.train;
        let text = self.stage.recipe.text.as_ref();
        rows(&mut Inference::on(model, self.options.device)?, data, text, self.samples..data.len(), |_| {})
    }

    /// Leaves a grid of what the generator draws, the same latent values each time, so that one sees it learn.
    fn draw(&self) -> Result<()> {
        let folder = self.stage.directory.join("samples");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let path = folder.join(format!("epoch-{:03}.png", self.progress.epochs.len() + 1));
        let width = self.options.dataset.train.images()?.width;
        let (prior, seed) = (self.stage.recipe.prior()?, self.stage.recipe.training.seed);
        let mut model = Inference::on(&self.model()?, self.options.device)?;
        gan::save_samples(&path, &mut model, prior, seed, width)
    }

    /// The weights as they are: averages, where the recipe keeps them.
    fn current_weights(&self) -> Result<Vec<Vec<f32>>> {
        self.learner.exported()
    }

    /// The weights to export.
    fn final_weights(&self) -> Result<Vec<Vec<f32>>> {
        match &self.best {
            Some(best) => Ok(best.weights.clone()),
            None => self.current_weights(),
        }
    }

    /// What the stage behind this one starts from.
    fn weights(&self) -> Result<Weights> {
        let mut weights = Weights::new();
        for (index, (parameter, values)) in self.network.parameters().iter().zip(self.final_weights()?).enumerate() {
            // Codebooks: also the table that they stand for.
            if let Some((name, _, table)) = self.network.stored(index, &values) {
                weights.insert(name, table);
            }
            weights.insert(parameter.name.clone(), values);
        }
        Ok(weights)
    }

    /// Writes the float model; where it is, and its temperature if the recipe wants one.
    fn export(&self, options: &Options<'_>) -> Result<(PathBuf, Option<f64>)> {
        let recipe = serde_json::to_vec_pretty(options.recipe)?;
        write_atomically(&options.directory.join("recipe.json"), &recipe)?;
        let path = options.directory.join(format!("{}.onnx", options.recipe.name));
        let mut weights = self.final_weights()?;
        let temperature = if options.recipe.training.temperature {
            let rows = self.held_back(&self.onnx(&weights)?)?;
            let temperature = temperature::fit(&rows, &options.dataset.train, self.samples);
            self.network.scale_outputs(&mut weights, (1.0 / temperature) as f32)?;
            Some(temperature)
        } else {
            None
        };
        write_atomically(&path, &self.onnx(&weights)?)?;
        Ok((path, temperature))
    }

    fn last_good(&self) -> String {
        let epochs = self.progress.epochs.len();
        match epochs {
            0 => "; there is no checkpoint yet: lower the learning rate".to_owned(),
            _ => format!("; the last good checkpoint, of epoch {epochs}, is {}", self.checkpoint.display()),
        }
    }
}

/// What the recipe's network reads of the data.
fn input(recipe: &Recipe, data: &Samples) -> Result<Input> {
    Ok(match data {
        Samples::Images(images) => match &recipe.adversary {
            Some(adversary) => Input::Latent(adversary.latent),
            None => Input::Image([images.channels, images.height, images.width]),
        },
        Samples::Vectors(vectors) => frozen::vector(vectors.size),
        Samples::Texts(_) => {
            let text = recipe.text.as_ref().context("the recipe has no [text], and the data are texts")?;
            Input::Tokens { vocabulary: text.vocabulary, span: text.span }
        }
    })
}

fn check_outputs(network: &Network, recipe: &Recipe, dataset: &Dataset) -> Result<()> {
    let outputs = network.outputs();
    let (wanted, what) = match (recipe.data.target, &dataset.train) {
        (Target::Class, _) => (dataset.classes.len(), "classes"),
        (Target::Input | Target::Sample, data) => (data.images()?.size(), "values a sample"),
    };
    let binary = recipe.data.target == Target::Class && wanted == 2 && outputs == 1;
    ensure!(binary || outputs == wanted, "the last layer gives {outputs} values, the data have {wanted} {what}");
    Ok(())
}
