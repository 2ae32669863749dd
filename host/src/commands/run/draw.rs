//! `host run` of a generator: draws.

use super::{Arguments, Report};
use crate::commands::{print_json, progress_bar};
use crate::drawings::draw;
use crate::recipe::Found;
use crate::train::gan::{self, Latents, Prior};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::path::PathBuf;

/// A grid of drawings.
#[derive(Debug, Serialize)]
struct Drawings {
    seed: u64,
    count: usize,
    /// The one class that was drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    output: PathBuf,
}

/// Runs the command for a generator of pictures that are `width` pixels wide.
pub fn run(arguments: &Arguments, found: &Found, width: usize) -> Result<()> {
    ensure!(arguments.inputs.is_empty(), "{} draws and reads no pictures: `host run {0} --seed N`", arguments.model);
    ensure!(arguments.count > 0, "--count is 0: there is nothing to draw");
    let seed = arguments.seed.unwrap_or(found.recipe.training.seed);
    let prior = found.recipe.prior()?;
    let class = arguments.class.as_deref().map(|label| class(found, prior, label)).transpose()?;
    let latents = Latents::draw(seed, arguments.count, prior, class);
    let progress = progress_bar(arguments.count as u64, "drawings");
    let pictures = draw(arguments.on, found, &latents, &progress)?;
    progress.finish_and_clear();
    let output = arguments.out.clone().unwrap_or_else(|| "drawings.png".into());
    gan::save(&output, &pictures, width)?;
    if arguments.json {
        let answers = vec![Drawings { seed, count: arguments.count, class: arguments.class.clone(), output }];
        return print_json(&Report { model: found.recipe.name.clone(), on: arguments.on.to_string(), answers });
    }
    println!("drew {} pictures on {} (seed {seed})\nwrote {}", arguments.count, arguments.on, output.display());
    Ok(())
}

/// Index of the class `label`.
fn class(found: &Found, prior: Prior, label: &str) -> Result<usize> {
    ensure!(prior.classes > 0, "{} draws whatever comes: leave --class out", found.recipe.name);
    let classes = found.recipe.data.source.classes();
    let index = classes.iter().position(|class| class == label);
    index.with_context(|| format!("--class {label}: {} draws {}", found.recipe.name, classes.join(", ")))
}
