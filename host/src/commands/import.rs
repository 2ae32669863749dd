//! `host export FILE.onnx`: models that were trained elsewhere.

use super::export::Arguments;
use crate::artifacts::Artifacts;
use crate::commands::print_json;
use crate::device::{Board, boards};
use crate::export::budget::Budget;
use crate::export::inputs::Inputs;
use crate::export::{self, Exported, Options, external, integer, pack_for, sequence, write};
use crate::quantize::{Float, Network};
use anyhow::{Context, Result, ensure};
use firmware::model::{Model, Parameters};
use prost::Message;
use std::cmp::Reverse;
use std::collections::BTreeSet;
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
    if export::text::has_lstm(onnx)? {
        arguments.check_without_corrections()?;
        let recurrent = sequence::read(onnx, name)?;
        let inputs = inputs(arguments, &recurrent.entry, || recurrent.noise(NOISE))?;
        let options = options(arguments, name, &inputs, &recurrent.tail)?;
        return sequence::export(onnx, &recurrent, &inputs, arguments.storage.unwrap_or_default(), &options);
    }
    let network = export::read(onnx, name)?;
    let inputs = inputs(arguments, &network, || Inputs::noise(&network, NOISE))?;
    export::export_on(onnx, &inputs, &options(arguments, name, &inputs, &network)?)
}

/// What ranges are taken from: inputs for `network`, or noise where only costs are asked for.
fn inputs(arguments: &Arguments, network: &Network<Float>, noise: impl FnOnce() -> Inputs) -> Result<Inputs> {
    match &arguments.calibrate {
        Some(path) => Inputs::read(path, network),
        None => {
            ensure!(arguments.dry_run, "ranges have to be taken from something: name inputs with --calibrate");
            Ok(noise())
        }
    }
}

fn options(arguments: &Arguments, name: &str, inputs: &Inputs, network: &Network<Float>) -> Result<Options> {
    let outputs = network.tensors[network.output].shape.elements();
    let labels = arguments.labels.as_deref().map_or(Ok(Vec::new()), |path| labels(path, outputs))?;
    let source = arguments.calibrate.as_ref().map_or("noise".into(), |path| path.display().to_string());
    let named = arguments.labels.as_ref().map_or(String::new(), |path| format!(" --labels {}", path.display()));
    let storage = arguments.storage.map_or(String::new(), |storage| format!(" --storage {storage}"));
    Ok(Options {
        name: name.into(),
        labels,
        ranges: arguments.ranges,
        equalize: arguments.equalize,
        correct_bias: arguments.correct_bias,
        calibration: inputs.len().min(arguments.calibration),
        prefer: arguments.prefer,
        flash_budget: arguments.flash_budget,
        command: format!(
            "host export {} --calibrate {source} --ranges {}{}{storage}{named}",
            arguments.model,
            arguments.ranges,
            arguments.corrections()
        ),
    })
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

/// What the model would need more of than the board's firmware has: room in flash, the memory set aside for it, operators.
fn too_much(board: &Board, container: &[u8]) -> Result<Vec<String>> {
    let packed = pack_for(container, board.core.packing())?;
    // Aligned for the parser.
    let twin = crate::twin::Twin::new(&packed)?;
    let model: &Model<'_> = twin.model();
    let needed = [
        ("flash for models", packed.len(), board.model.len()),
        ("arena", model.arena_bytes(), board.memory.arena_bytes),
        ("scratch", model.scratch_bytes(), board.memory.scratch_bytes),
    ];
    let broken = needed.into_iter().filter(|(_, bytes, there)| bytes > there);
    let mut broken: Vec<String> = broken
        .map(|(what, bytes, there)| {
            format!("needs {bytes} bytes of {what}, {} more than its firmware has", bytes - there)
        })
        .collect();
    let ops = (0..model.op_count()).filter_map(|index| model.op(index).ok());
    let missing: BTreeSet<&str> = ops.filter_map(|op| image_op(&op.parameters)).collect();
    if !board.has_image_ops && !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().collect();
        broken.push(format!("its firmware is built without {}", missing.join(", ")));
    }
    Ok(broken)
}

/// The feature of the firmware that an operator of larger image nets is.
fn image_op(parameters: &Parameters<'_>) -> Option<&'static str> {
    match parameters {
        Parameters::DepthwiseConv2d(_) => Some("depthwise-conv2d"),
        Parameters::ConvTranspose2d(_) => Some("conv-transpose2d"),
        Parameters::Add(_) => Some("add"),
        Parameters::Multiply(_) => Some("multiply"),
        Parameters::Concat(_) => Some("concat"),
        Parameters::Slice(_) => Some("slice"),
        Parameters::AveragePool2d(_) => Some("average-pool2d"),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sketch::Sketch;
    use clap::Parser;
    use tract_onnx::pb::tensor_shape_proto::dimension::Value;
    use tract_onnx::pb::{StringStringEntryProto, TensorProto, type_proto};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// What `host export net.onnx --dry-run` says of `model`, its folder left out.
    fn answer(model: &ModelProto) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("net.onnx");
        std::fs::write(&file, model.encode_to_vec()).unwrap();
        let line = Line::parse_from(["export", file.to_str().unwrap(), "--dry-run", "--json"]);
        let folder = format!("{}/", folder.path().display());
        run(&line.arguments).map_err(|error| format!("{error:#}").replace(&folder, ""))
    }

    fn refusal(model: &ModelProto) -> String {
        answer(model).unwrap_err()
    }

    fn net() -> ModelProto {
        Sketch::new(&[2], 80).node("Gemm", &[&[2, 3]], vec![]).node("Relu", &[], vec![]).finish(&[3])
    }

    fn weights(model: &mut ModelProto) -> &mut TensorProto {
        &mut model.graph.as_mut().unwrap().initializer[0]
    }

    #[test]
    fn what_a_board_lacks_is_said() {
        let verdicts = |side: usize| {
            let model = Sketch::new(&[1, side, side], 85)
                .node("Conv", &[&[4, 1, 3, 3]], vec![])
                .node("GlobalAveragePool", &[], vec![])
                .finish(&[4, 1, 1]);
            let line = Line::parse_from(["export", "net.onnx", "--dry-run"]);
            let exported = quantize(&line.arguments, "net", &model.encode_to_vec()).unwrap();
            let too_much = |name: &str| too_much(crate::device::board(name).unwrap(), &exported.container).unwrap();
            ["mps2-an386", "microbit", "rpi-pico2"].map(too_much)
        };
        let without = "its firmware is built without average-pool2d".to_owned();
        assert_eq!(verdicts(20), [vec![], vec![without.clone()], vec![]]);
        // 200 · 200 and 198 · 198 · 4 bytes lie side by side.
        let beyond =
            |there: usize| format!("needs 196816 bytes of arena, {} more than its firmware has", 196_816 - there);
        assert_eq!(verdicts(200), [vec![beyond(131_072)], vec![beyond(7168), without], vec![]]);
    }

    #[test]
    fn a_missing_file_of_two_gigabytes_is_named() {
        let mut model = net();
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let tensor = weights(&mut model);
        tensor.raw_data.clear();
        tensor.data_location = Some(1);
        tensor.external_data = vec![entry("location", "weights.bin"), entry("length", "2147483648")];
        assert_eq!(
            refusal(&model),
            "net.onnx: initialiser gemm0.constant0: its 2147483648 bytes of data lie in weights.bin, which cannot be read \
             (No such file or directory (os error 2)); put that file beside the ONNX file"
        );
    }

    #[test]
    fn a_cycle_is_named() {
        let model = Sketch::new(&[3], 81)
            .node_of("Add", &["input", "sigmoid1"], &[], vec![])
            .node_of("Sigmoid", &["add0"], &[], vec![])
            .finish(&[3]);
        assert_eq!(
            refusal(&model),
            "net.onnx: the graph has a cycle: sigmoid1 (Sigmoid) reads \"add0\", which add0 (Add) makes of what sigmoid1 makes; \
             a board runs each node once: export the model without loops"
        );
    }

    #[test]
    fn the_batch_may_be_open_and_nothing_else() {
        let mut model = Sketch::new(&[2, 3, 3], 82).node("Conv", &[&[1, 2, 1, 1]], vec![]).finish(&[1, 3, 3]);
        assert_eq!(answer(&model), Ok(()));
        let input = &mut model.graph.as_mut().unwrap().input[0];
        let Some(type_proto::Value::TensorType(tensor)) = &mut input.r#type.as_mut().unwrap().value else { panic!() };
        tensor.shape.as_mut().unwrap().dim[2].value = Some(Value::DimParam("H".into()));
        assert_eq!(
            refusal(&model),
            "net.onnx: input input: its dimension 2, \"H\", is open, as only the batch's, dimension 0, may be; \
             export the model with fixed sizes"
        );
    }

    #[test]
    fn a_weight_that_is_no_number_is_named() {
        let mut model = net();
        weights(&mut model).raw_data[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        // In memory's order the weights are [output][input].
        assert_eq!(
            refusal(&model),
            "net.onnx: layer gemm0: weight 4 is NaN; train again from a checkpoint before the loss went wrong"
        );
    }

    #[test]
    fn a_shape_past_64_bits_is_named() {
        let mut model = net();
        weights(&mut model).dims = vec![i64::MAX, 3];
        assert_eq!(
            refusal(&model),
            "net.onnx: 1 node does not run on a board:\n  gemm0 (Gemm): its weights gemm0.constant0 has the dimensions \
             [9223372036854775807, 3], whose product overflows 64 bits; export the model again in float32"
        );
        let model = Sketch::new(&[2, 3, 3], 83).with_ints("Reshape", &[1, i64::MAX, 3], vec![]).finish(&[1]);
        assert_eq!(
            refusal(&model),
            "net.onnx: 1 node does not run on a board:\n  reshape0 (Reshape): it reshapes to [1, 9223372036854775807, 3], \
             whose product overflows 64 bits; export the model again"
        );
    }
}
