//! Sums, means and maxima along axes.

use super::{Operator, floats, list};
use crate::graph::builder::{Element, Graph, Node, Type, Value};
use crate::graph::model::Attribute;
use anyhow::{Result, ensure};

#[derive(Debug)]
enum Kind {
    Sum,
    Mean,
    Max,
}

#[derive(Debug)]
struct Reduce {
    kind: Kind,
    /// Ascending.
    axes: Vec<usize>,
    keep: bool,
}

impl Operator for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sum => "ReduceSum",
            Kind::Mean => "ReduceMean",
            Kind::Max => "ReduceMax",
        }
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        ensure!(self.axes.iter().all(|&axis| axis < x.shape.len()), "has no axes {:?}", self.axes);
        // ONNX takes an empty list of axes for all of them.
        ensure!(!self.axes.is_empty(), "needs at least one axis");
        let kept = kept(&x.shape, &self.axes);
        let dropped = |(axis, size)| if self.axes.contains(&axis) { None } else { Some(size) };
        Ok(Type::f32(&if self.keep { kept } else { kept.into_iter().enumerate().filter_map(dropped).collect() }))
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("keepdims", Attribute::Int(self.keep.into()))]
    }

    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        vec![Some(list(&self.axes))]
    }

    /// Sum: `dy` repeated; mean: that over the count; maximum: shared equally among the elements that tie for it, so that
    /// the sum of the gradient stays `dy`.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let x = node.inputs[0];
        let shape = graph.shape(x).to_vec();
        let kept = kept(&shape, &self.axes);
        let dy = graph.reshape(dy, &kept)?;
        Ok(vec![match self.kind {
            Kind::Sum => graph.expand(dy, &shape)?,
            Kind::Mean => {
                let count: usize = self.axes.iter().map(|&axis| shape[axis]).product();
                let share = graph.scale(dy, 1.0 / count as f32)?;
                graph.expand(share, &shape)?
            }
            Kind::Max => {
                let maximum = graph.reshape(node.output, &kept)?;
                let ties = graph.equal(x, maximum)?;
                let mask = graph.cast(ties, Element::F32)?;
                let count = graph.reduce_sum(mask, &self.axes, true)?;
                let share = graph.div(dy, count)?;
                graph.mul(mask, share)?
            }
        }])
    }
}

impl Graph {
    /// Sum along `axes` (ascending); `keep` leaves them as size 1.
    pub fn reduce_sum(&mut self, x: Value, axes: &[usize], keep: bool) -> Result<Value> {
        self.apply(Reduce { kind: Kind::Sum, axes: axes.to_vec(), keep }, &[x])
    }

    /// Mean along `axes` (ascending); `keep` leaves them as size 1.
    pub fn reduce_mean(&mut self, x: Value, axes: &[usize], keep: bool) -> Result<Value> {
        self.apply(Reduce { kind: Kind::Mean, axes: axes.to_vec(), keep }, &[x])
    }

    /// Maximum along `axes` (ascending); `keep` leaves them as size 1.
    pub fn reduce_max(&mut self, x: Value, axes: &[usize], keep: bool) -> Result<Value> {
        self.apply(Reduce { kind: Kind::Max, axes: axes.to_vec(), keep }, &[x])
    }
}

fn kept(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size }).collect()
}
