//! Pooling over square windows, and its inverse.

use super::{Operator, Range, floats, list};
use crate::graph::builder::{Element, Graph, Node, Type, Value, dimensions};
use crate::graph::model::Attribute;
use anyhow::{Result, ensure};

/// Maximum of each `size` × `size` window; rows and columns that fill no window are left out.
#[derive(Debug)]
struct MaxPool2d {
    size: usize,
}

/// Mean of each `size` × `size` window; sides must be multiples of `size`.
#[derive(Debug)]
struct AveragePool2d {
    size: usize,
}

/// Mean of each channel: [N, C, H, W] becomes [N, C, 1, 1].
#[derive(Debug)]
struct GlobalAveragePool;

/// Each value repeated `factor` times along rows and columns.
#[derive(Debug)]
struct Upsample2d {
    factor: usize,
}

impl Operator for MaxPool2d {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        pooled(inputs, self.size)
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        window(self.size)
    }

    /// The gradient is shared equally among the elements of a window that tie for its maximum (black borders tie exactly):
    /// giving each of them the whole would multiply it. Comparing with the repeated maximum is faster on the CPU than
    /// asking MaxPool for its indices and scattering to them.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let x = node.inputs[0];
        let [_, _, height, width] = graph.dimensions(x, "a pool's input")?;
        let [_, _, rows, columns] = graph.dimensions(dy, "a pool's output")?;
        let (used_height, used_width) = (rows * self.size, columns * self.size);
        let whole = used_height == height && used_width == width;
        let used = match whole {
            true => x,
            false => graph.slice(
                x,
                &[
                    Range { axis: 2, start: 0, end: used_height, step: 1 },
                    Range { axis: 3, start: 0, end: used_width, step: 1 },
                ],
            )?,
        };
        let maximum = graph.upsample2d(node.output, self.size)?;
        let ties = graph.equal(used, maximum)?;
        let mask = graph.cast(ties, Element::F32)?;
        let fraction = graph.average_pool2d(mask, self.size)?;
        let count = graph.scale(fraction, (self.size * self.size) as f32)?;
        let share = graph.div(dy, count)?;
        let share = graph.upsample2d(share, self.size)?;
        let dx = graph.mul(mask, share)?;
        Ok(vec![graph.pad(dx, &[(0, 0), (0, 0), (0, height - used_height), (0, width - used_width)])?])
    }
}

impl Operator for AveragePool2d {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let [_, _, height, width] = dimensions(x, "a pool's input")?;
        let whole = self.size > 0 && height % self.size == 0 && width % self.size == 0;
        ensure!(whole, "{height} × {width} is not a whole number of {0} × {0} windows", self.size);
        pooled(inputs, self.size)
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        window(self.size)
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value) -> Result<Vec<Value>> {
        let share = graph.scale(dy, 1.0 / (self.size * self.size) as f32)?;
        Ok(vec![graph.upsample2d(share, self.size)?])
    }
}

impl Operator for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "GlobalAveragePool"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let [batch, channels, ..] = dimensions::<4>(x, "a pool's input")?;
        Ok(Type::f32(&[batch, channels, 1, 1]))
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let shape = graph.shape(node.inputs[0]).to_vec();
        let share = graph.scale(dy, 1.0 / (shape[2] * shape[3]) as f32)?;
        Ok(vec![graph.expand(share, &shape)?])
    }
}

impl Operator for Upsample2d {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let [batch, channels, height, width] = dimensions(x, "an image")?;
        ensure!(self.factor > 0, "repeats at least once");
        Ok(Type::f32(&[batch, channels, height * self.factor, width * self.factor]))
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let modes = [("mode", "nearest"), ("nearest_mode", "floor"), ("coordinate_transformation_mode", "asymmetric")];
        modes.into_iter().map(|(name, mode)| (name, Attribute::String(mode))).collect()
    }

    fn operands(&self, inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        let mut sizes = inputs[0].shape.clone();
        sizes[2] *= self.factor;
        sizes[3] *= self.factor;
        // Region of interest and scales are left out.
        vec![None, None, Some(list(&sizes))]
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value) -> Result<Vec<Value>> {
        let mean = graph.average_pool2d(dy, self.factor)?;
        Ok(vec![graph.scale(mean, (self.factor * self.factor) as f32)?])
    }
}

impl Graph {
    /// Maximum of each `size` × `size` window of `x` [N, C, H, W]; what fills no window is left out.
    pub fn max_pool2d(&mut self, x: Value, size: usize) -> Result<Value> {
        self.apply(MaxPool2d { size }, &[x])
    }

    /// Mean of each `size` × `size` window of `x` [N, C, H, W], H and W multiples of `size`.
    pub fn average_pool2d(&mut self, x: Value, size: usize) -> Result<Value> {
        self.apply(AveragePool2d { size }, &[x])
    }

    /// Mean of each channel of `x` [N, C, H, W]: [N, C, 1, 1].
    pub fn global_average_pool(&mut self, x: Value) -> Result<Value> {
        self.apply(GlobalAveragePool, &[x])
    }

    /// Repeats each value of `x` [N, C, H, W] `factor` times along rows and columns.
    pub fn upsample2d(&mut self, x: Value, factor: usize) -> Result<Value> {
        self.apply(Upsample2d { factor }, &[x])
    }
}

fn window(size: usize) -> Vec<(&'static str, Attribute)> {
    let sides = || Attribute::Ints(vec![size as i64; 2]);
    vec![("kernel_shape", sides()), ("strides", sides())]
}

fn pooled(inputs: &[&Type], size: usize) -> Result<Type> {
    let [x] = floats(inputs)?;
    let [batch, channels, height, width] = dimensions(x, "a pool's input")?;
    let fits = size > 0 && height >= size && width >= size;
    ensure!(fits, "a window of {size} × {size} does not fit into {height} × {width}");
    Ok(Type::f32(&[batch, channels, height / size, width / size]))
}
