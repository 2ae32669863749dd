//! `host export`.

use super::import;
use crate::artifacts::{Artifacts, run_dir};
use crate::commands::print_json;
use crate::dataset::{self, Samples};
use crate::device::Core;
use crate::export::{self, Options, Prefer, pack_for, write};
use crate::quantize::Method;
use crate::recipe::{self, Storage, Target, Text};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};

/// Training images that ranges are taken from unless told otherwise.
pub const CALIBRATION: usize = 1000;

/// Quantize a trained model to int8 and write the artifacts
///
/// Of ONNX, these run on a board: Conv (grouped, depthwise, dilated, one- and two-dimensional), Gemm and MatMul with constant
/// weights, Add, Sub and Mul, Div by constants, Concat, Slice, Split and Gather by constants, Gather of an embedding and LSTM at the start, MaxPool, AveragePool and their global forms, ReduceMean,
/// BatchNormalization, Relu, Clip, Sigmoid, HardSigmoid, HardSwish, x · sigmoid(x), Pad before Conv, Flatten, Reshape,
/// Transpose, Squeeze, Unsqueeze, Identity, Dropout, Cast to float, Softmax and ArgMax at the end; quantized models in QDQ form and with QLinear operators
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder under models/ that holds the recipe, or an ONNX file of a model that was trained elsewhere
    #[arg(default_value = "mnist-cnn")]
    pub model: String,
    /// Of an ONNX file: a folder of pictures, or a .npy or .npz file of inputs, to take ranges from
    #[arg(long, value_name = "PATH")]
    pub calibrate: Option<PathBuf>,
    /// Of an ONNX file: names of the classes, a text file with one a line in the order of the outputs
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Of an ONNX file: where to write; models/<name of the file> unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Of an ONNX file: write nothing; say whether it runs, what it costs and which boards it fits
    #[arg(long)]
    pub dry_run: bool,
    /// Folder with the data set's files; without it they are taken from the cache, or downloaded
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How the range of an activation is chosen
    #[arg(long, value_enum, default_value_t = Method::MinMax)]
    pub ranges: Method,
    /// Bring the channels between two layers to one size before ranges are taken (cross-layer equalisation)
    #[arg(long)]
    pub equalize: bool,
    /// Take what rounding adds to each output on average off its bias
    #[arg(long)]
    pub correct_bias: bool,
    /// Training images to calibrate on
    #[arg(long, value_name = "N", default_value_t = CALIBRATION)]
    pub calibration: usize,
    /// How a model of text stores its words, in place of what the recipe says: int8, four-bit, or codes-N for N bytes a word
    #[arg(long)]
    pub storage: Option<Storage>,
    /// What counts most on a core that has kernels of more than one form
    #[arg(long, value_enum, default_value_t = Prefer::Flash)]
    pub prefer: Prefer,
    /// With --prefer speed: bytes that the model may take, packed for a core with DSP
    #[arg(long, value_name = "BYTES")]
    pub flash_budget: Option<usize>,
    /// Also write <model>.<core>.thm, packed for this core; may be repeated
    #[arg(long, value_enum)]
    pub core: Vec<Core>,
    /// Print the budget as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    /// The flags beside `--ranges` that decide about quantization, as they were given.
    pub fn corrections(&self) -> String {
        let flags = [(self.equalize, " --equalize"), (self.correct_bias, " --correct-bias")];
        flags.into_iter().filter_map(|(is_given, flag)| is_given.then_some(flag)).collect()
    }

    /// Refuses them for a model with an LSTM.
    pub fn check_without_corrections(&self) -> Result<()> {
        let flags = self.corrections();
        ensure!(flags.is_empty(), "{} is for models without an LSTM; leave it out", flags.trim());
        Ok(())
    }
}

/// Seed of what a generator is calibrated on: other drawings than anybody asks for first.
const CALIBRATION_SEED: u64 = u64::MAX;

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    if arguments.model.ends_with(".onnx") {
        return import::run(&arguments);
    }
    let found = recipe::find(&arguments.model)?;
    let name = &found.recipe.name;
    let artifacts = found.artifacts();
    let source = float_model(&artifacts, found.root())?;
    let onnx = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let dataset = dataset::load(found.recipe.data.source, arguments.data.as_deref())?;
    let samples = without_validation(&dataset.train, found.recipe.data.validation)?;
    let text = found
        .recipe
        .text
        .as_ref()
        .map(|text| Text { storage: arguments.storage.unwrap_or(text.storage), ..text.clone() });
    let mut chosen = match arguments.prefer {
        Prefer::Flash => String::new(),
        prefer => format!(" --prefer {prefer}"),
    };
    if let Some(bytes) = arguments.flash_budget {
        chosen += &format!(" --flash-budget {bytes}");
    }
    let storage = text.as_ref().map_or(String::new(), |text| format!(" --storage {}", text.storage));
    // One probability has no label of its own.
    let classifies = found.recipe.data.target == Target::Class && text.is_none();
    let options = Options {
        name: name.clone(),
        labels: if classifies { dataset.classes.clone() } else { Vec::new() },
        ranges: arguments.ranges,
        equalize: arguments.equalize,
        correct_bias: arguments.correct_bias,
        calibration: arguments.calibration,
        prefer: arguments.prefer,
        flash_budget: arguments.flash_budget,
        command: format!(
            "host export {name} --ranges {}{} --calibration {}{storage}{chosen}",
            arguments.ranges,
            arguments.corrections(),
            arguments.calibration
        ),
    };
    let exported = match (&samples, &text) {
        _ if found.recipe.adversary.is_some() => {
            let latents = found.recipe.latents(CALIBRATION_SEED, arguments.calibration)?;
            export::export_on(&onnx, &latents.inputs(), &options)
        }
        (Samples::Texts(texts), Some(text)) => {
            arguments.check_without_corrections()?;
            export::text::export(&onnx, texts, &dataset.words, text, &options)
        }
        (samples, _) => export::export(&onnx, samples.images()?, &options),
    };
    let exported = exported.with_context(|| source.display().to_string())?;
    let packed = arguments.core.iter().map(|core| {
        let container = pack_for(&exported.container, core.packing())?;
        // Its name on the command line; no core is hidden there.
        let core = core.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        Ok((format!("{name}.{core}.thm"), container))
    });
    let paths = write::write(&exported, &artifacts, &packed.collect::<Result<Vec<_>>>()?)?;
    if arguments.json {
        return print_json(&exported.budget);
    }
    println!("exported {name} from {}\n\n{}", source.display(), exported.budget.table());
    paths.iter().for_each(|path| println!("wrote {}", path.display()));
    Ok(())
}

/// What training wrote last, under `root`; without a run, the model that lies beside the recipe.
fn float_model(artifacts: &Artifacts, root: &Path) -> Result<PathBuf> {
    let name = &artifacts.name;
    let trained = Artifacts::new(run_dir(root, name), name).float_onnx();
    let found = [&trained, &artifacts.float_onnx()].into_iter().find(|path| path.exists()).cloned();
    found.with_context(|| format!("no {}: run `host train {name}` first", trained.display()))
}

/// The samples that training learns from: `validation` at the end are held back.
fn without_validation(samples: &Samples, validation: usize) -> Result<Samples> {
    let Some(count) = samples.len().checked_sub(validation) else {
        bail!("the recipe holds back {validation} samples, but the data set has {}", samples.len());
    };
    Ok(samples.first(count))
}
