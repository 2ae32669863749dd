//! Batch normalization.

use super::{Operator, floats};
use crate::graph::builder::{Graph, Node, Type, Value};
use crate::graph::model::Attribute;
use anyhow::{Result, bail, ensure};

/// Added to the variance, so that a channel that never changes is not divided by zero.
pub const EPSILON: f32 = 1e-5;

/// `scale · (x − mean) / √(variance + ε) + shift`, channel by channel: ONNX's operator in the form that takes the statistics
/// as inputs. The form that works them out itself has no kernel outside ONNX Runtime's own training builds.
#[derive(Debug)]
struct Normalize;

/// The same for `x` [N, C, …], scale and shift, with the statistics of `x` itself, which other nodes have worked out.
#[derive(Debug)]
struct BatchNorm {
    /// [C]
    mean: Value,
    variance: Value,
}

impl Operator for Normalize {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x, rest @ ..] = floats::<5>(inputs)?;
        per_channel(x, &rest)
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("epsilon", Attribute::Float(EPSILON))]
    }
}

impl Operator for BatchNorm {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x, rest @ ..] = floats::<3>(inputs)?;
        per_channel(x, &rest)
    }

    /// With `x̂ = (x − mean) / σ` and `n` values a channel: `dshift = Σ dy`, `dscale = Σ dy·x̂`, and, as mean and variance are
    /// those of `x`, `dx = scale/σ · (dy − dshift/n − x̂·dscale/n)`. `x̂` is not made: `dx = a·dy + b·x + c` with three numbers a
    /// channel takes two passes less, and `b·x + c` is one, by ONNX's operator.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [x, scale, _] = node.inputs[..] else { unreachable!("infer() counted them") };
        let (mean, shape) = (self.mean, graph.shape(x).to_vec());
        let channels = shape[1];
        let count = shape.iter().product::<usize>() / channels;
        let axes = statistic_axes(graph, x);
        let inverse = inverse_deviation(graph, self.variance)?;

        let dshift = graph.reduce_sum(dy, &axes, false)?;
        let product = graph.mul(dy, x)?;
        let product = graph.reduce_sum(product, &axes, false)?;
        // Σ dy·x̂ = (Σ dy·x − mean·Σ dy) / σ
        let centre = graph.mul(mean, dshift)?;
        let centred = graph.sub(product, centre)?;
        let dscale = graph.mul(centred, inverse)?;

        let a = graph.mul(scale, inverse)?;
        let share = graph.mul(dscale, inverse)?;
        let share = graph.scale(share, -1.0 / count as f32)?;
        let b = graph.mul(a, share)?;
        // c = −a·dshift/n − b·mean
        let constant = graph.scale(dshift, 1.0 / count as f32)?;
        let constant = graph.mul(a, constant)?;
        let moved = graph.mul(b, mean)?;
        let sum = graph.add(constant, moved)?;
        let c = graph.neg(sum)?;
        let of_x = graph.affine(x, b, c)?;
        let broadcast: Vec<usize> = (0..shape.len()).map(|axis| if axis == 1 { channels } else { 1 }).collect();
        let a = graph.reshape(a, &broadcast)?;
        let of_dy = graph.mul(dy, a)?;
        Ok(vec![graph.add(of_dy, of_x)?, dscale, dshift])
    }
}

impl Graph {
    /// `x` [N, C, …] normalized by the mean and variance of each channel over the batch, then scaled and shifted, one value of
    /// `scale` and `shift` a channel; and that mean and variance, both [C].
    pub fn batch_norm(&mut self, x: Value, scale: Value, shift: Value) -> Result<(Value, [Value; 2])> {
        let axes = statistic_axes(self, x);
        let mean = self.reduce_mean(x, &axes, false)?;
        let square = self.mul(x, x)?;
        let mean_square = self.reduce_mean(square, &axes, false)?;
        let square_mean = self.mul(mean, mean)?;
        let variance = self.sub(mean_square, square_mean)?;
        // Rounding can make a channel of equal values a little negative.
        let variance = self.relu(variance)?;
        let y = self.normalize(x, scale, shift, [mean, variance])?;
        Ok((self.compose(BatchNorm { mean, variance }, &[x, scale, shift], y)?, [mean, variance]))
    }

    /// `scale · (x − mean) / √(variance + ε) + shift` for `x` [N, C, …], all others [C].
    pub fn normalize(&mut self, x: Value, scale: Value, shift: Value, [mean, variance]: [Value; 2]) -> Result<Value> {
        self.apply(Normalize, &[x, scale, shift, mean, variance])
    }

    /// `factor · x + constant`, both [C]; in one pass over `x`, where a product and a sum would take two.
    fn affine(&mut self, x: Value, factor: Value, constant: Value) -> Result<Value> {
        let channels = self.shape(factor)[0];
        let zeros = self.constant(&[channels], &vec![0.0; channels]);
        let ones = self.constant(&[channels], &vec![1.0 - EPSILON; channels]);
        self.normalize(x, factor, constant, [zeros, ones])
    }
}

/// Type of `x` [N, C, …], if all of `given` are [C].
fn per_channel(x: &Type, given: &[&Type]) -> Result<Type> {
    let [_, channels, ..] = x.shape[..] else { bail!("takes [N, C, …]") };
    for given in given {
        ensure!(given.shape == [channels], "takes one value for each of {channels} channels, got {:?}", given.shape);
    }
    Ok(x.clone())
}

/// `1 / √(variance + ε)`
fn inverse_deviation(graph: &mut Graph, variance: Value) -> Result<Value> {
    let (one, epsilon) = (graph.scalar(1.0), graph.scalar(EPSILON));
    let shifted = graph.add(variance, epsilon)?;
    let deviation = graph.sqrt(shifted)?;
    graph.div(one, deviation)
}

/// All axes of `x` [N, C, …] but that of the channels.
fn statistic_axes(graph: &Graph, x: Value) -> Vec<usize> {
    (0..graph.shape(x).len()).filter(|&axis| axis != 1).collect()
}
