//! The typed graph builder: values with static shapes, nodes, constants.

use super::ops::Operator;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    F32,
    I64,
    Bool,
}

/// Element and shape of a tensor; a scalar has the empty shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    pub element: Element,
    pub shape: Vec<usize>,
}

impl Type {
    /// A tensor of `f32`.
    pub fn f32(shape: &[usize]) -> Self {
        Type { element: Element::F32, shape: shape.to_vec() }
    }
}

/// A tensor of one [`Graph`]: an input, a constant or what a node computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) usize);

/// An operator at work: what it reads and the value that it computes.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) op: Rc<dyn Operator>,
    pub(super) inputs: Vec<Value>,
    /// The operator's integer operands (shapes, axes, pads …) behind `inputs`; `None` leaves an optional one out.
    pub(super) operands: Vec<Option<Value>>,
    pub(super) output: Value,
    /// What the operator computes beside `output`, for its gradient rule alone.
    pub(super) kept: Vec<Value>,
    /// Whether other nodes compute `output`: then this one is not written, but its gradient rule stands for theirs.
    pub(super) composed: bool,
}

/// Where a value's content comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    Input,
    /// Little-endian, row-major.
    Constant(Vec<u8>),
    Node,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub ty: Type,
    pub origin: Origin,
}

/// An ONNX graph under construction. Every shape is known when a node is added, so that a wrong one is an error there and
/// not when the graph runs. Nodes stand in the order in which they were added, which is an order in which they can run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(super) entries: Vec<Entry>,
    pub(super) nodes: Vec<Node>,
    pub(super) outputs: Vec<(String, Value)>,
    constants: HashMap<(Element, Vec<usize>, Vec<u8>), Value>,
    names: HashSet<String>,
    scope: String,
    /// Dimensions of inputs and outputs that are written as symbols: value, axis, symbol.
    pub(super) symbols: Vec<(Value, usize, &'static str)>,
    pub(super) unrolled: bool,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names of the nodes added from here on start with `scope/`, e.g. with a layer's name; `""` ends that.
    pub fn scope(&mut self, scope: &str) {
        self.scope = if scope.is_empty() { String::new() } else { format!("{scope}/") };
    }

    /// Writes every [`scan`](Self::scan) as its steps, one behind the other, instead of as a loop: longer to load, but CUDA can
    /// capture it as one graph.
    pub fn unroll(&mut self, unrolled: bool) {
        self.unrolled = unrolled;
    }

    /// A tensor of `f32` given at each run.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Result<Value> {
        self.named(name, Type::f32(shape), Origin::Input)
    }

    /// A tensor of integers given at each run.
    pub fn input_integers(&mut self, name: &str, shape: &[usize]) -> Result<Value> {
        self.named(name, Type { element: Element::I64, shape: shape.to_vec() }, Origin::Input)
    }

    /// Writes the size of `value`, an input or output, along `axis` as a symbol: any size will do. No node may depend on it.
    pub fn symbol(&mut self, value: Value, axis: usize, symbol: &'static str) {
        self.symbols.push((value, axis, symbol));
    }

    /// A named tensor of `f32` stored in the model, e.g. trained weights. `data` is row-major.
    pub fn initializer(&mut self, name: &str, shape: &[usize], data: &[f32]) -> Result<Value> {
        ensure!(
            data.len() == shape.iter().product::<usize>(),
            "initializer {name}: {} values do not fill the shape {shape:?}",
            data.len()
        );
        let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.named(name, Type::f32(shape), Origin::Constant(bytes))
    }

    /// An unnamed constant of `f32`; equal ones are stored once.
    pub fn constant(&mut self, shape: &[usize], data: &[f32]) -> Value {
        debug_assert_eq!(data.len(), shape.iter().product::<usize>());
        self.shared_constant(Type::f32(shape), data.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// An unnamed scalar constant.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.constant(&[], &[value])
    }

    /// Makes `value` an output called `name`.
    pub fn output(&mut self, name: &str, value: Value) -> Result<()> {
        ensure!(self.names.insert(name.to_owned()), "the graph already has a tensor named {name}");
        self.outputs.push((name.to_owned(), value));
        Ok(())
    }

    /// Adds a node; its shape rule is checked here.
    pub fn apply(&mut self, op: impl Operator + 'static, inputs: &[Value]) -> Result<Value> {
        let types: Vec<&Type> = inputs.iter().map(|&input| self.ty(input)).collect();
        let ty = op.infer(&types).with_context(|| {
            let shapes: Vec<_> = types.iter().map(|ty| format!("{:?}", ty.shape)).collect();
            format!("{}{} of {}", self.scope, op.name(), shapes.join(", "))
        })?;
        let (operands, kept) = (op.operands(&types), op.kept(&types));
        let operands = operands.into_iter().map(|operand| operand.map(|list| self.integers(&list))).collect();
        let name = self.unique(&format!("{}{}", self.scope, op.name()));
        let kept = kept.into_iter().map(|ty| {
            let name = self.unique(&format!("{name}.kept"));
            self.push(name, ty, Origin::Node)
        });
        let kept = kept.collect();
        let output = self.push(name, ty, Origin::Node);
        self.nodes.push(Node { op: Rc::new(op), inputs: inputs.to_vec(), operands, output, kept, composed: false });
        Ok(output)
    }

    /// Says that `output`, which the nodes just added compute from `inputs`, is what `op` gives: the gradient follows the rule
    /// of `op` instead of theirs.
    pub(super) fn compose(&mut self, op: impl Operator + 'static, inputs: &[Value], output: Value) -> Result<Value> {
        let types: Vec<&Type> = inputs.iter().map(|&input| self.ty(input)).collect();
        let ty = op.infer(&types)?;
        ensure!(ty == *self.ty(output), "{} gives {ty:?}, composed was {:?}", op.name(), self.ty(output));
        let (operands, kept) = (Vec::new(), Vec::new());
        self.nodes.push(Node { op: Rc::new(op), inputs: inputs.to_vec(), operands, output, kept, composed: true });
        Ok(output)
    }

    /// The inputs, in the order in which they were added.
    pub(super) fn inputs(&self) -> Vec<Value> {
        (0..self.entries.len()).map(Value).filter(|value| self.entries[value.0].origin == Origin::Input).collect()
    }

    /// Element and shape of a value.
    pub fn ty(&self, value: Value) -> &Type {
        &self.entries[value.0].ty
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> &[usize] {
        &self.ty(value).shape
    }

    /// The shape of a value with `N` dimensions, or an error that names `what` expected it.
    pub fn dimensions<const N: usize>(&self, value: Value, what: &str) -> Result<[usize; N]> {
        dimensions(self.ty(value), what)
    }

    /// A constant of integers; equal ones are stored once. `data` is row-major.
    pub fn integer_constant(&mut self, shape: &[usize], data: &[i64]) -> Value {
        debug_assert_eq!(data.len(), shape.iter().product::<usize>());
        let ty = Type { element: Element::I64, shape: shape.to_vec() };
        self.shared_constant(ty, data.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn integers(&mut self, list: &[i64]) -> Value {
        self.integer_constant(&[list.len()], list)
    }

    fn shared_constant(&mut self, ty: Type, bytes: Vec<u8>) -> Value {
        let key = (ty.element, ty.shape.clone(), bytes.clone());
        if let Some(&value) = self.constants.get(&key) {
            return value;
        }
        let name = self.unique("constant");
        let value = self.push(name, ty, Origin::Constant(bytes));
        self.constants.insert(key, value);
        value
    }

    fn named(&mut self, name: &str, ty: Type, origin: Origin) -> Result<Value> {
        if !self.names.insert(name.to_owned()) {
            bail!("the graph already has a tensor named {name}");
        }
        Ok(self.push(name.to_owned(), ty, origin))
    }

    fn unique(&mut self, stem: &str) -> String {
        let mut name = stem.to_owned();
        let mut suffix = self.entries.len();
        while !self.names.insert(name.clone()) {
            name = format!("{stem}_{suffix}");
            suffix += 1;
        }
        name
    }

    fn push(&mut self, name: String, ty: Type, origin: Origin) -> Value {
        self.entries.push(Entry { name, ty, origin });
        Value(self.entries.len() - 1)
    }
}

/// The `N` dimensions of `ty`, or an error that names `what` expected them.
pub(super) fn dimensions<const N: usize>(ty: &Type, what: &str) -> Result<[usize; N]> {
    let shape = ty.shape.as_slice();
    shape.try_into().ok().with_context(|| format!("{what} has {N} dimensions, got {shape:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_constants_are_stored_once() {
        let mut graph = Graph::new();
        let one = graph.scalar(1.0);
        assert_eq!(graph.scalar(1.0), one);
        assert_ne!(graph.scalar(2.0), one);
        assert_ne!(graph.constant(&[1], &[1.0]), one, "another shape is another constant");
    }

    #[test]
    fn a_wrong_shape_is_an_error_that_names_operator_and_shapes() {
        let mut graph = Graph::new();
        let a = graph.input("a", &[2, 3]).unwrap();
        let b = graph.input("b", &[4, 5]).unwrap();
        graph.scope("layer");
        let message = format!("{:#}", graph.matmul(a, b).unwrap_err());
        assert!(message.contains("layer/MatMul of [2, 3], [4, 5]"), "{message}");
    }

    #[test]
    fn a_name_is_given_once() {
        let mut graph = Graph::new();
        graph.input("a", &[1]).unwrap();
        assert!(graph.input("a", &[1]).is_err());
        assert!(graph.initializer("a", &[1], &[0.0]).is_err());
    }
}
