//! `host run`.

mod draw;
mod frames;
mod text;

use crate::artifacts::read;
use crate::commands::{print_json, progress_bar};
use crate::dataset::{Images, Samples};
use crate::engine::{self, On};
use crate::inference::Rows;
use crate::picture;
use crate::recipe::{self, Source, Target};
use crate::scores::{Score, first_max, softmax};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::ffi::OsString;
use std::path::PathBuf;

/// Read the digit in a picture (PNG, JPEG, PGM or PPM, any size), rebuild the picture, judge a text, or draw: on this machine or on a board
#[derive(clap::Args)]
pub struct Arguments {
    /// Model under models/, or a folder with a recipe
    model: String,
    /// float, int8 (the firmware's arithmetic on this machine), qdq, or a board
    #[arg(long, default_value = "int8")]
    on: On,
    /// Pictures; texts, for a model that reads text, which without any reads standard input line by line and answers after
    /// each word
    inputs: Vec<OsString>,
    /// Where the PNG goes: of an autoencoder, a row a picture, on the left as the net saw it, on the right as it was rebuilt
    /// (reconstruction.png without); of a generator, a grid of its drawings (drawings.png)
    #[arg(long, value_name = "PNG")]
    out: Option<PathBuf>,
    /// Of a generator: seed of the drawings, in place of the recipe's
    #[arg(long)]
    seed: Option<u64>,
    /// Of a generator: how many drawings
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Of a generator that draws by classes: draw this one alone, in place of each in turn
    #[arg(long, value_name = "LABEL")]
    class: Option<String>,
    /// Of a model that reads camera frames: writes a PNG with the steps from the first picture to the answer
    #[arg(long, value_name = "PNG")]
    explain: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<A> {
    model: String,
    on: String,
    answers: Vec<A>,
}

/// What a classifier says of a picture.
#[derive(Debug, Serialize)]
struct Class {
    input: PathBuf,
    class: usize,
    label: String,
    probability: f64,
    logits: Vec<f64>,
}

/// What an autoencoder says of a picture.
#[derive(Debug, Serialize)]
struct Reconstruction {
    input: PathBuf,
    /// Mean squared error of the reconstruction: large for what is unlike the training data.
    mse: f64,
    output: Vec<f64>,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let found = recipe::find(&arguments.model)?;
    let source = found.recipe.data.source;
    let draws = found.recipe.data.target == Target::Sample;
    ensure!(draws || arguments.class.is_none(), "{} draws nothing: --class is not for it", arguments.model);
    let Some([height, width, _]) = source.image() else {
        let container = read(&found.artifacts().container())?;
        let mut model = text::Model::new(found.recipe.name, arguments.on, container, source.classes())?;
        let texts: Vec<_> = arguments.inputs.iter().map(|text| text.to_string_lossy().into_owned()).collect();
        return if texts.is_empty() { model.lines() } else { model.texts(&texts, arguments.json) };
    };
    if draws {
        return draw::run(&arguments, &found, width);
    }
    ensure!(!arguments.inputs.is_empty(), "no picture is given: `host run {} PICTURE…`", arguments.model);
    let paths: Vec<PathBuf> = arguments.inputs.iter().map(PathBuf::from).collect();
    if source == Source::Camera {
        return frames::run(&arguments, &found, &paths);
    }
    ensure!(arguments.explain.is_none(), "{} reads no camera frames: --explain is not for it", arguments.model);
    let mut images = Images { height, width, channels: 1, pixels: Vec::new(), labels: Vec::new() };
    for path in &paths {
        images.pixels.extend(picture::load_digit(path, height, width)?);
        images.labels.push(0);
    }
    let progress = progress_bar(images.len() as u64, "pictures");
    let samples = Samples::Images(images.clone());
    let rows = engine::outputs(arguments.on, &found.artifacts(), &samples, None, &progress)?;
    progress.finish_and_clear();
    let (model, on) = (found.recipe.name, arguments.on.to_string());
    match found.recipe.data.target {
        Target::Class => {
            let answers = classes(&paths, rows, &source.classes())?;
            if arguments.json {
                return print_json(&Report { model, on, answers });
            }
            for (answer, pixels) in answers.iter().zip(images.pixels.chunks(images.size())) {
                println!("{}: {} ({:.1} %)", answer.input.display(), answer.label, 100.0 * answer.probability);
                println!("as the net saw it:\n{}", picture::as_text(pixels, width));
            }
        }
        Target::Input => {
            let answers = reconstructions(&paths, rows, &samples);
            let pairs: Vec<_> = answers
                .iter()
                .zip(images.pixels.chunks(images.size()))
                .map(|(answer, pixels)| [pixels.to_vec(), picture::from_unit(&answer.output)])
                .collect();
            let out = arguments.out.unwrap_or_else(|| "reconstruction.png".into());
            picture::save_grid(&out, &pairs, height, width)?;
            if arguments.json {
                return print_json(&Report { model, on, answers });
            }
            for (answer, [seen, rebuilt]) in answers.iter().zip(&pairs) {
                let caption = format!("mean squared error {:.5}", answer.mse);
                let captions = vec!["as the net saw it".into(), caption];
                println!("{}", answer.input.display());
                println!("{}", picture::side_by_side(&[seen, rebuilt], width, captions));
            }
            println!("wrote {}", out.display());
        }
        Target::Sample => unreachable!("has drawn above"),
    }
    Ok(())
}

fn classes(inputs: &[PathBuf], rows: Rows, labels: &[String]) -> Result<Vec<Class>> {
    let answer = |(input, logits): (&PathBuf, Vec<f64>)| {
        let class = first_max(&logits);
        let label = labels.get(class).context("the model has more outputs than its data has classes")?.clone();
        Ok(Class { input: input.clone(), class, label, probability: softmax(&logits)[class], logits })
    };
    inputs.iter().zip(rows).map(answer).collect()
}

fn reconstructions(inputs: &[PathBuf], rows: Rows, samples: &Samples) -> Vec<Reconstruction> {
    let answer = |(index, (input, output)): (usize, (&PathBuf, Vec<f64>))| {
        let score = Score::judge(Target::Input, std::slice::from_ref(&output), samples, index);
        Reconstruction { input: input.clone(), mse: score.mse.unwrap_or_default(), output }
    };
    inputs.iter().zip(rows).enumerate().map(answer).collect()
}
