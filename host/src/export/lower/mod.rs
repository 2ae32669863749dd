//! ONNX graph → [`Network<Float>`]: shapes inferred, NCHW turned into NHWC, all that is unsupported named at once.
//!
//! N is the batch, which stays out of the network. Transpose, Reshape, Flatten and their like move nothing: a value only
//! remembers how ONNX sees it ([`view`]), and the Gemm that reads it gets its weights' columns re-ordered. So no
//! transpose is left to run on a device.
//!
//! A new operator is one rule: a function in a file here, a line in [`Lowering::node`], and what it becomes in
//! [`Kind`](crate::quantize::Kind).

mod activation;
#[cfg(test)]
mod branch_tests;
mod conv;
mod conv_transpose;
mod cycle;
mod dense;
mod fold;
#[cfg(test)]
mod hostile_tests;
mod join;
mod lstm;
#[cfg(test)]
mod lstm_tests;
pub(super) mod onnx;
mod pool;
mod qdq;
mod reshape;
mod scale;
mod slice;
#[cfg(test)]
mod slice_tests;
#[cfg(test)]
mod tests;
mod values;
mod view;
mod window;

pub use lstm::{Recurrent, recurrent};

use super::proto::constant;
use crate::quantize::{Bounds, Float, Function, Network, Shape, Tensor};
use anyhow::{Context, Result, bail, ensure};
use onnx::{Constants, Node};
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};
use view::{Axis, View};

/// Why a node cannot be lowered, and what to do about it.
pub(super) struct Refusal {
    pub reason: String,
    pub remedy: String,
}

/// What a rule answers with where it cannot lower a node.
fn refuse<T>(reason: impl Into<String>, remedy: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason: reason.into(), remedy: remedy.into() })
}

/// What an ONNX value stands for.
#[derive(Clone)]
struct Value {
    /// Index of the tensor.
    tensor: usize,
    /// How ONNX sees it.
    view: View,
}

struct Lowering<'m> {
    constants: Constants<'m>,
    graph: &'m GraphProto,
    opset: i64,
    /// How often a value is read by nodes or is an answer of the graph.
    uses: HashMap<&'m str, usize>,
    /// `None` for values that come from a refused node: whoever reads them is refused no second time.
    values: HashMap<&'m str, Option<Value>>,
    /// How often each tensor is read, under whatever name, as far as it is known.
    readers: Vec<usize>,
    /// Scales of dequantized constants, one a channel or one for all.
    weight_scales: HashMap<&'m str, Vec<f32>>,
    /// Zeros around a value, which the convolutions that read it take over: top, left, bottom, right.
    padding: HashMap<&'m str, [usize; 4]>,
    /// Numbers that may still be worked out of constants.
    foldable: usize,
    /// Of a model that takes a sequence.
    steps: lstm::Steps,
    network: Network<Float>,
}

/// Lowers the float model `model`; `name` becomes the network's.
///
/// Fails with one sentence for a broken file, or with one line for each unsupported node.
pub fn lower(model: &ModelProto, name: &str) -> Result<Network<Float>> {
    let (mut lowering, output) = Lowering::of(model, name)?;
    let input = lowering.graph_input()?;
    lowering.input(input)?;
    lowering.nodes()?;
    lowering.finish(output)
}

impl<'m> Lowering<'m> {
    /// Nothing lowered yet, and the name of the graph's output.
    fn of(model: &'m ModelProto, name: &str) -> Result<(Self, &'m str)> {
        let graph = model.graph.as_ref().context("the ONNX file holds no graph; export the model again")?;
        let opset = model.opset_import.iter().find(|set| set.domain.is_empty()).map_or(0, |set| set.version);
        ensure!(
            (7..=22).contains(&opset),
            "the ONNX file is of opset {opset}; export it again with an opset from 7 to 22"
        );
        cycle::check(graph)?;
        let constants = Constants::of(graph)?;
        let [output] = &graph.output[..] else {
            bail!("the model has {} outputs; models with exactly one are supported", graph.output.len())
        };
        let mut uses = HashMap::new();
        let read = graph.node.iter().flat_map(|node| &node.input).chain([&output.name]);
        read.for_each(|value| *uses.entry(value.as_str()).or_insert(0) += 1);
        let network = Network {
            name: name.into(),
            tensors: Vec::new(),
            ops: Vec::new(),
            input: 0,
            input_sides: Vec::new(),
            output: 0,
        };
        let lowering = Lowering {
            foldable: constants.numbers().saturating_mul(4).saturating_add(MOST_VALUES),
            constants,
            graph,
            opset,
            uses,
            values: HashMap::new(),
            readers: Vec::new(),
            weight_scales: HashMap::new(),
            padding: HashMap::new(),
            steps: lstm::Steps::default(),
            network,
        };
        Ok((lowering, &output.name))
    }

    /// The input that no initialiser gives.
    fn graph_input(&self) -> Result<&'m ValueInfoProto> {
        let inputs: Vec<_> = self.graph.input.iter().filter(|input| !self.constants.contains(&input.name)).collect();
        let [input] = inputs[..] else {
            bail!("the model has {} inputs; models with exactly one are supported", inputs.len())
        };
        Ok(input)
    }

    /// Lowers node after node.
    ///
    /// # Errors
    /// One line for each that is not supported.
    fn nodes(&mut self) -> Result<()> {
        let mut refused = Vec::new();
        for (index, node) in self.graph.node.iter().enumerate() {
            if let Err(Refusal { reason, remedy }) = self.node(&Node::new(node, index)) {
                refused.push(format!("\n  {} ({}): {reason}; {remedy}", Node::new(node, index).name(), node.op_type));
                node.output.iter().for_each(|value| _ = self.values.insert(value, None));
            }
        }
        if !refused.is_empty() {
            let nodes = if refused.len() == 1 { "node does" } else { "nodes do" };
            bail!("{} {nodes} not run on a board:{}", refused.len(), refused.concat());
        }
        Ok(())
    }

    fn input(&mut self, input: &'m ValueInfoProto) -> Result<()> {
        let sides = onnx::sides(input)?;
        let rank = sides.len() + 1;
        ensure!(
            (2..=4).contains(&rank),
            "input {} has {} dimensions behind the batch; [N, C, H, W], [N, H, W, C], [N, C, L] and [N, C] are supported",
            input.name,
            sides.len()
        );
        let view = if self.is_channels_last(&input.name, rank) {
            View::channels_last(rank)
        } else {
            View::channels_first(rank)
        };
        let mut shape = Shape { height: 1, width: 1, channels: 1 };
        for (index, &side) in sides.iter().enumerate() {
            // Each dimension behind the batch is one axis, of any length as yet.
            match view.axis(index + 1, Shape { height: 2, width: 2, channels: 2 }) {
                Some(Some(Axis::Row)) => shape.height = side,
                Some(Some(Axis::Column)) => shape.width = side,
                _ => shape.channels = side,
            }
        }
        check_size(shape).map_err(|refusal| anyhow::anyhow!("input {}: {}", input.name, refusal.reason))?;
        self.network.input_sides = [1].into_iter().chain(sides).collect();
        let onnx_order = view.order(shape).try_into().unwrap_or([Axis::Row, Axis::Column, Axis::Channel]);
        self.network.tensors.push(Tensor {
            name: input.name.clone(),
            value: Some(input.name.clone()),
            shape,
            onnx_order: onnx_order.map(|axis| axis as usize),
            affine: None,
        });
        self.readers.push(self.uses.get(input.name.as_str()).copied().unwrap_or_default());
        self.values.insert(&input.name, Some(Value { tensor: 0, view }));
        Ok(())
    }

    /// Lowers one node: the list of what is supported.
    fn node(&mut self, node: &Node<'m>) -> Result<(), Refusal> {
        if !node.domain().is_empty() {
            return refuse(
                format!("it belongs to the domain {}", node.domain()),
                "export with standard ONNX operators",
            );
        }
        if node.inputs().any(|value| matches!(self.values.get(value), Some(None))) {
            // Its maker was refused, which is said once.
            node.outputs().for_each(|value| _ = self.values.insert(value, None));
            return Ok(());
        }
        match node.op() {
            "QuantizeLinear" if !self.is_constant(node, 0) => return qdq::quantize(self, node),
            "DequantizeLinear" => return qdq::dequantize(self, node),
            _ => {}
        }
        let mut inputs = node.inputs().filter(|name| !name.is_empty()).peekable();
        if inputs.peek().is_some() && inputs.all(|name| self.constants.contains(name)) {
            return self.fold(node);
        }
        match node.op() {
            "Conv" => conv::conv(self, node),
            "ConvTranspose" => conv_transpose::conv_transpose(self, node),
            "MaxPool" => pool::max_pool(self, node),
            "AveragePool" => pool::average_pool(self, node),
            "GlobalAveragePool" => pool::global_average(self, node),
            "GlobalMaxPool" => pool::global_max(self, node),
            "ReduceMean" => pool::reduce_mean(self, node),
            "Gemm" => dense::gemm(self, node),
            "MatMul" => dense::mat_mul(self, node),
            "Add" => join::sum(self, node, false),
            "Sub" => join::sum(self, node, true),
            "Mul" => join::product(self, node, false),
            "Div" => join::product(self, node, true),
            "Concat" => join::concat(self, node),
            "Slice" => slice::slice(self, node),
            "Split" => slice::split(self, node),
            "Gather" if self.is_constant(node, 0) => lstm::embedding(self, node),
            "Gather" => slice::gather(self, node),
            "LSTM" => lstm::lstm(self, node),
            "GRU" | "RNN" => refuse("its recurrence has no kernel", "use an LSTM in one direction"),
            "BatchNormalization" => scale::batch_normalization(self, node),
            "Relu" => activation::clamp(self, node, Bounds::RELU),
            "Clip" => activation::clip(self, node),
            "Sigmoid" => activation::lookup(self, node, Function::Sigmoid),
            "Tanh" => activation::lookup(self, node, Function::Tanh),
            "LeakyRelu" => activation::leaky_relu(self, node),
            "HardSwish" => activation::lookup(self, node, Function::HardSwish),
            "HardSigmoid" => {
                let function = Function::HardSigmoid { alpha: node.float("alpha", 0.2), beta: node.float("beta", 0.5) };
                activation::lookup(self, node, function)
            }
            "Flatten" => reshape::flatten(self, node),
            "Reshape" => reshape::reshape(self, node),
            "Transpose" => reshape::transpose(self, node),
            "Squeeze" => reshape::squeeze(self, node),
            "Unsqueeze" => reshape::unsqueeze(self, node),
            "Pad" => reshape::pad(self, node),
            "Identity" | "Dropout" => self.alias(node, |view, _| Ok(view)),
            "Cast" if node.int("to", 0) == 1 => self.alias(node, |view, _| Ok(view)),
            // Tokens may come as other numbers.
            "Cast" if lstm::cuts_to_whole_numbers(self, node) => self.alias(node, |view, _| Ok(view)),
            // Whoever asks a device gets the values, and the largest of them beside.
            "ArgMax" if self.is_answer(node.output()) => self.alias(node, |view, _| Ok(view)),
            "ArgMax" => refuse("it stands inside the model", "an argmax runs on a board only behind the last layer"),
            // They change neither which answer is largest nor the order of the others.
            "Softmax" | "LogSoftmax" if self.is_answer(node.output()) => self.alias(node, |view, _| Ok(view)),
            "Softmax" | "LogSoftmax" => refuse(
                "it stands inside the model",
                "softmax runs on a board only behind the last layer, where the device works it out of the logits",
            ),
            "Shape" => {
                let value = self.activation(node)?;
                let sides: Vec<i64> = value.view.sides(self.shape(&value)).iter().map(|&side| side as i64).collect();
                self.constants.insert(node.output(), constant("", &[sides.len()], &sides));
                Ok(())
            }
            // Its value was taken when the constants were collected.
            "Constant" => Ok(()),
            _ => refuse("this operator is not supported", "replace it by operators that are: see `host export --help`"),
        }
    }

    /// The layer that `node` has just become keeps the scales of its weights, input 1, where they have some.
    fn keep_weight_scales(&mut self, node: &Node<'m>, channels: usize) {
        let scales = node.input(1).and_then(|name| self.weight_scales.get(name));
        let scales = scales.map(|scales| if scales.len() == 1 { vec![scales[0]; channels] } else { scales.clone() });
        if let Some(op) = self.network.ops.last_mut() {
            op.weight_scales = scales.filter(|scales| scales.len() == channels);
        }
    }

    /// Works out a node that reads constants alone.
    fn fold(&mut self, node: &Node<'m>) -> Result<(), Refusal> {
        let inputs: Vec<_> = node.inputs().filter_map(|name| self.constants.get(name)).collect();
        let folded = fold::limit(node.proto, &inputs).and_then(|numbers| {
            self.foldable = self.foldable.checked_sub(numbers).context("they are too many numbers in all")?;
            fold::fold(node.proto, inputs, self.opset)
        });
        let values = folded.or_else(|error| {
            refuse(format!("its constants cannot be worked out ({error:#})"), "fold constants before exporting")
        })?;
        let names = node.outputs().filter(|name| !name.is_empty());
        names.zip(values).for_each(|(name, value)| self.constants.insert(name, value));
        Ok(())
    }

    fn finish(mut self, output: &str) -> Result<Network<Float>> {
        let Some(Some(Value { tensor, view })) = self.values.get(output).cloned() else {
            bail!("the model's output {output} is made by none of its nodes");
        };
        let shape = self.network.tensors[tensor].shape;
        let in_order = view.order(shape).is_sorted();
        ensure!(
            view.rank() != 2 || shape.channels == 1 || shape.height * shape.width == 1 || in_order,
            "the model ends in a Flatten of {} values in several channels; let it end in the layer before",
            shape.elements()
        );
        ensure!(!self.network.ops.is_empty(), "the model computes nothing: its output {output} is its input");
        self.network.output = tensor;
        self.network.check_finite()?;
        Ok(self.network)
    }
}

/// Values of an activation, and weights with zeros between them, at most: 16 MiB, more than any board has. Some limit there must
/// be, as a few bytes of a file can ask for any number of either.
const MOST_VALUES: usize = 1 << 24;

/// A container counts rows, columns and channels in 16 bits, and no board holds more than [`MOST_VALUES`].
fn check_size(shape: Shape) -> Result<(), Refusal> {
    let sides = [shape.height, shape.width, shape.channels];
    if sides.iter().any(|&side| side == 0 || side > usize::from(u16::MAX)) {
        let [height, width, channels] = sides;
        return refuse(
            format!("its output would be {height} × {width} × {channels} values"),
            "keep rows, columns and channels between 1 and 65,535",
        );
    }
    if shape.elements() > MOST_VALUES {
        let Shape { height, width, channels } = shape;
        return refuse(
            format!("its output would be {height} × {width} × {channels} values, more than any board holds"),
            "keep activations below 16 MiB",
        );
    }
    Ok(())
}
