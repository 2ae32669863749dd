//! Transposed 2-D convolution, which is the input gradient of a convolution: as a layer of its own, and as that gradient.

use super::{Conv2d, Operator, Range, floats};
use crate::graph::builder::{Graph, Node, Type, Value, dimensions};
use crate::graph::model::Attribute;
use anyhow::{Context, Result, ensure};

/// `x` [N, C, H, W], each of whose values is spread by its channel's `weights` [C, O, h, w], plus an optional bias [O]:
/// `y[s·i + k − before] += x[i] · w[k]` in both directions.
#[derive(Clone, Copy, Debug)]
struct ConvTranspose2d {
    /// The convolution that leads from `y` to `x`.
    conv: Conv2d,
}

impl Operator for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "ConvTranspose"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let bias = inputs.get(2).copied();
        let [x, weights] = floats(&inputs[..inputs.len().min(2)])?;
        let [batch, channels, height, width] = dimensions(x, "a convolution's input")?;
        let [weight_channels, filters, h, w] = dimensions(weights, "a convolution's weights")?;
        ensure!(channels == weight_channels, "{channels} channels meet weights for {weight_channels}");
        if let Some(bias) = bias {
            ensure!(bias.shape == [filters], "the bias has the shape {:?}, there are {filters} filters", bias.shape);
        }
        let size = |size: usize, kernel: usize, zeros: (usize, usize)| {
            let spread = (size.max(1) - 1) * self.conv.stride + kernel;
            spread.checked_sub(zeros.0 + zeros.1).filter(|size| *size > 0).context("cuts off more than there is")
        };
        Ok(Type::f32(&[batch, filters, size(height, h, self.conv.rows)?, size(width, w, self.conv.columns)?]))
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.conv.attributes()
    }

    /// The convolution that this is the gradient of, and its weight gradient with `x` and `dy` in each other's place.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [x, weights] = [node.inputs[0], node.inputs[1]];
        let dx = graph.conv2d_trained(dy, weights, None, self.conv)?;
        let mut gradients = vec![dx, self.conv.weight_gradient(graph, dy, weights, x)?];
        if node.inputs.len() == 3 {
            gradients.push(graph.reduce_sum(dy, &[0, 2, 3], false)?);
        }
        Ok(gradients)
    }
}

impl Graph {
    /// The transpose of the convolution `conv`: `x` [N, C, H, W] spread by `weights` [C, O, h, w], plus `bias` [O].
    pub fn conv_transpose2d(&mut self, x: Value, weights: Value, bias: Option<Value>, conv: Conv2d) -> Result<Value> {
        let inputs: Vec<Value> = [x, weights].into_iter().chain(bias).collect();
        self.apply(ConvTranspose2d { conv }, &inputs)
    }

    /// The same for a training step, in the form that is fastest on the CPU, and which CUDA has for any padding.
    pub fn conv_transpose2d_trained(
        &mut self,
        x: Value,
        weights: Value,
        bias: Option<Value>,
        conv: Conv2d,
    ) -> Result<Value> {
        let op = ConvTranspose2d { conv };
        let inputs: Vec<Value> = [x, weights].into_iter().chain(bias).collect();
        let types: Vec<&Type> = inputs.iter().map(|value| self.ty(*value)).collect();
        let ty = op.infer(&types)?;
        let y = conv.transposed(self, x, weights, bias, [ty.shape[2], ty.shape[3]])?;
        self.compose(op, &inputs, y)
    }
}

impl Conv2d {
    /// The transpose of this convolution, which is its input gradient: `small` [N, C, …] spread by `weights` [C, O, h, w], plus
    /// `bias` [O], to [N, O, `size`].
    ///
    /// Row `s·q + a` of the result, its phase `a` of `s` = stride, meets those rows of the kernel alone that are `a + before`
    /// modulo `s`. So each phase is a convolution of `small`, without a stride and with a part of the kernel, turned round;
    /// laid side by side as channels, the phases are put into their places by DepthToSpace.
    pub(super) fn transposed(
        &self,
        graph: &mut Graph,
        small: Value,
        weights: Value,
        bias: Option<Value>,
        size: [usize; 2],
    ) -> Result<Value> {
        let [_, _, h, w] = graph.dimensions(weights, "a convolution's weights")?;
        let [_, _, height, width] = graph.dimensions(small, "a convolution's output")?;
        let stride = self.stride;
        // A phase that meets no row of the kernel would be no convolution.
        let missing = |kernel: usize| (0, stride.saturating_sub(kernel));
        let weights = graph.pad(weights, &[(0, 0), (0, 0), missing(h), missing(w)])?;
        let phases_of = |axis: usize, kernel: usize, before: usize, from: usize, to: usize| {
            let phase = |a| Phase::new(axis, a, kernel.max(stride), before, stride, from, to.div_ceil(stride));
            (0..stride).map(phase).collect::<Vec<_>>()
        };
        let vertical = phases_of(2, h, self.rows.0, height, size[0]);
        let horizontal = phases_of(3, w, self.columns.0, width, size[1]);
        let mut phases = Vec::with_capacity(stride * stride);
        for (row, column) in vertical.iter().flat_map(|row| horizontal.iter().map(move |column| (row, column))) {
            let seen: Vec<Range> = [row.seen, column.seen].into_iter().flatten().collect();
            let seen = graph.slice(small, &seen)?;
            let part = graph.slice(weights, &[row.taps, column.taps])?;
            let part = graph.flip(part, &[2, 3])?;
            let part = graph.transpose(part, &[1, 0, 2, 3])?;
            let conv = Conv2d { stride: 1, rows: row.zeros, columns: column.zeros };
            phases.push(graph.conv2d_by_size(seen, part, bias, conv)?);
        }
        let side_by_side = if stride == 1 { phases[0] } else { graph.concat(&phases, 1)? };
        let whole = graph.depth_to_space(side_by_side, stride)?;
        let cut = |axis: usize| Range { axis, start: 0, end: size[axis - 2], step: 1 };
        let fits = graph.shape(whole)[2..] == size;
        if fits { Ok(whole) } else { graph.slice(whole, &[cut(2), cut(3)]) }
    }
}

/// One phase of a transposed convolution, in one direction.
struct Phase {
    /// The kernel's rows that it meets.
    taps: Range,
    /// The input's rows that it sees, if not all.
    seen: Option<Range>,
    /// Rows of zeros before and behind those.
    zeros: (usize, usize),
}

impl Phase {
    /// Phase `a` along `axis`, with a kernel of at least `stride` rows, where the convolution pads `before` zeros: `to` rows from
    /// `from` rows.
    fn new(axis: usize, a: usize, kernel: usize, before: usize, stride: usize, from: usize, to: usize) -> Self {
        let first = (a + before) % stride;
        let count = (kernel - first).div_ceil(stride);
        // Output q sees the inputs from q − ahead on; where that is negative, zeros, and where it is positive, what comes
        // before is seen by none. The same behind the last one.
        let ahead = count as isize - 1 - ((a + before) / stride) as isize;
        let behind = (to + count - 1) as isize - ahead - from as isize;
        let seen = (ahead < 0 || behind < 0).then(|| Range {
            axis,
            start: ahead.min(0).unsigned_abs(),
            end: from - behind.min(0).unsigned_abs(),
            step: 1,
        });
        let zeros = (ahead.max(0) as usize, behind.max(0) as usize);
        Phase { taps: Range { axis, start: first, end: kernel, step: stride }, seen, zeros }
    }
}
