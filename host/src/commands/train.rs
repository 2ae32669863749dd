//! `host train`.

use crate::recipe::{self, Recipe};
use crate::runtime::Device;
use crate::train::{self, Options, Summary};
use crate::{artifacts, dataset};
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Train a model through ONNX Runtime
#[derive(clap::Args)]
pub struct Arguments {
    /// Name of a folder under models/, or path of a recipe
    #[arg(default_value = "mnist-cnn")]
    pub model: String,
    /// Folder with the data set's files; without it they are taken from the cache, or downloaded
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to train
    #[arg(long, value_enum, default_value_t)]
    pub device: Device,
    /// Epochs, in place of the recipe's
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Seed, in place of the recipe's
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Float model (.onnx) to start from, in place of the recipe's; for a recipe that says `freeze`, pretrained convolutions
    /// (.safetensors or .onnx, with the names of torchvision, Keras or this tool)
    #[arg(long, value_name = "WEIGHTS")]
    pub init: Option<PathBuf>,
    /// Go on from the run's checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Set by Ctrl-C. A process has one handler for it, so this is its one global.
static STOP: AtomicBool = AtomicBool::new(false);

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let found = recipe::find(&arguments.model)?;
    let mut recipe = found.recipe.clone();
    recipe.training.epochs = arguments.epochs.unwrap_or(recipe.training.epochs);
    recipe.training.seed = arguments.seed.unwrap_or(recipe.training.seed);
    // The recipe's path counts from its folder, the command's from here.
    let init = arguments.init.clone().or_else(|| recipe.training.init.as_ref().map(|path| found.dir.join(path)));
    let dataset = dataset::load(recipe.data.source, arguments.data.as_deref())?;
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")?;
    let started = Instant::now();
    let summary = train::run(&Options {
        recipe: &recipe,
        dataset: &dataset,
        device: arguments.device,
        init: init.as_deref(),
        resume: arguments.resume,
        directory: &artifacts::run_dir(found.root(), &recipe.name),
        stop: &STOP,
        show: std::io::stdout().is_terminal(),
    })?;
    let Some(model) = &summary.model else {
        bail!(
            "stopped at step {}; `host train {} --resume`, with the same options, goes on from {}",
            summary.steps,
            arguments.model,
            summary.checkpoint.display()
        );
    };
    report(&arguments, &recipe, &summary, model, started.elapsed().as_secs_f64())
}

fn report(arguments: &Arguments, recipe: &Recipe, summary: &Summary, model: &Path, seconds: f64) -> Result<()> {
    let last = summary.epochs.last();
    let validation = last.and_then(|epoch| epoch.validation);
    if arguments.json {
        let result = serde_json::json!({
            "model": recipe.name,
            "device": summary.provider.to_string(),
            "seed": recipe.training.seed,
            "epochs": summary.epochs.len(),
            "steps": summary.steps,
            "train": last.map(|epoch| epoch.train),
            "validation": validation,
            "temperature": summary.temperature,
            "seconds": seconds,
            "float": model,
        });
        println!("{result}");
        return Ok(());
    }
    let mut judged = validation.map_or(String::new(), |score| format!("; validation {score} of {}", score.n));
    if let Some(temperature) = summary.temperature {
        judged += &format!("; logits divided by {temperature:.3}, at which probabilities fit it best");
    }
    println!(
        "trained {} for {} epochs (seed {}) on {} in {seconds:.0} s{judged}\nwrote {}",
        recipe.name,
        summary.epochs.len(),
        recipe.training.seed,
        summary.provider,
        model.display()
    );
    Ok(())
}
