//! `host evaluate --frames`: a camera's frames, from the pixels to the digit.

use super::Arguments;
use crate::artifacts::read;
use crate::commands::{print_json, progress_bar};
use crate::dataset::{self, camera};
use crate::engine::{self, Looks};
use crate::frames::{FRAME, Labelled, MOST, Picture, Seen, folder};
use crate::recipe::{Found, Source};
use anyhow::{Result, ensure};
use rayon::prelude::*;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

/// Simulated frames of digits, and of what is none.
const DIGITS: usize = 5_000;
const DIGIT_FREE: usize = 1_000;

/// What `--frames` names.
#[derive(Clone, Debug)]
pub enum Frames {
    /// Simulated frames of MNIST's test digits under everything that goes wrong, and frames without a digit.
    Field,
    /// The same digits in even light.
    Ideal,
    /// Labelled pictures.
    Folder(PathBuf),
}

impl FromStr for Frames {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "field" => Self::Field,
            "ideal" => Self::Ideal,
            folder => Self::Folder(folder.into()),
        })
    }
}

impl Frames {
    fn name(&self) -> String {
        match self {
            Self::Field => "field".into(),
            Self::Ideal => "ideal".into(),
            Self::Folder(folder) => folder.display().to_string(),
        }
    }
}

/// Result: the contract of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    on: String,
    frames: String,
    /// How often each was shown to a camera's reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<NonZeroUsize>,
    /// Frames with a digit.
    n: usize,
    correct: usize,
    accuracy: f64,
    /// Frames with a digit for which another was given.
    misread: usize,
    /// Frames without a digit.
    digit_free: usize,
    /// Those for which one was given.
    false_reads: usize,
    /// From the pixels to the answer, on an emulated board.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<Instructions>,
}

/// Executed instructions a frame.
#[derive(Debug, Serialize)]
struct Instructions {
    mean: u64,
    most: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, frames: &Frames, found: Found) -> Result<()> {
    let source = found.recipe.data.source;
    let reads_digits = source.image() == Source::Camera.image() && source.classes().len() >= 10;
    ensure!(reads_digits, "{} does not read digits of 28×28 pixels: `--frames` is not for it", arguments.model);
    let (pictures, digits): (Vec<_>, Vec<_>) = load(arguments, frames)?.into_iter().unzip();
    let progress = progress_bar(pictures.len() as u64, "frames");
    let container = read(&found.artifacts().container())?;
    let (answers, instructions): (Vec<_>, _) = match arguments.repeat {
        None => {
            let Looks { looks, instructions } = engine::looks(arguments.on, &container, &pictures, MOST, &progress)?;
            (looks.iter().map(|look| look.best().and_then(Seen::digit)).collect(), instructions)
        }
        Some(times) => {
            let Looks { looks, instructions } =
                engine::watches(arguments.on, &container, &pictures, times.get(), &progress)?;
            (looks.iter().map(|glances| glances.last().and_then(|glance| glance.answer)).collect(), instructions)
        }
    };
    progress.finish_and_clear();
    let report = judge(&answers, &digits, |counts| Report {
        model: found.recipe.name.clone(),
        on: arguments.on.to_string(),
        frames: frames.name(),
        repeat: arguments.repeat,
        instructions: instructions.as_deref().map(|counts| Instructions {
            mean: counts.iter().sum::<u64>() / counts.len().max(1) as u64,
            most: counts.iter().copied().max().unwrap_or(0),
        }),
        ..counts
    });
    if arguments.json {
        return print_json(&report);
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    let Report { model, on, frames, n, correct, misread, digit_free, false_reads, .. } = &report;
    let shown = report.repeat.map_or(String::new(), |times| format!(", each shown {times} times"));
    println!("{model} on {on}, frames {frames}{shown}");
    println!("{n} with a digit: {:.2} % read right, {:.2} % as another", percent(*correct, *n), percent(*misread, *n));
    if *digit_free > 0 {
        println!("{digit_free} without: {:.2} % read as a digit", percent(*false_reads, *digit_free));
    }
    if let Some(Instructions { mean, most }) = report.instructions {
        println!("every step equals the twin's, bit for bit; {mean} instructions a frame, {most} at most");
    }
    Ok(())
}

/// Frames and the digit in each.
fn load(arguments: &Arguments, frames: &Frames) -> Result<Vec<(Picture, Option<u8>)>> {
    let conditions = match frames {
        Frames::Field => camera::Conditions::Field,
        Frames::Ideal => camera::Conditions::Ideal,
        Frames::Folder(path) => {
            let mut labelled = folder(path)?;
            labelled.truncate(arguments.limit.unwrap_or(usize::MAX));
            let load = |Labelled { path, digit, part }: &Labelled| Ok((Picture::load(path, *part)?, *digit));
            return labelled.par_iter().map(load).collect();
        }
    };
    let limit = arguments.limit.unwrap_or(DIGITS);
    let mnist = dataset::load(Source::Mnist, arguments.data.as_deref())?;
    let digits = camera::frames(mnist.test.images()?, limit.min(DIGITS), conditions);
    let digits = digits.into_iter().map(|(shot, label)| (picture(shot), Some(label)));
    let others = match frames {
        Frames::Field => camera::digit_free((limit / 5).min(DIGIT_FREE)),
        _ => Vec::new(),
    };
    Ok(digits.chain(others.into_iter().map(|shot| (picture(shot), None))).collect())
}

fn picture(shot: camera::Shot) -> Picture {
    let [width, height] = FRAME.map(|side| side as usize);
    Picture { width, height, grey: shot.grey }
}

fn judge(answers: &[Option<u8>], digits: &[Option<u8>], report: impl Fn(Report) -> Report) -> Report {
    let pairs: Vec<_> = answers.iter().zip(digits).collect();
    let count = |wanted: fn(&(&Option<u8>, &Option<u8>)) -> bool| pairs.iter().filter(|pair| wanted(pair)).count();
    let n = count(|(_, digit)| digit.is_some());
    let correct = count(|(answer, digit)| digit.is_some() && answer == digit);
    report(Report {
        model: String::new(),
        on: String::new(),
        frames: String::new(),
        repeat: None,
        n,
        correct,
        accuracy: correct as f64 / n.max(1) as f64,
        misread: count(|(answer, digit)| digit.is_some() && answer.is_some() && answer != digit),
        digit_free: count(|(_, digit)| digit.is_none()),
        false_reads: count(|(answer, digit)| digit.is_none() && answer.is_some()),
        instructions: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Look;

    #[test]
    fn answers_are_counted_by_what_is_there() {
        let look = |seen: &[(u16, u32)]| Look {
            seen: seen.iter().map(|&(class, certainty)| Seen { place: [0; 4], class, certainty }).collect(),
            memory: String::new(),
        };
        let looks = [
            look(&[(10, 65_000), (3, 60_000)]),
            look(&[(4, 60_000), (3, 61_000)]),
            look(&[(3, 20_000)]),
            look(&[(10, 60_000)]),
            look(&[(7, 60_000)]),
        ];
        let answers: Vec<_> = looks.iter().map(|look| look.best().and_then(Seen::digit)).collect();
        let report = judge(&answers, &[Some(3), Some(4), Some(3), None, None], |counts| counts);
        let Report { n, correct, misread, digit_free, false_reads, .. } = report;
        assert_eq!([n, correct, misread, digit_free, false_reads], [3, 1, 1, 2, 1]);
    }
}
