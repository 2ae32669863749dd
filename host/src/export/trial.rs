//! How far a file gets on its way to a board, without anything else: what the fuzzer of `tests/fuzz` and the tests of mutated
//! files run; and graphs that nobody would draw.

use super::proto::{batched, constant, float, int, model, node};
use super::{Options, Prefer, container, inputs::Inputs, integer, plan, read, sequence, text};
use crate::quantize::{Kind, Method, Network, calibrate, quantize};
use crate::recipe::Storage;
use anyhow::{Result, ensure};
use prost::Message;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// Additions and comparisons of a net that is calibrated: a few milliseconds.
const STEPS: usize = 1 << 20;

/// Lowers the serialized ONNX model `onnx`, quantizes it with ranges of noise and plans its memory; gives the container.
///
/// # Errors
/// What import would say; and a net that takes too long for a trial.
pub fn attempt(onnx: &[u8]) -> Result<Vec<u8>> {
    let mut model = ModelProto::decode(onnx)?;
    integer::expand(&mut model);
    let onnx = model.encode_to_vec();
    if text::has_lstm(&onnx)? {
        return attempt_sequence(&onnx);
    }
    let network = read(&onnx, "trial")?;
    check_steps(steps(&network))?;
    let noise = Inputs::noise(&network, 1);
    let input = |index: usize| noise.float(index).to_vec();
    let calibration = calibrate::calibrate(&network, &input, 1, None, Method::MinMax)?;
    let quantized = quantize(&network, &calibration)?;
    let plan = plan::plan(&plan::blocks(&quantized));
    container::container(&quantized, &plan, &[])
}

/// As [`attempt`], of a model that takes a sequence.
fn attempt_sequence(onnx: &[u8]) -> Result<Vec<u8>> {
    let recurrent = sequence::read(onnx, "trial")?;
    let macs = recurrent.layers.iter().map(|layer| 4 * layer.units * (layer.inputs + layer.units));
    let columns = recurrent.entry.tensors[0].shape.width;
    let table = recurrent.embedding.as_ref().map_or(0, |table| table.values.len());
    let step = macs.fold(recurrent.entry.tensors[0].shape.channels, usize::saturating_add);
    check_steps(columns.saturating_mul(step).saturating_add(table).saturating_add(steps(&recurrent.tail)))?;
    let options = Options {
        name: "trial".into(),
        labels: Vec::new(),
        ranges: Method::MinMax,
        equalize: false,
        correct_bias: false,
        calibration: 1,
        prefer: Prefer::default(),
        flash_budget: None,
        command: String::new(),
    };
    Ok(sequence::export(onnx, &recurrent, &recurrent.noise(1), Storage::Int8, &options)?.container)
}

fn check_steps(steps: usize) -> Result<()> {
    ensure!(steps <= STEPS, "the net takes {steps} steps; trials end at {STEPS}");
    Ok(())
}

fn steps<P>(network: &Network<P>) -> usize {
    let pools = network.ops.iter().map(|op| match op.kind {
        Kind::AveragePool2d { window, .. } | Kind::MaxPool2d { window } => {
            network.output_shape(op).elements() * window.kernel[0] * window.kernel[1]
        }
        _ => network.macs(op),
    });
    let values = network.tensors.iter().map(|tensor| tensor.shape.elements());
    pools.chain(values).fold(0, usize::saturating_add)
}

/// Operators that are lowered, and a few that are not.
const OPERATORS: [&str; 38] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "QuantizeLinear",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Softmax",
    "Sigmoid",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
];
/// Numbers that have gone wrong somewhere before.
const INTEGERS: [i64; 14] = [0, 1, 2, 3, 4, 5, -1, -2, 8, 255, 256, 65_536, i64::MAX, i64::MIN];
const FLOATS: [f32; 9] = [0.0, 1.0, -1.0, 0.5, 6.0, 1e-40, f32::MAX, f32::INFINITY, f32::NAN];
/// Attributes that are lists, and those that are one number.
const LISTS: [&str; 10] =
    ["kernel_shape", "strides", "pads", "dilations", "perm", "axes", "output_shape", "starts", "ends", "split"];
const NUMBERS: [&str; 9] =
    ["group", "axis", "transB", "transA", "keepdims", "ceil_mode", "count_include_pad", "allowzero", "to"];

/// A serialized model of a few nodes, each of whose parts is drawn from what is usual, unusual or wrong.
pub fn random_model(seed: u64) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let sides: Vec<usize> = (0..random.random_range(1..=3)).map(|_| random.random_range(1..=6)).collect();
    let mut graph = GraphProto { input: vec![batched("v0", &sides)], ..Default::default() };
    let count = random.random_range(1..=8);
    for index in 1..=count {
        let drawn = random_node(&mut random, &mut graph, index);
        graph.node.push(drawn);
    }
    graph.output = vec![batched(&format!("v{count}"), &sides)];
    model(graph).encode_to_vec()
}

fn random_node(random: &mut Xoshiro256PlusPlus, graph: &mut GraphProto, index: usize) -> NodeProto {
    let op = OPERATORS.choose(random).unwrap_or(&"Relu");
    // Most read the value before; some an earlier one, some one that comes later.
    let first = if random.random_bool(0.7) { index - 1 } else { random.random_range(0..index + 2) };
    let mut inputs = vec![format!("v{first}")];
    for place in 0..random.random_range(0..4) {
        if random.random_bool(0.3) {
            inputs.push(format!("v{}", random.random_range(0..index + 1)));
            continue;
        }
        let name = format!("c{index}.{place}");
        graph.initializer.push(random_constant(random, &name));
        inputs.push(name);
    }
    if random.random_bool(0.1) {
        inputs.reverse();
    }
    let attributes = (0..random.random_range(0..4)).map(|_| random_attribute(random)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    node(op, &inputs, &format!("v{index}"), attributes)
}

fn random_constant(random: &mut Xoshiro256PlusPlus, name: &str) -> tract_onnx::pb::TensorProto {
    let dims: Vec<usize> = (0..random.random_range(0..=4)).map(|_| random.random_range(0..=4)).collect();
    let length: usize = dims.iter().product();
    if random.random_bool(0.3) {
        let integers: Vec<i64> = (0..length.min(6)).filter_map(|_| INTEGERS.choose(random).copied()).collect();
        return constant(name, &[integers.len()], &integers);
    }
    let wrong = random.random_bool(0.2);
    let number = |random: &mut Xoshiro256PlusPlus| match FLOATS.choose(random) {
        Some(&number) if wrong => number,
        _ => random.random_range(-1.0..1.0f32),
    };
    let numbers: Vec<f32> = (0..length).map(|_| number(random)).collect();
    let mut tensor = constant(name, &dims, &numbers);
    if random.random_bool(0.05) {
        tensor.dims.extend(INTEGERS.choose(random));
    }
    tensor
}

fn random_attribute(random: &mut Xoshiro256PlusPlus) -> AttributeProto {
    let usual = random.random_bool(0.7);
    let integer = |random: &mut Xoshiro256PlusPlus| match INTEGERS.choose(random) {
        Some(&integer) if !usual => integer,
        _ => random.random_range(0..=3),
    };
    match random.random_range(0..3) {
        0 => float(
            ["alpha", "beta", "epsilon"].choose(random).unwrap_or(&"alpha"),
            *FLOATS.choose(random).unwrap_or(&0.0),
        ),
        1 => int(NUMBERS.choose(random).unwrap_or(&"axis"), integer(random)),
        _ => {
            let mut list = int(LISTS.choose(random).unwrap_or(&"pads"), 0);
            list.ints = (0..random.random_range(1..=4)).map(|_| integer(random)).collect();
            list
        }
    }
}
