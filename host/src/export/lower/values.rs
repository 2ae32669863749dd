//! What the rules are written with: values read, ops appended, names given.

use super::onnx::Node;
use super::view::{Axis, View};
use super::{Lowering, Refusal, Value, check_size, refuse};
use crate::quantize::{Float, Function, Kind, Op, Shape, Tensor};
use tract_onnx::pb::NodeProto;

impl<'m> Lowering<'m> {
    /// Whether the input's channels come last: the first thing that happens to it is that they are put first.
    pub(super) fn is_channels_last(&self, input: &str, rank: usize) -> bool {
        let wanted: &[i64] = if rank == 3 { &[0, 2, 1] } else { &[0, 3, 1, 2] };
        let mut readers = self.readers_of(input).peekable();
        readers.peek().is_some()
            && readers.all(|node| {
                node.op_type == "Transpose" && Node::new(node, 0).ints("perm").is_some_and(|perm| perm == wanted)
            })
    }

    /// The nodes that read a value.
    pub(super) fn readers_of(&self, value: &str) -> impl Iterator<Item = &'m NodeProto> {
        let nodes = self.graph.node.iter();
        nodes.filter(move |node| node.input.iter().any(|input| input == value)).collect::<Vec<_>>().into_iter()
    }

    /// Whether `value` is the model's answer and nothing else.
    pub(super) fn is_answer(&self, value: &str) -> bool {
        self.graph.output.iter().any(|output| output.name == value) && self.uses.get(value) == Some(&1)
    }

    /// Whether nothing but convolutions reads `value`, as their input.
    pub(super) fn only_convolutions_read(&self, value: &str) -> bool {
        let is_answer = self.graph.output.iter().any(|output| output.name == value);
        !is_answer && self.readers_of(value).all(|node| node.op_type == "Conv" && node.input[0] == value)
    }

    /// The zeros around what `node` reads.
    pub(super) fn take_padding(&self, node: &Node<'m>) -> [usize; 4] {
        node.input(0).and_then(|name| self.padding.get(name)).copied().unwrap_or_default()
    }

    pub(super) fn is_constant(&self, node: &Node<'m>, index: usize) -> bool {
        node.input(index).is_some_and(|name| self.constants.contains(name))
    }

    /// The activation that `node` reads first.
    pub(super) fn activation(&self, node: &Node<'m>) -> Result<Value, Refusal> {
        self.activation_at(node, 0)
    }

    /// The activation that `node` reads as input `index`.
    pub(super) fn activation_at(&self, node: &Node<'m>, index: usize) -> Result<Value, Refusal> {
        let name = node.input(index).unwrap_or_default();
        match self.values.get(name) {
            Some(Some(value)) => Ok(value.clone()),
            _ if self.constants.contains(name) => {
                refuse(format!("it computes with the constant {name} alone"), "fold constants before exporting")
            }
            _ => refuse(format!("it reads {name:?}, which no node before it makes"), "sort the nodes by dependency"),
        }
    }

    /// Like [`Self::activation`], for an operator over images or sequences: tensor, shape and number of dimensions.
    pub(super) fn image(&self, node: &Node<'m>) -> Result<(usize, Shape, usize), Refusal> {
        let value = self.activation(node)?;
        let (shape, rank) = (self.shape(&value), value.view.rank());
        if !(3..=4).contains(&rank) || !value.view.is(&View::channels_first(rank), shape) {
            return refuse(
                format!("it reads a value of the dimensions {:?} in an order of its own", value.view.sides(shape)),
                "give it a value of the shape [N, C, H, W] or [N, C, L]",
            );
        }
        Ok((value.tensor, shape, rank))
    }

    pub(super) fn shape(&self, value: &Value) -> Shape {
        self.network.tensors[value.tensor].shape
    }

    /// Appends an op that reads tensors `inputs` and writes a new one of `shape`, which `node` answers with.
    pub(super) fn push(
        &mut self,
        node: &Node<'m>,
        kind: Kind<Float>,
        inputs: &[usize],
        shape: Shape,
        view: View,
    ) -> Result<(), Refusal> {
        let tensor = self.append(node.name(), kind, inputs, shape)?;
        self.becomes(node, tensor, view);
        Ok(())
    }

    /// Appends an op whose output no ONNX value is.
    pub(super) fn append(
        &mut self,
        name: String,
        kind: Kind<Float>,
        inputs: &[usize],
        shape: Shape,
    ) -> Result<usize, Refusal> {
        if inputs.iter().any(|input| self.steps.tensors.contains(input)) {
            return refuse(
                "it reads a value of every step of a sequence",
                "let LSTMs read it, and the other layers the last step's state: Y_h, or the last of Y",
            );
        }
        let output = self.tensor(name.clone(), shape)?;
        self.network.ops.push(Op { name, kind, inputs: inputs.to_vec(), output, weight_scales: None });
        Ok(output)
    }

    /// A tensor that no op writes as yet, and that one reads.
    pub(super) fn tensor(&mut self, name: String, shape: Shape) -> Result<usize, Refusal> {
        check_size(shape)?;
        self.network.tensors.push(Tensor { name, value: None, shape, onnx_order: [2, 0, 1], affine: None });
        self.readers.push(1);
        Ok(self.network.tensors.len() - 1)
    }

    /// Tensor `tensor` holds what `node` answers with.
    pub(super) fn becomes(&mut self, node: &Node<'m>, tensor: usize, view: View) {
        self.answer(node.output(), tensor, view);
    }

    /// Tensor `tensor` holds the value `name`.
    pub(super) fn answer(&mut self, name: &'m str, tensor: usize, view: View) {
        let place = &mut self.network.tensors[tensor];
        place.value = Some(name.into());
        if let Ok(order) = <[Axis; 3]>::try_from(view.order(place.shape)) {
            place.onnx_order = order.map(|axis| axis as usize);
        }
        self.readers[tensor] = self.uses.get(name).copied().unwrap_or_default();
        self.values.insert(name, Some(Value { tensor, view }));
    }

    /// `node` moves no numbers: its output is its input, seen as `change` says.
    pub(super) fn alias(
        &mut self,
        node: &Node<'m>,
        change: impl FnOnce(View, Shape) -> Result<View, Refusal>,
    ) -> Result<(), Refusal> {
        let Value { tensor, view } = self.activation(node)?;
        let view = change(view, self.network.tensors[tensor].shape)?;
        // Who reads the new name reads the tensor, as this node did.
        let uses = self.uses.get(node.output()).copied().unwrap_or_default();
        self.readers[tensor] = (self.readers[tensor] + uses).saturating_sub(1);
        self.values.insert(node.output(), Some(Value { tensor, view }));
        Ok(())
    }

    /// `tensor`, or a copy of it where its scale is given from elsewhere, so that a concatenation can choose one.
    pub(super) fn rescalable(&mut self, node: &Node<'m>, number: usize, tensor: usize) -> Result<usize, Refusal> {
        let mut root = tensor;
        let is_fixed = loop {
            let Some(op) = self.network.ops.iter().find(|op| op.output == root) else { break true };
            match op.kind {
                Kind::MaxPool2d { .. } | Kind::Slice { .. } => root = op.inputs[0],
                _ if self.network.tensors[root].affine.is_some() => break true,
                Kind::Lookup { function } => break function.output_affine().is_some(),
                _ => break false,
            }
        };
        if !is_fixed {
            return Ok(tensor);
        }
        let shape = self.network.tensors[tensor].shape;
        let name = format!("{}.input{number}", node.name());
        self.append(name, Kind::Lookup { function: Function::Identity }, &[tensor], shape)
    }
}
