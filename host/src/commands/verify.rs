//! `host verify`.

use crate::artifacts::{Artifacts, read};
use crate::commands::print_json;
use crate::dataset::{self, Images, Samples};
use crate::device::{Board, Session, board};
use crate::export::{self, pack_for};
use crate::recipe;
use crate::twin::Twin;
use crate::verify::text::{self, Cut};
use crate::verify::{self, Difference, Layer, OnnxRuntime, Tract};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::path::PathBuf;

/// Compare the ways of running a model, layer by layer: float (ONNX Runtime, tract), int8 (ONNX Runtime, twin, board)
#[derive(clap::Args)]
pub struct Arguments {
    /// Model under models/, or a folder with a recipe
    #[arg(default_value = "mnist-cnn")]
    model: String,
    /// Also compare the twin with this board, every byte of every layer
    #[arg(long)]
    on: Option<String>,
    /// Test samples to compare on
    #[arg(long, default_value_t = 16)]
    samples: usize,
    /// Folder with the data set's files
    #[arg(long)]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    samples: usize,
    /// The float model's answer in tract, held against ONNX Runtime's.
    tract: Difference,
    /// Each layer of the twin, held against the float model.
    twin: Vec<Layer>,
    /// Each layer of the QDQ model in ONNX Runtime, held against the float model.
    qdq: Vec<Layer>,
    /// Board whose every layer equals the twin's, bit for bit.
    board: Option<String>,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let found = recipe::find(&arguments.model)?;
    let board = arguments.on.as_deref().map(board).transpose()?;
    let samples = dataset::load(found.recipe.data.source, arguments.data.as_deref())?.test.first(arguments.samples);
    let report = match (&samples, &found.recipe.text) {
        (Samples::Texts(texts), Some(text)) => compare_texts(&found.artifacts(), board, &Cut::new(texts, text))?,
        (samples, _) => compare(&found.artifacts(), board, samples.images()?)?,
    };
    if arguments.json {
        return print_json(&report);
    }
    print(&report);
    Ok(())
}

fn compare(artifacts: &Artifacts, board: Option<&'static Board>, images: &Images) -> Result<Report> {
    let float = read(&artifacts.float_onnx())?;
    let network = export::read(&float, &artifacts.name)?;
    let container = read(&artifacts.container())?;
    let mut float_runtime = OnnxRuntime::float(&float, &network)?;
    let mut qdq_runtime = OnnxRuntime::int8(&read(&artifacts.int8_onnx())?, &network)?;
    let mut the_twin = Twin::new(&container)?;
    let mut tract = Tract::new(&float, &network)?;
    let count = images.len();
    let pixels = |index| images.nhwc(index);

    let mut float = |index| float_runtime.run(&pixels(index));
    let twin = verify::compare(&network, count, &mut float, |index| verify::twin(&mut the_twin, &images.int8(index)))?;
    let qdq = verify::compare(&network, count, &mut float, |index| qdq_runtime.run(&pixels(index)))?;
    let second = verify::compare(&network, count, &mut float, |index| tract.run(&pixels(index)))?;
    ensure!(second.len() == 1, "tract gave {} layers to compare instead of the answer alone", second.len());
    if let Some(board) = board {
        equal_on_board(board, &container, images)?;
    }
    Ok(Report {
        model: artifacts.name.clone(),
        samples: count,
        tract: second[0].difference,
        twin,
        qdq,
        board: board.map(|board| board.name.into()),
    })
}

fn compare_texts(artifacts: &Artifacts, board: Option<&'static Board>, cut: &Cut) -> Result<Report> {
    let float = read(&artifacts.float_onnx())?;
    let container = read(&artifacts.container())?;
    let mut twin = Twin::new(&container)?;
    ensure!(!cut.is_empty(), "there is no text to compare on");
    let reference = cut.onnx_runtime(&float)?;
    let against = |other: &[f32]| text::difference(&reference, other);
    let qdq = against(&cut.onnx_runtime(&read(&artifacts.int8_onnx())?)?);
    if let Some(board) = board {
        let mut session = Session::open(board, &pack_for(&container, board.core.packing())?)?;
        cut.board(&mut session, &mut twin)?;
    }
    Ok(Report {
        model: artifacts.name.clone(),
        samples: cut.len(),
        tract: against(&cut.tract(&float)?),
        twin: cut.twin(&mut twin, &export::text::read(&float)?)?,
        qdq: vec![Layer { name: "logit".into(), difference: qdq }],
        board: board.map(|board| board.name.into()),
    })
}

/// Runs op after op on the board and stops at the first byte that is not the twin's.
fn equal_on_board(board: &'static Board, container: &[u8], images: &Images) -> Result<()> {
    let mut session = Session::open(board, &pack_for(container, board.core.packing())?)?;
    let mut twin = Twin::new(container)?;
    for index in 0..images.len() {
        let input = images.int8(index);
        let tensors = twin.trace(&input)?;
        session.write_input(&input)?;
        for op in 0..session.op_count() {
            session.run(op, 1)?;
            let output = twin.model().op(op).map_err(|error| anyhow::anyhow!("{error}"))?.output;
            let expected = &tensors[usize::from(output)];
            let seen = session.read(output, expected.len())?;
            if let Some(byte) = (0..expected.len()).find(|&byte| seen[byte] != expected[byte]) {
                anyhow::bail!(
                    "{} first differs from the twin at sample {index}, op {op}, byte {byte}: {} instead of {}",
                    board.name,
                    seen[byte] as i8,
                    expected[byte] as i8
                );
            }
        }
    }
    Ok(())
}

fn print(report: &Report) {
    println!("{} on {} test samples, against the float model in ONNX Runtime\n", report.model, report.samples);
    println!("{:<24} {:>10} {:>10} {:>9} {:>12}", "layer", "twin dB", "max |Δ|", "cosine", "ORT int8 dB");
    for Layer { name, difference: Difference { sqnr_db, max_abs, cosine, .. } } in &report.twin {
        // ONNX Runtime does not show what an LSTM does within.
        let qdq = report.qdq.iter().find(|layer| layer.name == *name);
        let qdq = qdq.map_or("-".into(), |layer| format!("{:.1}", layer.difference.sqnr_db));
        println!("{name:<24} {sqnr_db:>10.1} {max_abs:>10.4} {cosine:>9.5} {qdq:>12}");
    }
    println!("\nfloat in tract: max |Δ| of the answer {:.1e}", report.tract.max_abs);
    if let Some(board) = &report.board {
        println!("{board}: every layer equals the twin's, bit for bit");
    }
}
