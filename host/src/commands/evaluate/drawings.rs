//! `host evaluate` of a generator: by the eyes of a classifier that reads the same data.

use super::Arguments;
use crate::artifacts::read;
use crate::commands::{print_json, progress_bar};
use crate::dataset::{self, Images};
use crate::drawings::draw;
use crate::engine::On;
use crate::judge::{Judge, Verdict, frechet_distance};
use crate::recipe::{self, Found};
use anyhow::{Context, Result};
use serde::Serialize;

/// Drawings that are judged without `--limit`.
const DRAWINGS: usize = 10_000;

/// Result of an evaluation: the contract of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    on: String,
    judge: String,
    seed: u64,
    /// The drawings.
    #[serde(flatten)]
    verdict: Verdict,
    /// Share of the drawings that the judge takes for the class that was to be drawn; of a generator that draws by classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_asked: Option<f64>,
    /// As many test images.
    real: Verdict,
    /// Fréchet distance between the drawings and the test images, in what the judge's last layer reads.
    frechet: f64,
    /// The same between as many training images and the test images: what sampling alone brings.
    frechet_real: f64,
    /// Mean absolute difference to the float model's pixels, of 255; of int8.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference_to_float: Option<f64>,
}

/// Runs the command for a generator.
pub fn run(arguments: &Arguments, found: &Found) -> Result<()> {
    let recipe = &found.recipe;
    let judge = recipe.adversary.as_ref().and_then(|adversary| adversary.judge.clone());
    let judge = judge.with_context(|| format!("{}: the recipe names no `judge` in [adversary]", recipe.name))?;
    let mut eyes = Judge::new(&read(&recipe::find(&judge)?.artifacts().float_onnx())?)?;
    let data = dataset::load(recipe.data.source, arguments.data.as_deref())?;
    let (train, test) = (data.train.images()?, data.test.images()?);
    let count = arguments.limit.unwrap_or(DRAWINGS).min(test.len()).min(train.len());
    let seed = arguments.seed.unwrap_or(recipe.training.seed);
    let latents = recipe.latents(seed, count)?;

    let progress = progress_bar(count as u64, "drawings");
    let pictures = draw(arguments.on, found, &latents, &progress)?;
    progress.finish_and_clear();
    let difference_to_float = match arguments.on {
        On::Float => None,
        _ => {
            let some = recipe.latents(seed, count.min(COMPARED))?;
            Some(difference(&draw(On::Float, found, &some, &progress)?, &pictures))
        }
    };
    let drawn = Images { pixels: pictures.concat(), labels: vec![0; count], ..test.first(0) };
    let [drawn, real, others] = [&drawn, &test.first(count), &train.first(count)].map(|images| eyes.look(images));
    let (drawn, real, others) = (drawn?, real?, others?);
    let prior = recipe.prior()?;
    let report = Report {
        model: recipe.name.clone(),
        on: arguments.on.to_string(),
        judge,
        seed,
        verdict: drawn.verdict(),
        as_asked: (prior.classes > 0).then(|| drawn.agreement(|sample| prior.turn(sample as u64))),
        real: real.verdict(),
        frechet: frechet_distance(&drawn.features, &real.features),
        frechet_real: frechet_distance(&others.features, &real.features),
        difference_to_float,
    };
    if arguments.json {
        return print_json(&report);
    }
    print(&report, &data.classes);
    Ok(())
}

/// Drawings that are compared with the float model's.
const COMPARED: usize = 500;

/// Mean absolute difference of the first pictures' pixels.
fn difference(float: &[Vec<u8>], other: &[Vec<u8>]) -> f64 {
    let pairs = float.iter().flatten().zip(other.iter().flatten());
    let (sum, count) = pairs.fold((0u64, 0u64), |(sum, count), (a, b)| (sum + u64::from(a.abs_diff(*b)), count + 1));
    sum as f64 / count.max(1) as f64
}

fn print(report: &Report, classes: &[String]) {
    let Report { model, on, judge, seed, verdict, real, .. } = report;
    println!(
        "{model} on {on}, {} drawings (seed {seed}), judged by {judge}; in brackets, as many test images",
        verdict.n
    );
    let percent = |share: f64| 100.0 * share;
    println!("surer than 0.9 of one class: {:.2} % ({:.2} %)", percent(verdict.sure), percent(real.sure));
    if let Some(share) = report.as_asked {
        println!("taken for what was to be drawn: {:.2} %", percent(share));
    }
    for ((class, drawn), real) in classes.iter().zip(&verdict.classes).zip(&real.classes) {
        println!("  {class}: {:.1} % ({:.1} %)", percent(*drawn), percent(*real));
    }
    let (frechet, frechet_real) = (report.frechet, report.frechet_real);
    println!("Fréchet distance to the test images: {frechet:.3} (training images: {frechet_real:.3})");
    if let Some(difference) = report.difference_to_float {
        println!("pixels differ from the float model's by {difference:.2} of 255 in the mean");
    }
}
