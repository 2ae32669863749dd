//! `host run` for models that read digits in a camera's frames.

use super::{Arguments, Report};
use crate::artifacts::read;
use crate::commands::{print_json, progress_bar};
use crate::engine::{self, Looks};
use crate::frames::{Look, MOST, Picture, Seen};
use crate::recipe::Found;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What is seen in a picture.
#[derive(Debug, Serialize)]
struct Answer {
    input: PathBuf,
    /// The surest digit; nothing if there is none.
    digit: Option<u8>,
    /// From left to right.
    regions: Vec<Region>,
}

#[derive(Debug, Serialize)]
struct Region {
    /// First column and row, then those behind the last, of the frame to which the picture is reduced.
    place: [u16; 4],
    label: String,
    certainty: f64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, found: &Found, paths: &[PathBuf]) -> Result<()> {
    let pictures = paths.iter().map(|path| Picture::load(path, None)).collect::<Result<Vec<_>>>()?;
    let container = read(&found.artifacts().container())?;
    let progress = progress_bar(pictures.len() as u64, "pictures");
    let Looks { looks, .. } = engine::looks(arguments.on, &container, &pictures, MOST, &progress)?;
    progress.finish_and_clear();
    if let (Some(path), [picture, ..], [look, ..]) = (&arguments.explain, &pictures[..], &looks[..]) {
        let steps = picture.explain(look)?;
        steps
            .save_with_format(path, image::ImageFormat::Png)
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    let labels = found.recipe.data.source.classes();
    let answers = paths.iter().zip(&looks).map(|(path, look)| answer(path, look, &labels));
    let answers = answers.collect::<Result<Vec<_>>>()?;
    if arguments.json {
        return print_json(&Report { model: found.recipe.name.clone(), on: arguments.on.to_string(), answers });
    }
    for Answer { input, digit, regions } in answers {
        let digit = digit.map_or("no digit".into(), |digit| digit.to_string());
        let each = regions.iter().map(|Region { place: [left, top, right, bottom], label, certainty }| {
            format!("{label} ({:.1} %) at {left}, {top} to {right}, {bottom}", 100.0 * certainty)
        });
        println!("{}: {digit}", input.display());
        each.for_each(|region| println!("  {region}"));
    }
    Ok(())
}

fn answer(path: &Path, look: &Look, labels: &[String]) -> Result<Answer> {
    let region = |seen: &Seen| {
        let label =
            labels.get(usize::from(seen.class)).context("the model has more outputs than its data has classes")?;
        Ok(Region { place: seen.place, label: label.clone(), certainty: f64::from(seen.certainty) / 65_536.0 })
    };
    let regions = look.seen.iter().map(region).collect::<Result<_>>()?;
    Ok(Answer { input: path.to_path_buf(), digit: look.best().and_then(Seen::digit), regions })
}
