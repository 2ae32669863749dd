//! Add, Sub, Mul and Div with broadcast, and Expand.

use super::{Operator, floats, list};
use crate::graph::builder::{Graph, Node, Type, Value};
use anyhow::{Result, bail, ensure};

#[derive(Debug)]
struct Add;

#[derive(Debug)]
struct Sub;

#[derive(Debug)]
struct Mul;

#[derive(Debug)]
struct Div;

/// Repeats a tensor along dimensions of size 1 (and new leading ones).
#[derive(Debug)]
struct Expand {
    shape: Vec<usize>,
}

impl Operator for Add {
    fn name(&self) -> &'static str {
        "Add"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        broadcast(inputs)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        Ok(vec![graph.unbroadcast(dy, node.inputs[0])?, graph.unbroadcast(dy, node.inputs[1])?])
    }
}

impl Operator for Sub {
    fn name(&self) -> &'static str {
        "Sub"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        broadcast(inputs)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let negative = graph.neg(dy)?;
        Ok(vec![graph.unbroadcast(dy, node.inputs[0])?, graph.unbroadcast(negative, node.inputs[1])?])
    }
}

impl Operator for Mul {
    fn name(&self) -> &'static str {
        "Mul"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        broadcast(inputs)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let [da, db] = [graph.mul(dy, b)?, graph.mul(dy, a)?];
        Ok(vec![graph.unbroadcast(da, a)?, graph.unbroadcast(db, b)?])
    }
}

impl Operator for Div {
    fn name(&self) -> &'static str {
        "Div"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        broadcast(inputs)
    }

    /// ∂(a/b)/∂a = 1/b, ∂(a/b)/∂b = −(a/b)/b.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let da = graph.div(dy, b)?;
        let product = graph.mul(da, node.output)?;
        let db = graph.neg(product)?;
        Ok(vec![graph.unbroadcast(da, a)?, graph.unbroadcast(db, b)?])
    }
}

impl Operator for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let target = Type::f32(&self.shape);
        ensure!(broadcast(&[x, &target])? == target, "does not expand to {:?}", self.shape);
        Ok(target)
    }

    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        vec![Some(list(&self.shape))]
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        Ok(vec![graph.unbroadcast(dy, node.inputs[0])?])
    }
}

impl Graph {
    /// `a + b`, broadcast as NumPy does.
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value> {
        self.apply(Add, &[a, b])
    }

    /// `a − b`, broadcast.
    pub fn sub(&mut self, a: Value, b: Value) -> Result<Value> {
        self.apply(Sub, &[a, b])
    }

    /// `a · b` element by element, broadcast.
    pub fn mul(&mut self, a: Value, b: Value) -> Result<Value> {
        self.apply(Mul, &[a, b])
    }

    /// `a / b`, broadcast.
    pub fn div(&mut self, a: Value, b: Value) -> Result<Value> {
        self.apply(Div, &[a, b])
    }

    /// `x · factor`.
    pub fn scale(&mut self, x: Value, factor: f32) -> Result<Value> {
        let factor = self.scalar(factor);
        self.mul(x, factor)
    }

    /// `x` repeated to `shape`; itself if it has that shape.
    pub fn expand(&mut self, x: Value, shape: &[usize]) -> Result<Value> {
        if self.shape(x) == shape { Ok(x) } else { self.apply(Expand { shape: shape.to_vec() }, &[x]) }
    }

    /// Sums `dy` over the dimensions along which `x` was repeated: the gradient of a broadcast.
    fn unbroadcast(&mut self, dy: Value, x: Value) -> Result<Value> {
        let (from, to) = (self.shape(dy).to_vec(), self.shape(x).to_vec());
        if from == to {
            return Ok(dy);
        }
        let new = from.len() - to.len();
        let repeated = |axis: &usize| *axis < new || (to[axis - new] == 1 && from[*axis] != 1);
        let axes: Vec<usize> = (0..from.len()).filter(repeated).collect();
        let sum = self.reduce_sum(dy, &axes, true)?;
        if new == 0 { Ok(sum) } else { self.reshape(sum, &to) }
    }
}

/// NumPy's rule: shapes are aligned at their ends, and dimensions must be equal or 1.
fn broadcast(inputs: &[&Type]) -> Result<Type> {
    let [a, b] = floats(inputs)?;
    let rank = a.shape.len().max(b.shape.len());
    let size = |ty: &Type, axis: usize| (axis + ty.shape.len()).checked_sub(rank).map_or(1, |axis| ty.shape[axis]);
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        match (size(a, axis), size(b, axis)) {
            (a, b) if a == b || b == 1 => shape.push(a),
            (1, b) => shape.push(b),
            (a, b) => bail!("sizes {a} and {b} of dimension {axis} differ and neither is 1"),
        }
    }
    Ok(Type::f32(&shape))
}
