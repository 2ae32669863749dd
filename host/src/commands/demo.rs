//! `host demo`.

use crate::artifacts::{Artifacts, run_dir};
use crate::dataset::{self, Images};
use crate::device::{Board, Session, board};
use crate::export::{self, Prefer, pack_for};
use crate::quantize::Method;
use crate::runtime::Device;
use crate::scores::first_max;
use crate::train;
use crate::twin::{self, integers};
use crate::{commands, picture, recipe};
use anyhow::{Context, Result, ensure};
use firmware::model::Element;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Test digits that the board reads.
const READ: usize = 200;
/// Those of them that are shown, in rows of [`PER_ROW`].
const SHOWN: usize = 8;
const PER_ROW: usize = 4;

/// The whole way in one go, without any download of data: draw digits, train on them, export to int8, flash an emulated Cortex-M4, read digits there
#[derive(clap::Args)]
pub struct Arguments {
    /// Where to run the result
    #[arg(long, default_value = "mps2-an386")]
    on: String,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let board = board(&arguments.on)?;
    let started = Instant::now();
    let found = recipe::find("strokes-cnn")?;
    let dir = run_dir(found.root(), &found.recipe.name);
    let dataset = dataset::load(found.recipe.data.source, None)?;
    println!("1. Drew {} digits to learn from and {} to test with.", dataset.train.len(), dataset.test.len());

    let summary = train::run(&train::Options {
        recipe: &found.recipe,
        dataset: &dataset,
        device: Device::Auto,
        init: None,
        resume: false,
        directory: &dir,
        stop: &AtomicBool::new(false),
        show: true,
    })?;
    let onnx = summary.model.context("nothing stops this training, so it has a model")?;
    println!(
        "2. Trained {} for {} epochs on {}: {:.0} s.",
        found.recipe.name,
        summary.epochs.len(),
        summary.provider,
        started.elapsed().as_secs_f64()
    );

    let options = export::Options {
        name: found.recipe.name.clone(),
        labels: dataset.classes.clone(),
        ranges: Method::MinMax,
        equalize: false,
        correct_bias: false,
        prefer: Prefer::default(),
        flash_budget: None,
        calibration: commands::export::CALIBRATION.min(dataset.train.len()),
        command: "host demo".into(),
    };
    let float = std::fs::read(&onnx).with_context(|| format!("cannot read {}", onnx.display()))?;
    let exported = export::export(&float, dataset.train.images()?, &options)?;
    let artifacts = Artifacts::new(&dir, &found.recipe.name);
    export::write::write(&exported, &artifacts, &[])?;
    println!("3. Exported int8: {} bytes, {}.", exported.container.len(), artifacts.container().display());

    read_on_board(board, &exported.container, &dataset.test.images()?.first(READ), &dataset.classes)?;
    println!("Done in {:.0} s. Next: `cargo host train` on MNIST; see README.md.", started.elapsed().as_secs_f64());
    Ok(())
}

fn read_on_board(board: &'static Board, container: &[u8], test: &Images, classes: &[String]) -> Result<()> {
    let packed = pack_for(container, board.core.packing())?;
    let mut session = Session::open(board, &packed)?;
    println!("4. Flashed {} ({}) through probe-rs; it answers.\n", board.name, board.core.name());

    let expected = twin::evaluate(container, test)?;
    let mut answers = Vec::with_capacity(test.len());
    let mut ticks = 0;
    for (index, expected) in expected.iter().enumerate() {
        let answer = session.infer(&test.int8(index))?;
        let logits = integers(&answer.output, Element::I32);
        ensure!(logits == *expected, "{} differs from the twin at digit {index}", board.name);
        answers.push(first_max(&logits));
        ticks = answer.ticks;
    }
    let size = test.height * test.width;
    let pictures: Vec<&[u8]> = test.pixels.chunks(size).take(SHOWN).collect();
    for (row, pictures) in pictures.chunks(PER_ROW).enumerate() {
        let captions = (0..pictures.len()).map(|i| format!("reads {}", classes[answers[row * PER_ROW + i]])).collect();
        println!("{}", picture::side_by_side(pictures, test.width, captions));
    }
    let right = answers.iter().zip(&test.labels).filter(|(answer, label)| **answer == usize::from(**label)).count();
    let hello = session.hello()?;
    println!("{right} of {} test digits right on {}, every logit equal to the host's.", test.len(), board.name);
    if let Some(instructions) = session.instructions(ticks) {
        println!(
            "{instructions} instructions a digit; {} bytes of arena and {} of scratch.",
            hello.arena_bytes, hello.scratch_bytes
        );
    }
    Ok(())
}
