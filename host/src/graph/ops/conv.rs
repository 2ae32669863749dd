//! 2-D convolution.

use super::{Operator, Range, floats};
use crate::graph::builder::{Graph, Node, Type, Value, dimensions};
use crate::graph::layer::Padding;
use crate::graph::model::Attribute;
use anyhow::{Context, Result, ensure};

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

    /// ∂loss/∂weights: products of `dy` with the part of `x` that each kernel position saw. Faster on the CPU than a Conv with
    /// exchanged operands; which product is the fastest depends on the shapes.
    pub(super) fn weight_gradient(&self, graph: &mut Graph, x: Value, weights: Value, dy: Value) -> Result<Value> {
        let [filters, channels, h, w] = graph.dimensions(weights, "a convolution's weights")?;
        let stride = self.stride;
        if self.has_few(filters, channels) {
            self.weight_gradient_by_outputs(graph, x, weights, dy)
        } else if channels * h * w > GATHERED_PATCH && stride > 1 && h % stride == 0 && w % stride == 0 {
            self.weight_gradient_by_blocks(graph, x, weights, dy)
        } else {
            self.weight_gradient_by_inputs(graph, x, weights, dy)
        }
    }

    /// Whether patches of the output are so much smaller than those of the input that it pays to gather them instead.
    fn has_few(&self, filters: usize, channels: usize) -> bool {
        self.stride == 1 && 4 * filters <= channels
    }

    /// What each kernel position saw of `x`: all in one product while a patch is small enough.
    fn weight_gradient_by_inputs(&self, graph: &mut Graph, x: Value, weights: Value, dy: Value) -> Result<Value> {
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
        let dy = by_channel(graph, dy)?;
        let mut seen = Vec::with_capacity(h * w);
        for (i, j) in places(h, w) {
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

    /// With a stride, slices of `x` would copy value by value. With blocks of stride × stride values as channels they are
    /// whole rows, and each product makes the gradient of stride × stride kernel positions. Both sides of the kernel are
    /// multiples of the stride.
    fn weight_gradient_by_blocks(&self, graph: &mut Graph, x: Value, weights: Value, dy: Value) -> Result<Value> {
        let [batch, channels, _, _] = graph.dimensions(x, "a convolution's input")?;
        let [filters, _, h, w] = graph.dimensions(weights, "a convolution's weights")?;
        let [_, _, rows, columns] = graph.dimensions(dy, "a convolution's output")?;
        let stride = self.stride;
        let x = graph.pad(x, &[(0, 0), (0, 0), self.rows, self.columns])?;
        let read = |axis, count: usize, kernel| Range { axis, start: 0, end: (count - 1) * stride + kernel, step: 1 };
        let x = graph.slice(x, &[read(2, rows, h), read(3, columns, w)])?;
        let x = graph.space_to_depth(x, stride)?;
        let x = graph.transpose(x, &[1, 0, 2, 3])?;
        let dy = by_channel(graph, dy)?;
        let block = stride * stride * channels;
        let mut products = Vec::new();
        for (i, j) in places(h / stride, w / stride) {
            let range = |axis, start, count| Range { axis, start, end: start + count, step: 1 };
            let part = graph.slice(x, &[range(2, i, rows), range(3, j, columns)])?;
            let part = graph.reshape(part, &[block, batch * rows * columns])?;
            let product = graph.gemm(dy, part, None, false, true)?;
            products.push(graph.reshape(product, &[filters, 1, block])?);
        }
        let all = graph.concat(&products, 1)?;
        // A kernel row is `block row · stride + row in the block`.
        let all = graph.reshape(all, &[filters, h / stride, w / stride, stride, stride, channels])?;
        let all = graph.transpose(all, &[0, 5, 1, 3, 2, 4])?;
        graph.reshape(all, &[filters, channels, h, w])
    }

    /// Which outputs each value of `x` went into: the sum over u of `x[u] · dy[u − k]` for kernel position k. Stride 1.
    fn weight_gradient_by_outputs(&self, graph: &mut Graph, x: Value, weights: Value, dy: Value) -> Result<Value> {
        let [batch, channels, height, width] = graph.dimensions(x, "a convolution's input")?;
        let [filters, _, h, w] = graph.dimensions(weights, "a convolution's weights")?;
        let around = |zeros: (usize, usize), kernel: usize| (kernel - 1 - zeros.0, kernel - 1 - zeros.1);
        let dy = graph.pad(dy, &[(0, 0), (0, 0), around(self.rows, h), around(self.columns, w)])?;
        let mut reached = Vec::with_capacity(h * w);
        for (i, j) in places(h, w) {
            let range = |axis, start, count| Range { axis, start, end: start + count, step: 1 };
            reached.push(graph.slice(dy, &[range(2, h - 1 - i, height), range(3, w - 1 - j, width)])?);
        }
        let reached = graph.concat(&reached, 1)?;
        let reached = graph.reshape(reached, &[batch, h * w * filters, height * width])?;
        let x = graph.reshape(x, &[batch, channels, height * width])?;
        let x = graph.transpose(x, &[0, 2, 1])?;
        let products = graph.matmul(reached, x)?;
        let sum = graph.reduce_sum(products, &[0], false)?;
        let sum = graph.reshape(sum, &[h, w, filters, channels])?;
        graph.transpose(sum, &[2, 3, 0, 1])
    }
}

/// `dy` [N, C, H, W] as a matrix [C, N·H·W].
fn by_channel(graph: &mut Graph, dy: Value) -> Result<Value> {
    let [batch, channels, rows, columns] = graph.dimensions(dy, "a convolution's output")?;
    let dy = graph.transpose(dy, &[1, 0, 2, 3])?;
    graph.reshape(dy, &[channels, batch * rows * columns])
}

/// All positions of a kernel, row by row.
fn places(h: usize, w: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..h).flat_map(move |i| (0..w).map(move |j| (i, j)))
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
        let [_, _, height, width] = graph.dimensions(x, "a convolution's input")?;
        let dx = self.transposed(graph, dy, weights, None, [height, width])?;
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

    /// The same for a training step, in the form that is fastest on the CPU. With few filters, unfolding the patches of many
    /// channels takes longer than the products: instead, each kernel position is multiplied where it stands, and the products
    /// are shifted and added.
    pub fn conv2d_trained(&mut self, x: Value, weights: Value, bias: Option<Value>, conv: Conv2d) -> Result<Value> {
        let [filters, channels, h, w] = self.dimensions(weights, "a convolution's weights")?;
        if h * w == 1 || !conv.has_few(filters, channels) {
            return self.conv2d_by_size(x, weights, bias, conv);
        }
        let [_, _, height, width] = self.dimensions(x, "a convolution's input")?;
        let (rows, columns) = (conv.rows_out(height, h)?, conv.columns_out(width, w)?);
        let by_place = self.transpose(weights, &[2, 3, 0, 1])?;
        let by_place = self.reshape(by_place, &[h * w * filters, channels, 1, 1])?;
        let products = self.conv2d(x, by_place, None, Conv2d { stride: 1, rows: (0, 0), columns: (0, 0) })?;
        let products = self.pad(products, &[(0, 0), (0, 0), conv.rows, conv.columns])?;
        let mut sum = bias.map(|bias| self.reshape(bias, &[1, filters, 1, 1])).transpose()?;
        for (place, (i, j)) in places(h, w).enumerate() {
            let range = |axis, start, count| Range { axis, start, end: start + count, step: 1 };
            let ranges = [range(1, place * filters, filters), range(2, i, rows), range(3, j, columns)];
            let part = self.slice(products, &ranges)?;
            sum = Some(sum.map_or(Ok(part), |sum| self.add(part, sum))?);
        }
        let sum = sum.context("a kernel has at least one position")?;
        let inputs: Vec<Value> = [x, weights].into_iter().chain(bias).collect();
        self.compose(conv, &inputs, sum)
    }
}
