//! Convolution of small images as one product of matrices.

use super::{Conv2d, Operator, Range};
use crate::graph::builder::{Graph, Node, Type, Value};
use anyhow::Result;

/// Whether one product over the patches of all images is faster on the CPU than ONNX Runtime's Conv, which multiplies image by
/// image: where the matrices of one image are too small, that is, with few places and many channels. The patches serve the
/// weight gradient too. `host/benches/conv_forms.py` measures both.
fn pays(places: usize, channels: usize) -> bool {
    2 * places <= channels
}

/// A convolution of `x` with weights that other nodes have computed, over patches of `x`.
#[derive(Debug)]
struct Product {
    conv: Conv2d,
    /// [N·rows·columns, h·w·C]
    patches: Value,
}

impl Operator for Product {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        self.conv.infer(inputs)
    }

    /// ∂loss/∂weights = dyᵀ · patches, with a row a place; ∂loss/∂x as that of any convolution.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [x, weights] = node.inputs[..] else { unreachable!("infer() counted them") };
        let [_, _, height, width] = graph.dimensions(x, "a convolution's input")?;
        let [filters, channels, h, w] = graph.dimensions(weights, "a convolution's weights")?;
        let places = graph.shape(self.patches)[0];
        let rows = graph.transpose(dy, &[0, 2, 3, 1])?;
        let rows = graph.reshape(rows, &[places, filters])?;
        let product = graph.gemm(rows, self.patches, None, true, false)?;
        let product = graph.reshape(product, &[filters, h, w, channels])?;
        let dweights = graph.transpose(product, &[0, 3, 1, 2])?;
        Ok(vec![self.conv.transposed(graph, dy, weights, None, [height, width])?, dweights])
    }
}

impl Graph {
    /// `x` [N, C, H, W] convolved with `weights` [O, C, h, w], plus `bias` [O]: over patches where images are small, else by Conv.
    /// N has to be fixed.
    pub(super) fn conv2d_by_size(
        &mut self,
        x: Value,
        weights: Value,
        bias: Option<Value>,
        conv: Conv2d,
    ) -> Result<Value> {
        let [_, channels, height, width] = self.dimensions(x, "a convolution's input")?;
        let [_, _, h, w] = self.dimensions(weights, "a convolution's weights")?;
        let places = conv.rows_out(height, h)? * conv.columns_out(width, w)?;
        if h * w == 1 || !pays(places, channels) {
            return self.conv2d(x, weights, bias, conv);
        }
        let y = self.multiply_patches(x, weights, conv)?;
        let Some(bias) = bias else { return Ok(y) };
        let filters = self.shape(bias)[0];
        let bias = self.reshape(bias, &[1, filters, 1, 1])?;
        self.add(y, bias)
    }

    fn multiply_patches(&mut self, x: Value, weights: Value, conv: Conv2d) -> Result<Value> {
        let [batch, _, height, width] = self.dimensions(x, "a convolution's input")?;
        let [filters, channels, h, w] = self.dimensions(weights, "a convolution's weights")?;
        let (rows, columns) = (conv.rows_out(height, h)?, conv.columns_out(width, w)?);
        let last = self.transpose(x, &[0, 2, 3, 1])?;
        let padded = self.pad(last, &[(0, 0), conv.rows, conv.columns, (0, 0)])?;
        let seen = |(i, j): (usize, usize)| {
            let range = |axis, start: usize, count: usize| Range {
                axis,
                start,
                end: start + (count - 1) * conv.stride + 1,
                step: conv.stride,
            };
            self.slice(padded, &[range(1, i, rows), range(2, j, columns)])
        };
        let positions = (0..h).flat_map(|i| (0..w).map(move |j| (i, j)));
        let seen = positions.map(seen).collect::<Result<Vec<_>>>()?;
        let patches = self.concat(&seen, 3)?;
        let patches = self.reshape(patches, &[batch * rows * columns, h * w * channels])?;
        let matrix = self.transpose(weights, &[0, 2, 3, 1])?;
        let matrix = self.reshape(matrix, &[filters, h * w * channels])?;
        let product = self.gemm(patches, matrix, None, false, true)?;
        let product = self.reshape(product, &[batch, rows, columns, filters])?;
        let computed = self.transpose(product, &[0, 3, 1, 2])?;
        self.compose(Product { conv, patches }, &[x, weights], computed)
    }
}
