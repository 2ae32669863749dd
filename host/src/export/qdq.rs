//! The int8 model in ONNX's QDQ form, so that ONNX Runtime computes with the very same scales and weights.
//!
//! Every activation passes QuantizeLinear → DequantizeLinear; weights (int8, per channel) and biases (int32) are
//! dequantized where they are read. Inputs and outputs are those of the float model. ONNX Runtime multiplies by
//! float scales, so that it may differ from the integer arithmetic by one step at ties.

use super::proto::{batched, constant, float, int, ints, model, node};
use crate::quantize::equalize::Divisors;
use crate::quantize::{Affine, Bounds, Function, Int8, Kind, Network, Op, Quantized, Shape, Tensor, Window};
use anyhow::{Context, Result};
use prost::Message;
use std::collections::{BTreeMap, HashMap, HashSet};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto};

/// Name of the value that holds tensor `index`, as the real numbers that its integers stand for, in the QDQ model.
pub fn value_name<P>(network: &Network<P>, index: usize) -> String {
    let name = base(&network.tensors[index]);
    // Logits are not rounded, so that they keep their name.
    let is_logits = network.ops.iter().any(|op| op.output == index && network.is_logits(op));
    if is_logits { name.to_owned() } else { format!("{name}.real") }
}

/// Name that a tensor's values are called after.
pub fn base(tensor: &Tensor) -> &str {
    tensor.value.as_deref().unwrap_or(&tensor.name)
}

/// The QDQ model of `quantized`.
pub fn qdq(quantized: &Quantized) -> ModelProto {
    let mut writer =
        Writer { quantized, nodes: Vec::new(), constants: Vec::new(), real: HashMap::new(), vectors: HashSet::new() };
    let network = &quantized.network;
    let (input, output) = (&network.tensors[network.input], &network.tensors[network.output]);
    if is_vector(input.shape) {
        writer.vectors.insert(network.input);
    }
    writer.requantize(network.input, base(input).to_owned());
    for op in &network.ops {
        writer.op(op);
    }
    let answer = writer.real[&network.output].clone();
    let graph = GraphProto {
        name: network.name.clone(),
        input: vec![batched(base(input), &input_sides(input.shape))],
        output: vec![batched(&answer, &sides(output.shape, writer.vectors.contains(&network.output)))],
        node: writer.nodes,
        initializer: writer.constants,
        ..Default::default()
    };
    model(graph)
}

/// Key of the model's metadata under which [`note_divisors`] writes.
const DIVISORS: &str = "channel divisors";

/// Notes in `model` what channels of the tensors of `network` have been divided by, as JSON: without it, nobody could compare them
/// with the float model's.
pub fn note_divisors<P>(model: &mut ModelProto, network: &Network<P>, divisors: &Divisors) {
    let named = network.tensors.iter().zip(divisors);
    let named: BTreeMap<&str, &Vec<f32>> =
        named.filter_map(|(tensor, divisors)| Some((tensor.name.as_str(), divisors.as_ref()?))).collect();
    if !named.is_empty() {
        let value = serde_json::json!(named).to_string();
        model.metadata_props.push(StringStringEntryProto { key: DIVISORS.into(), value });
    }
}

/// What [`note_divisors`] has noted in the serialized int8 model `onnx` of `network`.
///
/// # Errors
/// A broken file.
pub fn divisors<P>(onnx: &[u8], network: &Network<P>) -> Result<Divisors> {
    let model = ModelProto::decode(onnx).context("the int8 ONNX file is broken; export the model again")?;
    let noted = model.metadata_props.iter().find(|entry| entry.key == DIVISORS);
    let named: BTreeMap<String, Vec<f32>> = match noted {
        Some(entry) => {
            serde_json::from_str(&entry.value).context("the int8 ONNX file's notes are broken; export it again")?
        }
        None => BTreeMap::new(),
    };
    Ok(network.tensors.iter().map(|tensor| named.get(&tensor.name).cloned()).collect())
}

/// Dimensions of an input of `shape`, without the batch.
pub fn input_sides(shape: Shape) -> Vec<usize> {
    sides(shape, is_vector(shape))
}

/// Whether an input is taken as `[N, C]`.
fn is_vector(shape: Shape) -> bool {
    shape.height * shape.width == 1
}

/// Sides behind the batch: a vector has one.
fn sides(Shape { height, width, channels }: Shape, is_vector: bool) -> Vec<usize> {
    if is_vector { vec![height * width * channels] } else { vec![channels, height, width] }
}

struct Writer<'q> {
    quantized: &'q Quantized,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Name of the value that holds each tensor so far.
    real: HashMap<usize, String>,
    /// Tensors whose values are `[N, C]` here; others are `[N, C, H, W]`.
    vectors: HashSet<usize>,
}

impl Writer<'_> {
    fn op(&mut self, op: &Op<Int8>) {
        let network = &self.quantized.network;
        let (from, tensor) = (network.tensors[op.inputs[0]].shape, &network.tensors[op.output]);
        let stays_vector = matches!(
            op.kind,
            Kind::Lookup { .. } | Kind::Add { .. } | Kind::Multiply { .. } | Kind::Concat { .. } | Kind::Slice { .. }
        );
        // A product is what its first input is: the second may be a vector of one number a channel.
        let shaping = if matches!(op.kind, Kind::Multiply { .. }) { &op.inputs[..1] } else { &op.inputs };
        let is_vector = stays_vector && shaping.iter().any(|input| self.vectors.contains(input));
        if is_vector || matches!(op.kind, Kind::Dense { .. }) {
            self.vectors.insert(op.output);
        }
        let sources: Vec<String> = op.inputs.iter().map(|&input| self.seen(op, input, is_vector)).collect();
        let mut source = sources[0].clone();
        let is_logits = network.is_logits(op);
        let name = &op.name;
        match &op.kind {
            Kind::Conv2d { parameters, window, bounds, pool } => {
                let area = window.kernel[0] * window.kernel[1];
                let dims = [parameters.bias.len(), from.channels, window.kernel[0], window.kernel[1]];
                let weights = channels_first(&parameters.weights, area, from.channels);
                let [weights, bias] = self.parameters(name, parameters, op.inputs[0], &dims, &weights);
                let attributes = window_attributes(window);
                self.nodes.push(node("Conv", &[&source, &weights, &bias], &format!("{name}.sum"), attributes));
                source = self.bounded(name, *bounds);
                if *pool != [1, 1] {
                    source = self.affine(&format!("{name}.unpooled"), source, self.quantized.affine[op.output]);
                    source = self.max_pool(name, &source, &Window { kernel: *pool, stride: *pool, padding: [0; 4] });
                }
            }
            Kind::MaxPool2d { window } => source = self.max_pool(name, &source, window),
            Kind::DepthwiseConv2d { parameters, window, bounds } => {
                let dims = [from.channels, 1, window.kernel[0], window.kernel[1]];
                let [weights, bias] = self.parameters(name, parameters, op.inputs[0], &dims, &parameters.weights);
                let mut attributes = window_attributes(window);
                attributes.push(int("group", from.channels as i64));
                self.nodes.push(node("Conv", &[&source, &weights, &bias], &format!("{name}.sum"), attributes));
                source = self.bounded(name, *bounds);
            }
            Kind::ConvTranspose2d { parameters, window, function } => {
                let [height, width] = window.kernel;
                let outputs = parameters.bias.len();
                let weights = channels_first(&parameters.weights, height * width, from.channels);
                let weights = inputs_first(&weights, outputs, from.channels);
                let dims = [from.channels, outputs, height, width];
                let [weights, bias] = self.parameters_along(1, name, parameters, op.inputs[0], &dims, &weights);
                let sum = format!("{name}.sum");
                self.nodes.push(node("ConvTranspose", &[&source, &weights, &bias], &sum, window_attributes(window)));
                source = match function {
                    Some(function) => {
                        let between = function.input_affine(self.quantized.affine[op.output]);
                        let between = self.affine(&format!("{name}.between"), sum, between);
                        self.function(name, between, *function)
                    }
                    None => sum,
                };
            }
            Kind::Add { subtract, bounds } => {
                let operator = if *subtract { "Sub" } else { "Add" };
                self.nodes.push(node(operator, &[&sources[0], &sources[1]], &format!("{name}.sum"), Vec::new()));
                source = self.bounded(name, *bounds);
            }
            Kind::Multiply { bounds } => {
                self.nodes.push(node("Mul", &[&sources[0], &sources[1]], &format!("{name}.sum"), Vec::new()));
                source = self.bounded(name, *bounds);
            }
            Kind::Concat { axis } => {
                source = format!("{name}.joined");
                let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
                // Rows, columns, channels are the axes 2, 3, 1.
                self.nodes.push(node("Concat", &sources, &source, vec![int("axis", [2, 3, 1][*axis])]));
            }
            Kind::Slice { starts, steps } => source = self.slice(name, &source, from, tensor.shape, starts, steps),
            Kind::AveragePool2d { window, padded, bounds } => {
                let mut attributes = window_attributes(window);
                attributes.push(int("count_include_pad", i64::from(*padded)));
                self.nodes.push(node("AveragePool", &[&source], &format!("{name}.sum"), attributes));
                source = self.bounded(name, *bounds);
            }
            Kind::Lookup { function } => source = self.function(name, source, *function),
            Kind::Dense { parameters, bounds } => {
                let dims = [parameters.bias.len(), from.elements()];
                let parameters = rows_channels_first(parameters, tensor.shape);
                let weights = channels_first(&parameters.weights, from.height * from.width, from.channels);
                let [weights, bias] = self.parameters(name, &parameters, op.inputs[0], &dims, &weights);
                let flat = format!("{name}.flat");
                self.nodes.push(node("Flatten", &[&source], &flat, vec![int("axis", 1)]));
                let sum = if is_logits { base(tensor).to_owned() } else { format!("{name}.sum") };
                self.nodes.push(node("Gemm", &[&flat, &weights, &bias], &sum, vec![int("transB", 1)]));
                source = if is_logits { sum } else { self.bounded(name, *bounds) };
            }
        }
        if is_logits {
            self.real.insert(op.output, source);
        } else {
            self.requantize(op.output, source);
        }
    }

    /// The value that `op` reads of tensor `index`: flattened where the others are vectors, an image where it needs one.
    fn seen(&mut self, op: &Op<Int8>, index: usize, as_vector: bool) -> String {
        let source = self.real[&index].clone();
        let is_vector = self.vectors.contains(&index);
        let seen = format!("{}.from.{source}", op.name);
        if as_vector && !is_vector {
            self.nodes.push(node("Flatten", &[&source], &seen, vec![int("axis", 1)]));
        } else if is_vector && !as_vector && !matches!(op.kind, Kind::Dense { .. }) {
            let shape = self.quantized.network.tensors[index].shape;
            // The batch stays as it is, which 0 says.
            let sides = [0, shape.channels, shape.height, shape.width].map(|side| side as i64);
            self.constants.push(constant(&format!("{seen}.shape"), &[4], &sides));
            self.nodes.push(node("Reshape", &[&source, &format!("{seen}.shape")], &seen, Vec::new()));
        } else {
            return source;
        }
        seen
    }

    /// `{name}.sum` within `bounds`.
    fn bounded(&mut self, name: &str, bounds: Bounds) -> String {
        let sum = format!("{name}.sum");
        if bounds.is_none() { sum } else { self.clip(name, &sum, bounds) }
    }

    fn clip(&mut self, name: &str, source: &str, bounds: Bounds) -> String {
        let clipped = format!("{name}.bounded");
        if bounds == Bounds::RELU {
            self.nodes.push(node("Relu", &[source], &clipped, Vec::new()));
            return clipped;
        }
        let ends = [("min", bounds.min), ("max", bounds.max)].map(|(end, value)| {
            let constant = constant(&format!("{name}.{end}"), &[], &[value]);
            let name = constant.name.clone();
            self.constants.push(constant);
            name
        });
        self.nodes.push(node("Clip", &[source, &ends[0], &ends[1]], &clipped, Vec::new()));
        clipped
    }

    /// What the function makes of `source`.
    fn function(&mut self, name: &str, source: String, function: Function) -> String {
        let answer = format!("{name}.exact");
        let mut push = |operator: &str, inputs: &[&str], output: &str, attributes| {
            self.nodes.push(node(operator, inputs, output, attributes));
        };
        match function {
            Function::Identity => return source,
            Function::Clip(bounds) => return self.clip(name, &source, bounds),
            Function::Sigmoid => push("Sigmoid", &[&source], &answer, Vec::new()),
            Function::HardSwish => push("HardSwish", &[&source], &answer, Vec::new()),
            Function::HardSigmoid { alpha, beta } => {
                push("HardSigmoid", &[&source], &answer, vec![float("alpha", alpha), float("beta", beta)]);
            }
            Function::Tanh => push("Tanh", &[&source], &answer, Vec::new()),
            Function::LeakyRelu { slope } => push("LeakyRelu", &[&source], &answer, vec![float("alpha", slope)]),
            Function::Silu => {
                let gate = format!("{name}.gate");
                push("Sigmoid", &[&source], &gate, Vec::new());
                push("Mul", &[&source, &gate], &answer, Vec::new());
            }
        }
        answer
    }

    fn max_pool(&mut self, name: &str, source: &str, window: &Window) -> String {
        let pooled = format!("{name}.pooled");
        self.nodes.push(node("MaxPool", &[source], &pooled, window_attributes(window)));
        pooled
    }

    /// The rows, columns and channels of `source`, a value of the shape `from`, that are left, or repeated, in one of the shape
    /// `to`.
    fn slice(
        &mut self,
        name: &str,
        source: &str,
        from: Shape,
        to: Shape,
        starts: &[usize; 3],
        steps: &[usize; 3],
    ) -> String {
        let [from, to] = [from, to].map(|shape| [shape.height, shape.width, shape.channels]);
        // Of what is repeated, one is left.
        let left: [usize; 3] = std::array::from_fn(|axis| if steps[axis] == 0 { 1 } else { to[axis] });
        let cut: Vec<usize> = (0..3).filter(|&axis| from[axis] != left[axis]).collect();
        let mut answer = source.to_owned();
        if !cut.is_empty() {
            let integers = |value: &dyn Fn(usize) -> usize| cut.iter().map(|&axis| value(axis) as i64).collect();
            let lists = [
                ("starts", integers(&|axis| starts[axis])),
                ("ends", integers(&|axis| starts[axis] + (left[axis] - 1) * steps[axis] + 1)),
                // Rows, columns, channels are the axes 2, 3, 1.
                ("axes", integers(&|axis| [2, 3, 1][axis])),
                ("steps", integers(&|axis| steps[axis].max(1))),
            ];
            answer = self.with_lists("Slice", name, &answer, &lists);
        }
        if left != to {
            let [height, width, channels] = to.map(|side| side as i64);
            answer = self.with_lists("Expand", name, &answer, &[("sides", vec![1, channels, height, width])]);
        }
        answer
    }

    /// A node `kind` of `source` and constant lists; answers with its output.
    fn with_lists(&mut self, kind: &str, name: &str, source: &str, lists: &[(&str, Vec<i64>)]) -> String {
        let mut inputs = vec![source.to_owned()];
        for (what, values) in lists {
            let list = constant(&format!("{name}.{what}"), &[values.len()], values);
            inputs.push(list.name.clone());
            self.constants.push(list);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let answer = format!("{name}.{}", kind.to_lowercase());
        self.nodes.push(node(kind, &inputs, &answer, Vec::new()));
        answer
    }

    /// Tensor `index` is `source`, rounded to its scale.
    fn requantize(&mut self, index: usize, source: String) {
        let tensor = &self.quantized.network.tensors[index];
        let real = self.affine(base(tensor), source, self.quantized.affine[index]);
        self.real.insert(index, real);
    }

    /// QuantizeLinear and DequantizeLinear behind `source`; answers with `{name}.real`.
    fn affine(&mut self, name: &str, source: String, Affine { scale, zero_point }: Affine) -> String {
        let [scale_name, zero_name, int8, real] =
            ["scale", "zero_point", "int8", "real"].map(|part| format!("{name}.{part}"));
        self.constants.push(constant(&scale_name, &[], &[scale]));
        self.constants.push(constant(&zero_name, &[], &[zero_point]));
        self.nodes.push(node("QuantizeLinear", &[&source, &scale_name, &zero_name], &int8, Vec::new()));
        self.nodes.push(node("DequantizeLinear", &[&int8, &scale_name, &zero_name], &real, Vec::new()));
        real
    }

    /// Weights in ONNX's order and bias, dequantized per channel; answers with their names.
    fn parameters(&mut self, name: &str, int8: &Int8, input: usize, dims: &[usize], weights: &[i8]) -> [String; 2] {
        self.parameters_along(0, name, int8, input, dims, weights)
    }

    /// As [`Self::parameters`], the weights' output channels along `axis`.
    fn parameters_along(
        &mut self,
        axis: i64,
        name: &str,
        int8: &Int8,
        input: usize,
        dims: &[usize],
        weights: &[i8],
    ) -> [String; 2] {
        let channels = int8.bias.len();
        let input_scale = self.quantized.affine[input].scale;
        let bias_scales: Vec<f32> = int8.weight_scales.iter().map(|scale| input_scale * scale).collect();
        let weights = constant(&format!("{name}.weight.int"), dims, weights);
        let bias = constant(&format!("{name}.bias.int"), &[channels], &int8.bias);
        let zeros = [
            constant(&format!("{name}.weight.zero_point"), &[channels], &vec![0i8; channels]),
            constant(&format!("{name}.bias.zero_point"), &[channels], &vec![0i32; channels]),
        ];
        let scales = [(weights, &int8.weight_scales, "weight"), (bias, &bias_scales, "bias")];
        let mut names = [String::new(), String::new()];
        for (((integers, scales, what), zero), output) in scales.into_iter().zip(zeros).zip(&mut names) {
            let scale = constant(&format!("{name}.{what}.scale"), &[channels], scales);
            *output = format!("{name}.{what}");
            let inputs = [integers.name.as_str(), &scale.name, &zero.name];
            let axis = if what == "weight" { axis } else { 0 };
            self.nodes.push(node("DequantizeLinear", &inputs, output, vec![int("axis", axis)]));
            self.constants.extend([integers, scale, zero]);
        }
        names
    }
}

fn window_attributes(window: &Window) -> Vec<tract_onnx::pb::AttributeProto> {
    vec![ints("kernel_shape", &window.kernel), ints("strides", &window.stride), ints("pads", &window.padding)]
}

/// `[O, area, I]` → `[O, I, area]`: what the NHWC network holds, in ONNX's order.
fn channels_first(weights: &[i8], area: usize, channels: usize) -> Vec<i8> {
    let rows = weights.chunks_exact(area * channels);
    rows.flat_map(|row| (0..row.len()).map(|i| row[(i % area) * channels + i / area])).collect()
}

/// `[O, I, area]` → `[I, O, area]`.
fn inputs_first(weights: &[i8], outputs: usize, inputs: usize) -> Vec<i8> {
    let area = weights.len() / (outputs * inputs);
    let kernels = (0..inputs).flat_map(|i| (0..outputs).map(move |o| (o * inputs + i) * area));
    kernels.flat_map(|start| &weights[start..start + area]).copied().collect()
}

/// The rows of a dense layer, which stand for an image of `shape` as memory has it, in ONNX's order.
fn rows_channels_first(int8: &Int8, shape: Shape) -> Int8 {
    let (area, channels) = (shape.height * shape.width, shape.channels);
    let row = |index: usize| (index % area) * channels + index / area;
    let columns = int8.weights.len() / int8.bias.len();
    let rows = 0..int8.bias.len();
    Int8 {
        weights: rows.clone().flat_map(|index| &int8.weights[row(index) * columns..][..columns]).copied().collect(),
        weight_scales: rows.clone().map(|index| int8.weight_scales[row(index)]).collect(),
        bias: rows.map(|index| int8.bias[row(index)]).collect(),
        ..int8.clone()
    }
}
