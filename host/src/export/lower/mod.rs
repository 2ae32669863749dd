//! ONNX graph → [`Network<Float>`]: shapes inferred, NCHW turned into NHWC, all that is unsupported named at once.
//!
//! Images are `[N, C, H, W]`, vectors `[N, C]`; N is the batch, which stays out of the network. Flatten moves
//! nothing: a value only remembers that ONNX counts it in NCHW order, and the Gemm that reads it gets its
//! weights' columns re-ordered. So no transpose is left to run on a device.
//!
//! A new operator is one rule: a function in a file here, a line in [`Lowering::node`], and what it becomes in
//! [`Kind`](crate::quantize::Kind).

mod activation;
mod conv;
mod dense;
pub(super) mod onnx;
mod reshape;
#[cfg(test)]
mod tests;

use crate::quantize::{Float, Function, Kind, Network, Op, Shape, Tensor};
use anyhow::{Context, Result, bail, ensure};
use onnx::{Constants, Node};
use std::collections::HashMap;
use tract_onnx::pb::{ModelProto, ValueInfoProto};

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
#[derive(Clone, Copy)]
struct Value {
    /// Index of the tensor.
    tensor: usize,
    /// Whether ONNX sees it as `[N, C·H·W]`, in NCHW order.
    flat: bool,
}

struct Lowering<'m> {
    constants: Constants<'m>,
    /// How often a value is read by nodes or is an answer of the graph.
    uses: HashMap<&'m str, usize>,
    /// `None` for values that come from a refused node: whoever reads them is refused no second time.
    values: HashMap<&'m str, Option<Value>>,
    network: Network<Float>,
}

/// Lowers the float model `model`; `name` becomes the network's.
///
/// Fails with one sentence for a broken file, or with one line for each unsupported node.
pub fn lower(model: &ModelProto, name: &str) -> Result<Network<Float>> {
    let graph = model.graph.as_ref().context("the ONNX file holds no graph; export the model again")?;
    let opset = model.opset_import.iter().find(|set| set.domain.is_empty()).map_or(0, |set| set.version);
    ensure!((7..=22).contains(&opset), "the ONNX file is of opset {opset}; export it again with an opset from 7 to 22");
    let constants = Constants::of(graph)?;
    let inputs: Vec<_> = graph.input.iter().filter(|input| !constants.contains(&input.name)).collect();
    let [input] = inputs[..] else {
        bail!("the model has {} inputs; models with exactly one are supported", inputs.len())
    };
    let [output] = &graph.output[..] else {
        bail!("the model has {} outputs; models with exactly one are supported", graph.output.len())
    };
    let mut uses = HashMap::new();
    let read = graph.node.iter().flat_map(|node| &node.input).chain([&output.name]);
    read.for_each(|value| *uses.entry(value.as_str()).or_insert(0) += 1);
    let network = Network { name: name.into(), tensors: Vec::new(), ops: Vec::new(), input: 0, output: 0 };
    let mut lowering = Lowering { constants, uses, values: HashMap::new(), network };
    lowering.input(input)?;
    let mut refused = Vec::new();
    for (index, node) in graph.node.iter().enumerate() {
        if let Err(Refusal { reason, remedy }) = lowering.node(&Node::new(node, index)) {
            refused.push(format!("\n  {} ({}): {reason}; {remedy}", Node::new(node, index).name(), node.op_type));
            node.output.iter().for_each(|value| _ = lowering.values.insert(value, None));
        }
    }
    if !refused.is_empty() {
        let nodes = if refused.len() == 1 { "node does" } else { "nodes do" };
        bail!("{} {nodes} not run on a board:{}", refused.len(), refused.concat());
    }
    lowering.finish(&output.name)
}

impl<'m> Lowering<'m> {
    fn input(&mut self, input: &'m ValueInfoProto) -> Result<()> {
        let sides = onnx::sides(input)?;
        let (shape, flat) = match sides[..] {
            [channels, height, width] => (Shape { height, width, channels }, false),
            [length] => (Shape::vector(length), true),
            _ => bail!(
                "input {} has {} dimensions behind the batch; [N, C, H, W] and [N, C] are supported",
                input.name,
                sides.len()
            ),
        };
        check_size(shape).map_err(|refusal| anyhow::anyhow!("input {}: {}", input.name, refusal.reason))?;
        self.network.tensors.push(Tensor { name: input.name.clone(), value: Some(input.name.clone()), shape });
        self.values.insert(&input.name, Some(Value { tensor: 0, flat }));
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
            "Conv" => conv::conv(self, node),
            "MaxPool" => conv::max_pool(self, node),
            "Gemm" => dense::gemm(self, node),
            "Relu" => activation::relu(self, node),
            "Sigmoid" => activation::lookup(self, node, Function::Sigmoid),
            "Flatten" => reshape::flatten(self, node),
            "Reshape" => reshape::reshape(self, node),
            "Identity" => self.alias(node, |value| value),
            // Its value was taken when the constants were collected.
            "Constant" => Ok(()),
            _ => refuse(
                "this operator is not supported",
                "build the model from Conv, MaxPool, Gemm, Relu, Sigmoid, Flatten and Reshape",
            ),
        }
    }

    /// The activation that `node` reads first.
    fn activation(&self, node: &Node<'m>) -> Result<Value, Refusal> {
        let name = node.input(0).unwrap_or_default();
        match self.values.get(name) {
            Some(Some(value)) => Ok(*value),
            _ if self.constants.contains(name) => {
                refuse(format!("it computes with the constant {name} alone"), "fold constants before exporting")
            }
            _ => refuse(
                format!("it reads {name:?}, which no node before it makes"),
                "sort the nodes by dependency; a graph with a cycle cannot run",
            ),
        }
    }

    /// Like [`Self::activation`], for an operator over images.
    fn image(&self, node: &Node<'m>) -> Result<(usize, Shape), Refusal> {
        let Value { tensor, flat } = self.activation(node)?;
        if flat {
            return refuse("it reads a vector where an image is needed", "give it a value of the shape [N, C, H, W]");
        }
        Ok((tensor, self.network.tensors[tensor].shape))
    }

    /// Appends an op that reads tensor `input` and writes a new one of `shape`.
    fn push(
        &mut self,
        node: &Node<'m>,
        kind: Kind<Float>,
        input: usize,
        shape: Shape,
        flat: bool,
    ) -> Result<(), Refusal> {
        check_size(shape)?;
        let output = self.network.tensors.len();
        let value = node.output();
        self.network.tensors.push(Tensor { name: node.name(), value: Some(value.into()), shape });
        self.network.ops.push(Op { name: node.name(), kind, inputs: vec![input], output });
        self.values.insert(value, Some(Value { tensor: output, flat }));
        Ok(())
    }

    /// `node` moves no numbers: its output is its input, seen as `change` says.
    fn alias(&mut self, node: &Node<'m>, change: impl FnOnce(Value) -> Value) -> Result<(), Refusal> {
        let value = self.activation(node)?;
        self.values.insert(node.output(), Some(change(value)));
        Ok(())
    }

    fn finish(mut self, output: &str) -> Result<Network<Float>> {
        let Some(Some(Value { tensor, flat })) = self.values.get(output).copied() else {
            bail!("the model's output {output} is made by none of its nodes");
        };
        let shape = self.network.tensors[tensor].shape;
        ensure!(
            !flat || shape.channels == 1 || shape.height * shape.width == 1,
            "the model ends in a Flatten of {} values in several channels; let it end in the layer before",
            shape.elements()
        );
        ensure!(!self.network.ops.is_empty(), "the model computes nothing: its output {output} is its input");
        self.network.output = tensor;
        self.network.check_finite()?;
        Ok(self.network)
    }
}

/// A container counts rows, columns and channels in 16 bits.
fn check_size(shape: Shape) -> Result<(), Refusal> {
    let sides = [shape.height, shape.width, shape.channels];
    if sides.iter().any(|&side| side == 0 || side > usize::from(u16::MAX)) {
        let [height, width, channels] = sides;
        return refuse(
            format!("its output would be {height} × {width} × {channels} values"),
            "keep rows, columns and channels between 1 and 65,535",
        );
    }
    Ok(())
}
