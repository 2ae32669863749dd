//! `host verify`.

use crate::artifacts::{self, Artifacts, read};
use crate::commands::print_json;
use crate::dataset::{self, Samples};
use crate::device::{Board, Session, board};
use crate::export::inputs::Inputs;
use crate::export::sequence::{self, Recurrent};
use crate::export::{self, pack_for, qdq};
use crate::quantize::{Affine, Network};
use crate::recipe;
use crate::twin::Twin;
use crate::verify::sequence::{Sequences, difference as sequence_difference};
use crate::verify::text::{self, Cut};
use crate::verify::{self, Difference, Layer, OnnxRuntime, Tract};
use anyhow::{Context, Result, ensure};
use firmware::model::Tensor;
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
    /// Compare the twin with the board alone, and show where they first differ
    #[arg(long, requires = "on")]
    first_difference: bool,
    /// Test samples to compare on
    #[arg(long, default_value_t = 16)]
    samples: usize,
    /// Folder with the data set's files; of a model without a recipe, the inputs, as for `host export --calibrate`
    #[arg(long)]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Samples that tract answers to, which is built without optimisation and takes seconds for a large one.
const SECOND_OPINIONS: usize = 4;

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
    /// Share of the samples whose largest value is the same in the float model's answer and in the twin's; none where the
    /// model answers with one value, or with text.
    top1_agreement: Option<f64>,
    /// Board whose every layer equals the twin's, bit for bit.
    board: Option<String>,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let board = arguments.on.as_deref().map(board).transpose()?;
    if let Some(board) = board.filter(|_| arguments.first_difference) {
        return first_difference(&arguments, board);
    }
    let report = report(&arguments, board)?;
    if arguments.json {
        return print_json(&report);
    }
    print(&report);
    Ok(())
}

/// What a model is compared on.
enum Given {
    Inputs(Inputs),
    Texts(Cut),
    Sequences(Box<Recurrent>, Inputs),
}

fn given(arguments: &Arguments, artifacts: &Artifacts) -> Result<Given> {
    if !artifacts.dir.join("recipe.toml").is_file() {
        let path = arguments.data.as_deref().context("the model has no recipe: name inputs for it with --data")?;
        let float = read(&artifacts.float_onnx())?;
        if export::text::has_lstm(&float)? {
            let recurrent = sequence::read(&float, &artifacts.name)?;
            let inputs = Inputs::read(path, &recurrent.entry)?.first(arguments.samples);
            recurrent.check(&inputs)?;
            return Ok(Given::Sequences(Box::new(recurrent), inputs));
        }
        let network = export::read(&float, &artifacts.name)?;
        return Ok(Given::Inputs(Inputs::read(path, &network)?.first(arguments.samples)));
    }
    let found = recipe::find(&arguments.model)?;
    if found.recipe.adversary.is_some() {
        let latents = found.recipe.latents(found.recipe.training.seed, arguments.samples)?;
        return Ok(Given::Inputs(latents.inputs()));
    }
    let samples = dataset::load(found.recipe.data.source, arguments.data.as_deref())?.test.first(arguments.samples);
    Ok(match (&samples, &found.recipe.text) {
        (Samples::Texts(texts), Some(text)) => Given::Texts(Cut::new(texts, text)),
        (samples, _) => Given::Inputs(Inputs::of_images(samples.images()?)),
    })
}

fn report(arguments: &Arguments, board: Option<&'static Board>) -> Result<Report> {
    let artifacts = artifacts::find(&arguments.model)?;
    match given(arguments, &artifacts)? {
        Given::Inputs(inputs) => compare(&artifacts, board, &inputs),
        Given::Texts(cut) => compare_texts(&artifacts, board, &cut),
        Given::Sequences(recurrent, inputs) => {
            compare_sequences(&artifacts, board, &Sequences { recurrent: &recurrent, inputs: &inputs })
        }
    }
}

/// Where the twin and `board` first differ is an error like any other difference; that they do not is said.
fn first_difference(arguments: &Arguments, board: &'static Board) -> Result<()> {
    let artifacts = artifacts::find(&arguments.model)?;
    let container = read(&artifacts.container())?;
    let samples = match given(arguments, &artifacts)? {
        Given::Inputs(inputs) => {
            let network = export::read(&read(&artifacts.float_onnx())?, &artifacts.name)?;
            let int8 = int8(&Twin::new(&container)?, &inputs);
            verify::board::equal(board, &container, &int8, &names(&network))?;
            inputs.len()
        }
        Given::Texts(cut) => {
            let mut session = Session::open(board, &pack_for(&container, board.core.packing())?)?;
            cut.board(&mut session, &mut Twin::new(&container)?)?;
            cut.len()
        }
        Given::Sequences(recurrent, inputs) => {
            let mut session = Session::open(board, &pack_for(&container, board.core.packing())?)?;
            let sequences = Sequences { recurrent: &recurrent, inputs: &inputs };
            sequences.board(&mut session, &mut Twin::new(&container)?)?;
            inputs.len()
        }
    };
    if arguments.json {
        return print_json(&serde_json::json!({ "board": board.name, "samples": samples, "first_difference": null }));
    }
    println!("{}: every layer equals the twin's, bit for bit, on {samples} samples", board.name);
    Ok(())
}

/// Names of the network's tensors.
fn names<P>(network: &Network<P>) -> Vec<&str> {
    network.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

/// `inputs` as the model reads them.
fn int8(twin: &Twin, inputs: &Inputs) -> Vec<Vec<i8>> {
    let Tensor { scale, zero_point, .. } = twin.model().input();
    (0..inputs.len()).map(|index| inputs.int8(index, Affine { scale, zero_point })).collect()
}

fn compare(artifacts: &Artifacts, board: Option<&'static Board>, inputs: &Inputs) -> Result<Report> {
    let float = read(&artifacts.float_onnx())?;
    let network = export::read(&float, &artifacts.name)?;
    let container = read(&artifacts.container())?;
    let mut float_runtime = OnnxRuntime::float(&float, &network)?;
    let int8_onnx = read(&artifacts.int8_onnx())?;
    let mut qdq_runtime = OnnxRuntime::int8(&int8_onnx, &network)?;
    let divisors = qdq::divisors(&int8_onnx, &network)?;
    let mut the_twin = Twin::new(&container)?;
    let mut tract = Tract::new(&float, &network)?;
    let count = inputs.len();
    let int8 = int8(&the_twin, inputs);

    let mut agreeing = 0;
    let mut float = |index| float_runtime.run(inputs.float(index));
    let twin = verify::compare(&network, count, &mut float, |index| {
        Ok(verify::multiplied(verify::twin(&mut the_twin, &int8[index])?, &divisors))
    })?;
    for (index, int8) in int8.iter().enumerate() {
        let answers = [float(index)?, verify::twin(&mut the_twin, int8)?];
        let [ours, theirs] = answers.map(|layers| layers[network.output].as_deref().and_then(largest));
        agreeing += usize::from(ours == theirs);
    }
    let qdq = verify::compare(&network, count, &mut float, |index| {
        Ok(verify::multiplied(qdq_runtime.run(inputs.float(index))?, &divisors))
    })?;
    let second =
        verify::compare(&network, count.min(SECOND_OPINIONS), &mut float, |index| tract.run(inputs.float(index)))?;
    ensure!(second.len() == 1, "tract gave {} layers to compare instead of the answer alone", second.len());
    if let Some(board) = board {
        verify::board::equal(board, &container, &int8, &names(&network))?;
    }
    let classifies = network.tensors[network.output].shape.elements() > 1 && count > 0;
    Ok(Report {
        model: artifacts.name.clone(),
        samples: count,
        tract: second[0].difference,
        twin,
        qdq,
        top1_agreement: classifies.then(|| agreeing as f64 / count as f64),
        board: board.map(|board| board.name.into()),
    })
}

/// Index of the largest value.
fn largest(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]))
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
        top1_agreement: None,
        board: board.map(|board| board.name.into()),
    })
}

fn compare_sequences(
    artifacts: &Artifacts,
    board: Option<&'static Board>,
    sequences: &Sequences<'_>,
) -> Result<Report> {
    let float = read(&artifacts.float_onnx())?;
    let container = read(&artifacts.container())?;
    let mut twin = Twin::new(&container)?;
    let of_twin = sequences.twin(&mut twin)?;
    let reference = sequences.onnx_runtime(&float)?;
    let int8 = sequences.int8(&read(&artifacts.int8_onnx())?)?;
    if let Some(board) = board {
        let mut session = Session::open(board, &pack_for(&container, board.core.packing())?)?;
        sequences.board(&mut session, &mut twin)?;
    }
    let tail = &sequences.recurrent.tail;
    let agree = |(ours, theirs): &(&Vec<f32>, &Vec<f32>)| largest(ours) == largest(theirs);
    let agreeing = reference.iter().zip(&of_twin.answers).filter(agree).count();
    let (count, name) = (reference.len(), tail.tensors[tail.output].name.clone());
    let classifies = tail.tensors[tail.output].shape.elements() > 1 && count > 0;
    Ok(Report {
        model: artifacts.name.clone(),
        samples: count,
        tract: sequence_difference(&reference, &sequences.tract(&float)?),
        twin: of_twin.layers,
        qdq: vec![Layer { name, difference: sequence_difference(&reference, &int8) }],
        top1_agreement: classifies.then(|| agreeing as f64 / count as f64),
        board: board.map(|board| board.name.into()),
    })
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
    let worst = report.twin.iter().min_by(|a, b| a.difference.sqnr_db.total_cmp(&b.difference.sqnr_db));
    if let Some(Layer { name, difference }) = worst {
        println!("\nworst layer: {name}, {:.1} dB", difference.sqnr_db);
    }
    if let Some(agreement) = report.top1_agreement {
        println!("same largest value as the float model: {:.1} % of the samples", 100.0 * agreement);
    }
    println!("float in tract: max |Δ| of the answer {:.1e}", report.tract.max_abs);
    if let Some(board) = &report.board {
        println!("{board}: every layer equals the twin's, bit for bit");
    }
}
