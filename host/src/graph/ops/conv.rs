//! 2-D convolution.

use super::{Operator, Range, floats};
use crate::graph::builder::{Graph, Node, Type, Value, dimensions};
use crate::graph::layer::Padding;
use crate::graph::model::Attribute;
use anyhow::{Result, ensure};

/// Cross-correlation of `x` [N, C, H, W] with `weights` [O, C, h, w], plus an optional bias [O].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// In both directions.
    pub stride: usize,
    /// Rows of zeros above and below.
    pub rows: (usize, usize),
    /// Columns of zeros left and right.
    pub columns: (usize, usize),
}

/// Up to so many values a patch, the weight gradient gathers all patches and does one product: one wide product beats a narrow
/// one for each kernel position, until the gathered patches no longer fit the cache.
const GATHERED_PATCH: usize = 512;

impl Conv2d {
    /// `padding` worked out for an image of `height` × `width`; of an odd number of zeros, `Same` puts the larger part below
    /// and right, as ONNX's `SAME_UPPER` does.
    pub fn new(padding: Padding, kernel: usize, stride: usize, height: usize, width: usize) -> Self {
        let zeros = |size: usize| match padding {
            Padding::Valid => (0, 0),
            Padding::Same => {
                let covered = (size.div_ceil(stride) - 1) * stride + kernel;
                let total = covered.saturating_sub(size);
                (total / 2, total - total / 2)
            }
        };
        Conv2d { stride, rows: zeros(height), columns: zeros(width) }
    }

    /// Rows of the output for `height` rows of the input.
    pub fn rows_out(&self, height: usize, kernel: usize) -> Result<usize> {
        self.output(height, self.rows, kernel)
    }

    /// Columns of the output for `width` columns of the input.
    pub fn columns_out(&self, width: usize, kernel: usize) -> Result<usize> {
        self.output(width, self.columns, kernel)
    }

    fn output(&self, size: usize, zeros: (usize, usize), kernel: usize) -> Result<usize> {
        let padded = size + zeros.0 + zeros.1;
        ensure!(kernel > 0 && self.stride > 0 && padded >= kernel, "a kernel of {kernel} does not fit into {padded}");
        Ok((padded - kernel) / self.stride + 1)
    }

    /// ∂loss/∂x: `dy`, spread by the stride, convolved with the flipped and transposed weights. A plain Conv: ConvTranspose
    /// takes twice as long on the CPU.
    fn input_gradient(&self, graph: &mut Graph, x: Value, weights: Value, dy: Value) -> Result<Value> {
        let [_, _, height, width] = graph.dimensions(x, "a convolution's input")?;
        let [_, _, h, w] = graph.dimensions(weights, "a convolution's weights")?;
        let mut spread = dy;
        let mut zeros = [(0, 0); 2];
        for (side, size, kernel, before) in [(0, height, h, self.rows.0), (1, width, w, self.columns.0)] {
            spread = graph.dilate(spread, 2 + side, self.stride)?;
            let length = graph.shape(spread)[2 + side];
            ensure!(before < kernel, "padding of {before} with a kernel of {kernel} has no gradient");
            let before = kernel - 1 - before;
            // What the forward pass left over at the end gets no gradient: the padding there brings zeros.
            let needed = size + kernel - 1;
            let behind = needed as isize - (before + length) as isize;
            if behind < 0 {
                let end = needed - before;
                spread = graph.slice(spread, &[Range { axis: 2 + side, start: 0, end, step: 1 }])?;
            }
            zeros[side] = (before, behind.max(0) as usize);
        }
        let flipped = graph.flip(weights, &[2, 3])?;
        let transposed = graph.transpose(flipped, &[1, 0, 2, 3])?;
        graph.apply(Conv2d { stride: 1, rows: zeros[0], columns: zeros[1] }, &[spread, transposed])
    }

    /// ∂loss/∂weights: products of `dy` with the part of `x` that each kernel position saw, all in one while a patch is small
    /// enough. Faster on the CPU than a Conv with exchanged operands.
    fn weight_gradient(&self, graph: &mut Graph, x: Value, weights: Value, dy: Value) -> Result<Value> {
        let [batch, channels, height, width] = graph.dimensions(x, "a convolution's input")?;
        let [filters, _, h, w] = graph.dimensions(weights, "a convolution's weights")?;
        let [_, _, rows, columns] = graph.dimensions(dy, "a convolution's output")?;
        let positions = batch * rows * columns;
        // Channels first: the rows of the matrices below.
        let x = match channels {
            1 => graph.reshape(x, &[1, batch, height, width])?,
            _ => graph.transpose(x, &[1, 0, 2, 3])?,
        };
        let x = graph.pad(x, &[(0, 0), (0, 0), self.rows, self.columns])?;
        let dy = graph.transpose(dy, &[1, 0, 2, 3])?;
        let dy = graph.reshape(dy, &[filters, positions])?;
        let mut seen = Vec::with_capacity(h * w);
        for (i, j) in (0..h).flat_map(|i| (0..w).map(move |j| (i, j))) {
            let range = |axis, start, count| Range {
                axis,
                start,
                end: start + (count - 1) * self.stride + 1,
                step: self.stride,
            };
            let part = graph.slice(x, &[range(2, i, rows), range(3, j, columns)])?;
            seen.push(graph.reshape(part, &[channels, positions])?);
        }
        let by_position = if channels * h * w <= GATHERED_PATCH {
            let patches = graph.concat(&seen, 0)?;
            let product = graph.gemm(dy, patches, None, false, true)?;
            let product = graph.reshape(product, &[filters, h * w, channels])?;
            if channels == 1 { product } else { graph.transpose(product, &[0, 2, 1])? }
        } else {
            let product = |part| -> Result<Value> {
                let product = graph.gemm(dy, part, None, false, true)?;
                graph.reshape(product, &[filters, channels, 1])
            };
            let products = seen.into_iter().map(product).collect::<Result<Vec<_>>>()?;
            graph.concat(&products, 2)?
        };
        graph.reshape(by_position, &[filters, channels, h, w])
    }
}

impl Operator for Conv2d {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let bias = inputs.get(2).copied();
        let [x, weights] = floats(&inputs[..inputs.len().min(2)])?;
        let [batch, channels, height, width] = dimensions(x, "a convolution's input")?;
        let [filters, weight_channels, h, w] = dimensions(weights, "a convolution's weights")?;
        ensure!(channels == weight_channels, "{channels} channels meet weights for {weight_channels}");
        if let Some(bias) = bias {
            ensure!(bias.shape == [filters], "the bias has the shape {:?}, there are {filters} filters", bias.shape);
        }
        Ok(Type::f32(&[batch, filters, self.rows_out(height, h)?, self.columns_out(width, w)?]))
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let stride = self.stride as i64;
        let pads = [self.rows.0, self.columns.0, self.rows.1, self.columns.1].map(|zeros| zeros as i64);
        vec![("strides", Attribute::Ints(vec![stride, stride])), ("pads", Attribute::Ints(pads.to_vec()))]
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [x, weights] = [node.inputs[0], node.inputs[1]];
        let dx = self.input_gradient(graph, x, weights, dy)?;
        let mut gradients = vec![dx, self.weight_gradient(graph, x, weights, dy)?];
        if node.inputs.len() == 3 {
            gradients.push(graph.reduce_sum(dy, &[0, 2, 3], false)?);
        }
        Ok(gradients)
    }
}

impl Graph {
    /// `x` [N, C, H, W] convolved with `weights` [O, C, h, w], plus `bias` [O].
    pub fn conv2d(&mut self, x: Value, weights: Value, bias: Option<Value>, conv: Conv2d) -> Result<Value> {
        let inputs: Vec<Value> = [x, weights].into_iter().chain(bias).collect();
        self.apply(conv, &inputs)
    }
}
