//! `host export FILE.onnx`: models that were trained elsewhere.

use super::export::Arguments;
use crate::artifacts::Artifacts;
use crate::commands::print_json;
use crate::device::{Board, boards};
use crate::export::budget::Budget;
use crate::export::inputs::Inputs;
use crate::export::{self, Exported, Options, external, integer, pack_for, write};
use anyhow::{Context, Result, ensure};
use firmware::model::Model;
use prost::Message;
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use tract_onnx::pb::ModelProto;

/// Inputs of noise that stand for real ones where only costs are asked for.
const NOISE: usize = 4;

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let file = Path::new(&arguments.model);
    let name = name(file)?;
    let onnx = read(file)?;
    let exported = quantize(arguments, &name, &onnx).with_context(|| file.display().to_string())?;
    if arguments.json {
        print_json(&exported.budget)?;
    } else {
        println!("{name} from {}\n\n{}", file.display(), exported.budget.table());
        println!("{}", fits(&exported)?);
    }
    if arguments.dry_run {
        return Ok(());
    }
    let dir = arguments.out.clone().unwrap_or_else(|| PathBuf::from("models").join(&name));
    let named = dir.file_name().and_then(|folder| folder.to_str()).unwrap_or(&name);
    for path in write::write(&exported, &Artifacts::new(&dir, named), &[])? {
        if !arguments.json {
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// The model's name: that of the folder that it is written to, or of its file.
fn name(file: &Path) -> Result<String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    ensure!(!stem.is_empty(), "{} has no name that a model could take; rename it", file.display());
    Ok(stem.to_owned())
}

/// The file with the weights that lie beside it, in real numbers.
fn read(file: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut model = ModelProto::decode(&*bytes)
        .with_context(|| format!("{} is no ONNX model, or a broken one; export it again", file.display()))?;
    external::load(&mut model, file.parent().unwrap_or(Path::new("."))).with_context(|| file.display().to_string())?;
    integer::expand(&mut model);
    Ok(model.encode_to_vec())
}

fn quantize(arguments: &Arguments, name: &str, onnx: &[u8]) -> Result<Exported> {
    let network = export::read(onnx, name)?;
    let inputs = match &arguments.calibrate {
        Some(path) => Inputs::read(path, &network)?,
        None => {
            ensure!(arguments.dry_run, "ranges have to be taken from something: name inputs with --calibrate");
            Inputs::noise(&network, NOISE)
        }
    };
    let outputs = network.tensors[network.output].shape.elements();
    let labels = arguments.labels.as_deref().map_or(Ok(Vec::new()), |path| labels(path, outputs))?;
    let source = arguments.calibrate.as_ref().map_or("noise".into(), |path| path.display().to_string());
    let named = arguments.labels.as_ref().map_or(String::new(), |path| format!(" --labels {}", path.display()));
    let options = Options {
        name: name.into(),
        labels,
        ranges: arguments.ranges,
        calibration: inputs.len().min(arguments.calibration),
        prefer: arguments.prefer,
        flash_budget: arguments.flash_budget,
        command: format!("host export {} --calibrate {source} --ranges {}{named}", arguments.model, arguments.ranges),
    };
    export::export_on(onnx, &inputs, &options)
}

/// The names in the file `path`, one for each of the model's `outputs`.
fn labels(path: &Path, outputs: usize) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let labels: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    ensure!(
        labels.len() == outputs && labels.iter().all(|label| !label.is_empty()),
        "{} names {} classes, the model has {outputs} outputs: write one name a line",
        path.display(),
        labels.len()
    );
    Ok(labels)
}

/// Which boards the model fits; of the others, what is too much and what the most of it is.
fn fits(exported: &Exported) -> Result<String> {
    let mut text = String::new();
    for board in boards() {
        let broken = too_much(board, &exported.container)?;
        let verdict = if broken.is_empty() { "fits".into() } else { broken.join(", ") };
        text += &format!("{:<18} {verdict}\n", board.name);
    }
    if text.lines().any(|line| !line.ends_with(" fits")) {
        text += &largest(&exported.budget);
    }
    Ok(text)
}

/// What of the board's memory the model would need more of.
fn too_much(board: &Board, container: &[u8]) -> Result<Vec<String>> {
    let packed = pack_for(container, board.core.packing())?;
    // Aligned for the parser.
    let twin = crate::twin::Twin::new(&packed)?;
    let model: &Model<'_> = twin.model();
    let needed = [
        ("flash for models", packed.len(), board.model.len()),
        ("RAM", model.arena_bytes() + model.scratch_bytes(), board.ram.len()),
    ];
    let broken = needed.into_iter().filter(|(_, bytes, there)| bytes > there);
    Ok(broken
        .map(|(what, bytes, there)| format!("needs {bytes} bytes of {what}, {} too many", bytes - there))
        .collect())
}

fn largest(budget: &Budget) -> String {
    let mut layers: Vec<_> = budget.layers.iter().collect();
    layers.sort_by_key(|layer| Reverse(layer.weights_bytes));
    let of_weights = layers.iter().take(3).map(|layer| format!("{} ({} bytes)", layer.name, layer.weights_bytes));
    let of_weights = of_weights.collect::<Vec<_>>().join(", ");
    layers.sort_by_key(|layer| Reverse(layer.output.iter().product::<usize>()));
    let of_output =
        layers.iter().take(3).map(|layer| format!("{} ({} bytes)", layer.name, layer.output.iter().product::<usize>()));
    let of_output = of_output.collect::<Vec<_>>().join(", ");
    format!("most weights: {of_weights}\nlargest outputs: {of_output}\n")
}
