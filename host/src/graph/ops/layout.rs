//! Operators that move elements without changing them.

use super::{Operator, floats, list};
use crate::graph::builder::{Graph, Node, Type, Value, dimensions};
use crate::graph::model::Attribute;
use anyhow::{Result, bail, ensure};

#[derive(Debug)]
struct Reshape {
    shape: Vec<usize>,
}

/// Everything behind the first dimension in one.
#[derive(Debug)]
struct Flatten;

/// The opposite of Flatten: rows become images; unlike Reshape for any number of them.
#[derive(Debug)]
struct Unflatten {
    /// Channels, height, width.
    shape: [usize; 3],
}

#[derive(Debug)]
struct Transpose {
    order: Vec<usize>,
}

/// Elements `start`, `start + step` … below `end` along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub axis: usize,
    pub start: usize,
    pub end: usize,
    /// At least 1.
    pub step: usize,
}

#[derive(Debug)]
struct Slice {
    ranges: Vec<Range>,
}

/// Reverses the order along axes.
#[derive(Debug)]
struct Flip {
    axes: Vec<usize>,
}

#[derive(Debug)]
struct Concat {
    axis: usize,
}

/// Zeros before and behind, one pair an axis.
#[derive(Debug)]
struct Pad {
    pads: Vec<(usize, usize)>,
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = inputs else { bail!("takes one input") };
        let same = x.shape.iter().product::<usize>() == self.shape.iter().product::<usize>();
        ensure!(same, "does not fill the shape {:?}", self.shape);
        Ok(Type { element: x.element, shape: self.shape.clone() })
    }

    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        vec![Some(list(&self.shape))]
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let shape = graph.shape(node.inputs[0]).to_vec();
        Ok(vec![graph.reshape(dy, &shape)?])
    }
}

impl Operator for Flatten {
    fn name(&self) -> &'static str {
        "Flatten"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let [first, rest @ ..] = &x.shape[..] else { bail!("takes at least one dimension") };
        Ok(Type::f32(&[*first, rest.iter().product()]))
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let shape = graph.shape(node.inputs[0]).to_vec();
        Ok(vec![graph.reshape(dy, &shape)?])
    }
}

impl Operator for Unflatten {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let [batch, length] = dimensions(x, "a vector a sample")?;
        let [channels, height, width] = self.shape;
        ensure!(length == channels * height * width, "{length} values do not fill {channels} × {height} × {width}");
        Ok(Type::f32(&[batch, channels, height, width]))
    }

    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        // 0: as it is.
        vec![Some([&[0], list(&self.shape).as_slice()].concat())]
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value) -> Result<Vec<Value>> {
        Ok(vec![graph.flatten(dy)?])
    }
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = inputs else { bail!("takes one input") };
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        ensure!(sorted.iter().copied().eq(0..x.shape.len()), "does not have the axes {:?}", self.order);
        Ok(Type { element: x.element, shape: self.order.iter().map(|&axis| x.shape[axis]).collect() })
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("perm", Attribute::Ints(list(&self.order)))]
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value) -> Result<Vec<Value>> {
        let mut inverse = vec![0; self.order.len()];
        for (to, &from) in self.order.iter().enumerate() {
            inverse[from] = to;
        }
        Ok(vec![graph.transpose(dy, &inverse)?])
    }
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let mut shape = x.shape.clone();
        for range in &self.ranges {
            let fits = range.axis < shape.len() && range.start < range.end && range.end <= x.shape[range.axis];
            ensure!(fits && range.step > 0, "does not contain {range:?}");
            shape[range.axis] = (range.end - range.start).div_ceil(range.step);
        }
        Ok(Type::f32(&shape))
    }

    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        let column = |field: fn(&Range) -> usize| Some(self.ranges.iter().map(|range| field(range) as i64).collect());
        let mut operands = vec![column(|range| range.start), column(|range| range.end), column(|range| range.axis)];
        // Told the steps, even steps of one, ONNX Runtime copies value by value: four times slower than row by row.
        if self.ranges.iter().any(|range| range.step != 1) {
            operands.push(column(|range| range.step));
        }
        operands
    }

    /// Zeros where nothing was taken.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let shape = graph.shape(node.inputs[0]).to_vec();
        let mut pads = vec![(0, 0); shape.len()];
        let mut dx = dy;
        for range in &self.ranges {
            dx = graph.dilate(dx, range.axis, range.step)?;
            let behind = shape[range.axis] - range.start - graph.shape(dx)[range.axis];
            pads[range.axis] = (range.start, behind);
        }
        Ok(vec![graph.pad(dx, &pads)?])
    }
}

impl Operator for Flip {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        ensure!(self.axes.iter().all(|&axis| axis < x.shape.len()), "has no axes {:?}", self.axes);
        Ok(x.clone())
    }

    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        let all = |value: i64| Some(vec![value; self.axes.len()]);
        // From the last element to before the first: ONNX clamps the far end.
        vec![all(-1), all(i64::MIN), Some(list(&self.axes)), all(-1)]
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value) -> Result<Vec<Value>> {
        Ok(vec![graph.flip(dy, &self.axes)?])
    }
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [first, rest @ ..] = inputs else { bail!("takes at least one input") };
        let mut ty = (*first).clone();
        ensure!(self.axis < ty.shape.len(), "has no axis {}", self.axis);
        for other in rest {
            let mut aligned = other.shape.clone();
            ensure!(aligned.len() == ty.shape.len(), "takes inputs with equally many dimensions");
            aligned[self.axis] = first.shape[self.axis];
            ensure!(aligned == first.shape, "takes inputs that differ in axis {} alone", self.axis);
            ty.shape[self.axis] += other.shape[self.axis];
        }
        Ok(ty)
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("axis", Attribute::Int(self.axis as i64))]
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let mut start = 0;
        let mut parts = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            let end = start + graph.shape(input)[self.axis];
            parts.push(graph.slice(dy, &[Range { axis: self.axis, start, end, step: 1 }])?);
            start = end;
        }
        Ok(parts)
    }
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        ensure!(self.pads.len() == x.shape.len(), "takes one pair of pads an axis, got {:?}", self.pads);
        let sizes = x.shape.iter().zip(&self.pads).map(|(size, (before, behind))| size + before + behind);
        Ok(Type::f32(&sizes.collect::<Vec<_>>()))
    }

    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        let before = self.pads.iter().map(|pad| pad.0 as i64);
        vec![Some(before.chain(self.pads.iter().map(|pad| pad.1 as i64)).collect())]
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let shape = graph.shape(node.inputs[0]).to_vec();
        let padded = self.pads.iter().enumerate().filter(|(_, pad)| **pad != (0, 0));
        let range =
            |(axis, pad): (usize, &(usize, usize))| Range { axis, start: pad.0, end: pad.0 + shape[axis], step: 1 };
        let ranges: Vec<Range> = padded.map(range).collect();
        Ok(vec![graph.slice(dy, &ranges)?])
    }
}

impl Graph {
    /// The elements of `x` in row-major order, in another shape.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Result<Value> {
        if self.shape(x) == shape { Ok(x) } else { self.apply(Reshape { shape: shape.to_vec() }, &[x]) }
    }

    /// Everything behind the first dimension in one.
    pub fn flatten(&mut self, x: Value) -> Result<Value> {
        self.apply(Flatten, &[x])
    }

    /// `x` [N, C·H·W] as images [N, C, H, W], `shape` being [C, H, W].
    pub fn unflatten(&mut self, x: Value, shape: [usize; 3]) -> Result<Value> {
        self.apply(Unflatten { shape }, &[x])
    }

    /// Axis `i` of the result is axis `order[i]` of `x`.
    pub fn transpose(&mut self, x: Value, order: &[usize]) -> Result<Value> {
        self.apply(Transpose { order: order.to_vec() }, &[x])
    }

    /// Cuts along each of `ranges`; without any, `x` itself.
    pub fn slice(&mut self, x: Value, ranges: &[Range]) -> Result<Value> {
        if ranges.is_empty() { Ok(x) } else { self.apply(Slice { ranges: ranges.to_vec() }, &[x]) }
    }

    /// Reverses the order along `axes`.
    pub fn flip(&mut self, x: Value, axes: &[usize]) -> Result<Value> {
        self.apply(Flip { axes: axes.to_vec() }, &[x])
    }

    /// Joins along `axis`.
    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Result<Value> {
        self.apply(Concat { axis }, parts)
    }

    /// Surrounds with zeros: `(before, behind)` for each axis; without any, `x` itself.
    pub fn pad(&mut self, x: Value, pads: &[(usize, usize)]) -> Result<Value> {
        let none = pads.iter().all(|pad| *pad == (0, 0));
        if none { Ok(x) } else { self.apply(Pad { pads: pads.to_vec() }, &[x]) }
    }

    /// Puts `step − 1` zeros between neighbours along `axis`: size `n` becomes `(n − 1) · step + 1`.
    pub(super) fn dilate(&mut self, x: Value, axis: usize, step: usize) -> Result<Value> {
        let shape = self.shape(x).to_vec();
        if step == 1 {
            return Ok(x);
        }
        let mut split = shape.clone();
        split.insert(axis + 1, 1);
        let column = self.reshape(x, &split)?;
        let mut pads = vec![(0, 0); split.len()];
        pads[axis + 1] = (0, step - 1);
        let padded = self.pad(column, &pads)?;
        let mut joined = shape.clone();
        joined[axis] *= step;
        let long = self.reshape(padded, &joined)?;
        self.slice(long, &[Range { axis, start: 0, end: (shape[axis] - 1) * step + 1, step: 1 }])
    }
}
