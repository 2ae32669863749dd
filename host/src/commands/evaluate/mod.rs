//! `host evaluate`.

mod drawings;
mod frames;

use crate::commands::{print_json, progress_bar};
use crate::dataset::{self, Dataset, Samples, Texts};
use crate::engine::{self, On};
use crate::inference::Rows;
use crate::recipe::{self, Source, Target};
use crate::scores::{Score, class};
use anyhow::{Result, ensure};
use frames::Frames;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Measure a model on its test set, or what it draws by another model: in float, in int8, or on a board
#[derive(clap::Args)]
pub struct Arguments {
    /// Model under models/, or a folder with a recipe
    #[arg(default_value = "mnist-cnn")]
    model: String,
    /// float, int8 (the firmware's arithmetic on this machine), qdq (int8 in ONNX Runtime), or a board
    #[arg(long, default_value = "int8")]
    on: On,
    /// Test set, in place of that of the model's own data
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// In place of the test set, frames of a camera, from the pixels to the digit: `field` (simulated, 5,000 with a digit and 1,000
    /// without), `ideal` (in even light), or a folder of pictures that labels.csv lists (file,label[,x,y,w,h]) or whose names
    /// begin with the label, a digit or `none`
    #[arg(long, value_name = "SET")]
    frames: Option<Frames>,
    /// Show each frame N times, as a camera at rest does, to the reader of a board's program, which takes one look at each; the
    /// answer is the last one
    #[arg(long, value_name = "N", requires = "frames")]
    repeat: Option<NonZeroUsize>,
    /// Folder with the data set's files
    #[arg(long)]
    data: Option<PathBuf>,
    /// Use only the first N test samples; of a generator, as many drawings (10,000 without)
    #[arg(long)]
    limit: Option<usize>,
    /// Of a generator: seed of what it draws, in place of the recipe's
    #[arg(long)]
    seed: Option<u64>,
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
    #[serde(flatten, serialize_with = "measured")]
    score: Score,
    /// With `--on qdq`: samples to which ONNX Runtime gives the same class as the firmware's arithmetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_class_as_int8: Option<usize>,
    /// Of texts: how the model does on those that stand word for word in the training set too.
    #[serde(skip_serializing_if = "Option::is_none")]
    also_in_training: Option<Seen>,
}

#[derive(Debug, Serialize)]
struct Seen {
    n: usize,
    correct: usize,
}

/// What fits the task, without the rest. (Not left to [`Score`] itself, which checkpoints store in a form that has to know
/// where each field is.)
fn measured<S: Serializer>(score: &Score, serializer: S) -> Result<S::Ok, S::Error> {
    let Score { n, correct, accuracy, mse, loss } = *score;
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("n", &n)?;
    if let Some(correct) = correct {
        map.serialize_entry("correct", &correct)?;
    }
    for (name, value) in [("accuracy", accuracy), ("mse", mse)] {
        if let Some(value) = value {
            map.serialize_entry(name, &value)?;
        }
    }
    map.serialize_entry("loss", &loss)?;
    map.end()
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let found = recipe::find(&arguments.model)?;
    if let Some(frames) = &arguments.frames {
        return frames::run(&arguments, frames, found);
    }
    if found.recipe.data.target == Target::Sample {
        return drawings::run(&arguments, &found);
    }
    let data = dataset(&arguments, found.recipe.data.source)?;
    let test = data.test.first(arguments.limit.unwrap_or(usize::MAX));
    let progress = progress_bar(test.len() as u64, "samples");
    let outputs = |on| engine::outputs(on, &found.artifacts(), &test, found.recipe.text.as_ref(), &progress);
    let rows = outputs(arguments.on)?;
    let target = found.recipe.data.target;
    let int8 = match (arguments.on, target) {
        (On::Qdq, Target::Class) => Some(outputs(On::Int8)?),
        _ => None,
    };
    progress.finish_and_clear();

    let same = |int8: Rows| int8.iter().zip(&rows).filter(|(a, b)| class(a) == class(b)).count();
    let report = Report {
        model: found.recipe.name.clone(),
        on: arguments.on.to_string(),
        split: "test",
        score: Score::judge(target, &rows, &test, 0),
        same_class_as_int8: int8.map(same),
        also_in_training: test.texts().ok().map(|texts| seen(texts, &data.train, &rows)),
    };
    if arguments.json { print_json(&report) } else { print(&report, arguments.on) }
}

/// The answers to the texts that stand in the training set too.
fn seen(test: &Texts, train: &Samples, rows: &Rows) -> Seen {
    let known: HashSet<&String> = train.texts().map_or_else(|_| HashSet::new(), |train| train.texts.iter().collect());
    let mut seen = Seen { n: 0, correct: 0 };
    let answered = test.texts.iter().zip(&test.labels).zip(rows);
    for ((_, label), row) in answered.filter(|((text, _), _)| known.contains(text)) {
        seen.n += 1;
        seen.correct += usize::from(class(row) == usize::from(*label));
    }
    seen
}

/// The data to measure on.
fn dataset(arguments: &Arguments, own: Source) -> Result<Dataset> {
    let source = arguments.source.unwrap_or(own);
    let alike = source.image() == own.image() && source.classes() == own.classes();
    ensure!(alike, "{} does not fit {}, which learns from {}", source.name(), arguments.model, own.name());
    dataset::load(source, arguments.data.as_deref())
}

fn print(report: &Report, on: On) -> Result<()> {
    let Report { model, on: place, score, .. } = report;
    println!("{model} on {place}, {} test samples: {score}", score.n);
    if matches!(on, On::Board(_)) {
        println!("every output equals the twin's, bit for bit");
    }
    if let Some(Seen { n, correct }) = report.also_in_training.as_ref().filter(|seen| seen.n > 0) {
        println!("{n} of them stand in the training set too; of these, {correct} are right");
    }
    if let Some(same) = report.same_class_as_int8 {
        println!("{same} of {} classes are those of the firmware's arithmetic", score.n);
    }
    Ok(())
}
