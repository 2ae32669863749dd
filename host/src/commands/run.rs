//! `host run`.

use crate::commands::{print_json, progress_bar};
use crate::dataset::Images;
use crate::engine::{self, On};
use crate::picture;
use crate::recipe;
use crate::scores::{first_max, softmax};
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::PathBuf;

/// Read the digit in a picture (PNG, JPEG, PGM or PPM, any size), on this machine or on a board
#[derive(clap::Args)]
pub struct Arguments {
    /// Model under models/, or a folder with a recipe
    model: String,
    /// float, int8 (the firmware's arithmetic on this machine), qdq, or a board
    #[arg(long, default_value = "int8")]
    on: On,
    /// Pictures
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    on: String,
    answers: Vec<Answer>,
}

#[derive(Debug, Serialize)]
struct Answer {
    input: PathBuf,
    class: usize,
    label: String,
    probability: f64,
    logits: Vec<f64>,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let found = recipe::find(&arguments.model)?;
    let source = found.recipe.data.source;
    let [height, width] = source.image_size();
    let mut images = Images { height, width, channels: 1, pixels: Vec::new(), labels: Vec::new() };
    for path in &arguments.inputs {
        images.pixels.extend(picture::load_digit(path, height, width)?);
        images.labels.push(0);
    }
    let progress = progress_bar(images.len() as u64, "pictures");
    let logits = engine::logits(arguments.on, &found.artifacts(), &images, &progress)?;
    progress.finish_and_clear();

    let classes = source.classes();
    let answers = arguments.inputs.into_iter().zip(logits).map(|(input, logits)| {
        let class = first_max(&logits);
        let label = classes.get(class).context("the model has more outputs than its data has classes")?.clone();
        Ok(Answer { input, class, label, probability: softmax(&logits)[class], logits })
    });
    let report =
        Report { model: found.recipe.name, on: arguments.on.to_string(), answers: answers.collect::<Result<_>>()? };
    if arguments.json {
        return print_json(&report);
    }
    for (answer, pixels) in report.answers.iter().zip(images.pixels.chunks(height * width)) {
        println!("{}: {} ({:.1} %)", answer.input.display(), answer.label, 100.0 * answer.probability);
        println!("as the net saw it:\n{}", picture::as_text(pixels, width));
    }
    Ok(())
}
