//! `host evaluate`.

use crate::commands::{print_json, progress_bar};
use crate::dataset;
use crate::engine::{self, On};
use crate::recipe;
use crate::scores::{cross_entropy, first_max};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// Measure a model's accuracy on its test set: in float, in int8, or on a board
#[derive(clap::Args)]
pub struct Arguments {
    /// Model under models/, or a folder with a recipe
    #[arg(default_value = "mnist-cnn")]
    model: String,
    /// float, int8 (the firmware's arithmetic on this machine), qdq (int8 in ONNX Runtime), or a board
    #[arg(long, default_value = "int8")]
    on: On,
    /// Folder with the data set's files
    #[arg(long)]
    data: Option<PathBuf>,
    /// Use only the first N test samples
    #[arg(long)]
    limit: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Result of an evaluation: the contract of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    on: String,
    split: &'static str,
    n: usize,
    correct: usize,
    accuracy: f64,
    /// Mean cross-entropy, nats.
    loss: f64,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let found = recipe::find(&arguments.model)?;
    let test = dataset::load(found.recipe.data.source, arguments.data.as_deref())?
        .test
        .first(arguments.limit.unwrap_or(usize::MAX));
    let progress = progress_bar(test.len() as u64, "images");
    let logits = engine::logits(arguments.on, &found.artifacts(), &test, &progress)?;
    progress.finish_and_clear();

    let labelled = || logits.iter().zip(&test.labels).map(|(row, &label)| (row, usize::from(label)));
    let correct = labelled().filter(|(row, label)| first_max(row) == *label).count();
    let loss: f64 = labelled().map(|(row, label)| cross_entropy(row, label)).sum();
    let n = test.len();
    let report = Report {
        model: found.recipe.name,
        on: arguments.on.to_string(),
        split: "test",
        n,
        correct,
        accuracy: correct as f64 / n.max(1) as f64,
        loss: loss / n.max(1) as f64,
    };
    if arguments.json {
        return print_json(&report);
    }
    println!(
        "{} on {}: {} of {} test images right, {:.2} %, loss {:.4}",
        report.model,
        report.on,
        report.correct,
        report.n,
        100.0 * report.accuracy,
        report.loss
    );
    if matches!(arguments.on, On::Board(_)) {
        println!("every logit equals the twin's, bit for bit");
    }
    Ok(())
}
