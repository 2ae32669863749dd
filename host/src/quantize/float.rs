//! Evaluates a float network in plain loops.
//!
//! Calibration runs through it rather than through ONNX Runtime because the order of additions here does
//! not depend on the machine: the same model and images give the same ranges, and so the same container,
//! everywhere.

use super::bounds::Bounds;
use super::network::{Float, Kind, Network, Shape, Window};

/// A [`Network`] with its weights transposed, so that the innermost loop runs over output channels.
pub struct Evaluator<'n> {
    network: &'n Network<Float>,
    /// One an op, HWIO or `[input][output]`; empty where the op has no weights.
    transposed: Vec<Vec<f32>>,
}

impl<'n> Evaluator<'n> {
    /// Prepares `network`.
    pub fn new(network: &'n Network<Float>) -> Self {
        let transposed = network
            .ops
            .iter()
            .map(|op| op.parameters().map_or_else(Vec::new, |p| transpose(&p.weights, p.bias.len())))
            .collect();
        Self { network, transposed }
    }

    /// Every tensor's values for one `input` (NHWC), in the order of [`Network::tensors`].
    pub fn run(&self, input: &[f32]) -> Vec<Vec<f32>> {
        let network = self.network;
        let mut tensors = vec![Vec::new(); network.tensors.len()];
        tensors[network.input] = input.to_vec();
        for (index, op) in network.ops.iter().enumerate() {
            let source = &tensors[op.inputs[0]];
            let (from, to) = (network.input_shape(op), network.output_shape(op));
            tensors[op.output] = match &op.kind {
                Kind::Conv2d { bounds, pool, .. } => {
                    let whole = Shape { height: to.height * pool[0], width: to.width * pool[1], ..to };
                    let mut values = self.sums(index, source);
                    clamp(&mut values, *bounds);
                    let pool = Window { kernel: *pool, stride: *pool, padding: [0; 4] };
                    if pool.kernel == [1, 1] { values } else { max_pool2d(&values, whole, &pool, to) }
                }
                Kind::DepthwiseConv2d { bounds, .. } | Kind::Dense { bounds, .. } => {
                    let mut values = self.sums(index, source);
                    clamp(&mut values, *bounds);
                    values
                }
                Kind::ConvTranspose2d { function, .. } => {
                    let mut values = self.sums(index, source);
                    if let Some(function) = function {
                        values.iter_mut().for_each(|value| *value = function.apply(*value));
                    }
                    values
                }
                Kind::Add { subtract, bounds } => {
                    let sign = if *subtract { -1.0 } else { 1.0 };
                    let mut values: Vec<f32> =
                        source.iter().zip(&tensors[op.inputs[1]]).map(|(a, b)| a + sign * b).collect();
                    clamp(&mut values, *bounds);
                    values
                }
                Kind::Multiply { bounds } => {
                    let mut values =
                        multiply([source, &tensors[op.inputs[1]]], network.tensors[op.inputs[1]].shape, to);
                    clamp(&mut values, *bounds);
                    values
                }
                Kind::Concat { axis } => {
                    let count: usize = [to.height, to.width, to.channels][..*axis].iter().product();
                    let run = |input: &usize, place: usize| {
                        let length = tensors[*input].len() / count;
                        &tensors[*input][place * length..][..length]
                    };
                    (0..count)
                        .flat_map(|place| op.inputs.iter().flat_map(move |input| run(input, place).to_vec()))
                        .collect()
                }
                Kind::Slice { starts, steps } => {
                    let at = |axis: usize, index: usize| starts[axis] + index * steps[axis];
                    let line = |row: usize, column: usize| (at(0, row) * from.width + at(1, column)) * from.channels;
                    let places = (0..to.height).flat_map(|row| (0..to.width).map(move |column| (row, column)));
                    let values = places.flat_map(|(row, column)| {
                        (0..to.channels).map(move |channel| source[line(row, column) + at(2, channel)])
                    });
                    values.collect()
                }
                Kind::AveragePool2d { window, padded, bounds } => {
                    let mut values = average_pool2d(source, from, window, *padded, to);
                    clamp(&mut values, *bounds);
                    values
                }
                Kind::MaxPool2d { window } => max_pool2d(source, from, window, to),
                Kind::Lookup { function } => source.iter().map(|&x| function.apply(x)).collect(),
            };
        }
        tensors
    }

    /// What op number `index` makes of `input` before bounds, pool and function, place by place; nothing of an op without weights.
    pub fn sums(&self, index: usize, input: &[f32]) -> Vec<f32> {
        let (op, weights) = (&self.network.ops[index], &self.transposed[index]);
        let (from, to) = (self.network.input_shape(op), self.network.output_shape(op));
        match &op.kind {
            Kind::Conv2d { parameters, window, pool, .. } => {
                let whole = Shape { height: to.height * pool[0], width: to.width * pool[1], ..to };
                conv2d(input, from, weights, &parameters.bias, window, whole)
            }
            Kind::DepthwiseConv2d { parameters, window, .. } => {
                depthwise_conv2d(input, from, weights, &parameters.bias, window, to)
            }
            Kind::ConvTranspose2d { parameters, window, .. } => {
                conv_transpose2d(input, from, weights, &parameters.bias, window, to)
            }
            Kind::Dense { parameters, .. } => {
                let mut values = parameters.bias.clone();
                accumulate(&mut values, input, weights);
                values
            }
            _ => Vec::new(),
        }
    }
}

/// `a · b`, where `b` has the shape `from`, whose sides are as long as those of `to` or 1.
fn multiply([a, b]: [&[f32]; 2], from: Shape, to: Shape) -> Vec<f32> {
    let nearest = |index: usize, side: usize| index.min(side - 1);
    let at = |index: usize| {
        let (place, channel) = (index / to.channels, index % to.channels);
        let [row, column] = [nearest(place / to.width, from.height), nearest(place % to.width, from.width)];
        b[(row * from.width + column) * from.channels + nearest(channel, from.channels)]
    };
    a.iter().enumerate().map(|(index, a)| a * at(index)).collect()
}

/// `[output][rest]` → `[rest][output]`.
fn transpose(weights: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = weights.len() / outputs;
    (0..weights.len()).map(|i| weights[(i % outputs) * inputs + i / outputs]).collect()
}

/// `sums[o] += Σᵢ inputs[i] · weights[i][o]`
fn accumulate(sums: &mut [f32], inputs: &[f32], weights: &[f32]) {
    for (&x, row) in inputs.iter().zip(weights.chunks_exact(sums.len())) {
        for (sum, &w) in sums.iter_mut().zip(row) {
            *sum += x * w;
        }
    }
}

fn clamp(values: &mut [f32], bounds: Bounds) {
    values.iter_mut().for_each(|value| *value = bounds.apply(*value));
}

/// The `to.height × to.width` first places of the convolution; `weights` are HWIO.
fn conv2d(x: &[f32], from: Shape, weights: &[f32], bias: &[f32], window: &Window, to: Shape) -> Vec<f32> {
    let [kernel_height, kernel_width] = window.kernel;
    let row_weights = kernel_width * from.channels * to.channels;
    let mut y = Vec::with_capacity(to.elements());
    for (top, left) in places(window, to) {
        let start = y.len();
        y.extend_from_slice(bias);
        let columns = inside(left, kernel_width, from.width);
        for row in inside(top, kernel_height, from.height) {
            let line = (top + row as isize) as usize * from.width;
            let first = (line as isize + left + columns.start as isize) as usize * from.channels;
            let weights = &weights[row * row_weights + columns.start * from.channels * to.channels..];
            accumulate(&mut y[start..], &x[first..first + columns.len() * from.channels], weights);
        }
    }
    y
}

/// Each value of `x` spread by the kernel; `weights` are HWIO.
fn conv_transpose2d(x: &[f32], from: Shape, weights: &[f32], bias: &[f32], window: &Window, to: Shape) -> Vec<f32> {
    let tap_weights = from.channels * to.channels;
    let mut y = bias.repeat(to.height * to.width);
    for ((top, left), values) in places(window, from).zip(x.chunks_exact(from.channels)) {
        let columns = inside(left, window.kernel[1], to.width);
        for row in inside(top, window.kernel[0], to.height) {
            for column in columns.clone() {
                let place = (top + row as isize) as usize * to.width + (left + column as isize) as usize;
                let weights = &weights[(row * window.kernel[1] + column) * tap_weights..][..tap_weights];
                accumulate(&mut y[place * to.channels..][..to.channels], values, weights);
            }
        }
    }
    y
}

/// As [`conv2d`], each channel by itself; `weights` are HWC.
fn depthwise_conv2d(x: &[f32], from: Shape, weights: &[f32], bias: &[f32], window: &Window, to: Shape) -> Vec<f32> {
    let channels = from.channels;
    let mut y = Vec::with_capacity(to.elements());
    for (top, left) in places(window, to) {
        let start = y.len();
        y.extend_from_slice(bias);
        for row in inside(top, window.kernel[0], from.height) {
            for column in inside(left, window.kernel[1], from.width) {
                let place = (top + row as isize) as usize * from.width + (left + column as isize) as usize;
                let values = x[place * channels..].iter().zip(&weights[(row * window.kernel[1] + column) * channels..]);
                y[start..].iter_mut().zip(values).for_each(|(sum, (x, w))| *sum += x * w);
            }
        }
    }
    y
}

fn average_pool2d(x: &[f32], from: Shape, window: &Window, padded: bool, to: Shape) -> Vec<f32> {
    let channels = from.channels;
    let mut y = Vec::with_capacity(to.elements());
    for (top, left) in places(window, to) {
        let start = y.len();
        y.resize(start + channels, 0.0);
        let [rows, columns] = [inside(top, window.kernel[0], from.height), inside(left, window.kernel[1], from.width)];
        let count = if padded { window.kernel[0] * window.kernel[1] } else { rows.len() * columns.len() };
        for row in rows {
            for column in columns.clone() {
                let place = (top + row as isize) as usize * from.width + (left + column as isize) as usize;
                y[start..].iter_mut().zip(&x[place * channels..]).for_each(|(sum, x)| *sum += x);
            }
        }
        y[start..].iter_mut().for_each(|sum| *sum /= count as f32);
    }
    y
}

fn max_pool2d(x: &[f32], from: Shape, window: &Window, to: Shape) -> Vec<f32> {
    let mut y = Vec::with_capacity(to.elements());
    for (top, left) in places(window, to) {
        for channel in 0..to.channels {
            let rows = inside(top, window.kernel[0], from.height);
            let values = rows.flat_map(|row| {
                let line = (top + row as isize) as usize * from.width;
                inside(left, window.kernel[1], from.width)
                    .map(move |column| x[(line + (left + column as isize) as usize) * from.channels + channel])
            });
            y.push(values.fold(f32::NEG_INFINITY, f32::max));
        }
    }
    y
}

/// Top and left edge of the window for each place of the output; negative inside the padding.
fn places(window: &Window, to: Shape) -> impl Iterator<Item = (isize, isize)> {
    let Window { stride, padding, .. } = *window;
    let edge = move |i: usize, axis: usize| (i * stride[axis]) as isize - padding[axis] as isize;
    (0..to.height).flat_map(move |row| (0..to.width).map(move |column| (edge(row, 0), edge(column, 1))))
}

/// Which of the `kernel` places from `start` on lie within `0..length`.
fn inside(start: isize, kernel: usize, length: usize) -> std::ops::Range<usize> {
    let first = (-start).clamp(0, kernel as isize) as usize;
    let end = (length as isize - start).clamp(first as isize, kernel as isize) as usize;
    first..end
}
