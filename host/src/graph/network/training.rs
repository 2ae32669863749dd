//! The forward pass of a training step.

use super::sequence::Texts;
use super::{Input, Network, Stage, Weighted, activate, simple};
use crate::graph::builder::{Graph, Value};
use crate::graph::ops::{Conv2d, Range};
use anyhow::Result;

/// What the forward pass of a step gives.
pub struct Forward {
    /// [N, K], without the activation of the last layer.
    pub outputs: Value,
    /// Of batch norms: the index of a parameter that is a running mean, and what this batch has in its place.
    pub statistics: Vec<(usize, Value)>,
}

impl Network {
    /// Adds the nodes from `x` (images [N, C, H, W], latent values [N, L] or tokens [T, N] as reals) to the outputs [N, K], with dropout by `masks`
    /// ([N, …], or without the batch where all samples share one) and in the form whose backward pass is fastest: pooling comes before bias and activation, which are monotonic and then have a quarter of the work. The activation of
    /// the last layer is left to the loss, which can do with logits what would overflow or vanish behind a sigmoid.
    pub fn forward_training(
        &self,
        graph: &mut Graph,
        x: Value,
        parameters: &[Value],
        masks: &[Value],
    ) -> Result<Forward> {
        let mut statistics = Vec::new();
        let (mut x, texts) = match self.input {
            Input::Image(shape) => (self.used(graph, x, shape)?, None),
            Input::Latent(_) => (x, None),
            Input::Tokens { .. } => {
                let texts = Texts::new(graph, x)?;
                (texts.tokens, Some(texts))
            }
        };
        let mut stages = self.stages.iter().peekable();
        while let Some(stage) = stages.next() {
            x = match (stage, stages.peek()) {
                (Stage::Conv { layer, .. }, Some(Stage::Pool { size, .. })) if !layer.norm => {
                    graph.scope(&layer.name);
                    stages.next();
                    convolve_and_pool(graph, stage, *size, x, parameters)?
                }
                (Stage::Conv { layer, .. } | Stage::ConvTranspose { layer, .. } | Stage::Dense { layer }, next) => {
                    graph.scope(&layer.name);
                    let pool = match next {
                        Some(Stage::Pool { size, .. }) => Some(*size),
                        _ => None,
                    };
                    if layer.norm && pool.is_some() {
                        stages.next();
                    }
                    let bias = (!layer.norm).then(|| parameters[layer.weights + 1]);
                    let y = product(graph, stage, x, parameters[layer.weights], bias)?;
                    let y = match layer.norm {
                        true => normalize(graph, layer, pool, y, parameters, &mut statistics)?,
                        false => y,
                    };
                    activate(graph, y, layer.activation)?
                }
                (Stage::Dropout { mask }, _) => {
                    graph.scope(&self.masks[*mask].name);
                    // Of a sequence [T, N, D], every step gets the mask [N, D].
                    graph.mul(x, masks[*mask])?
                }
                (Stage::Embedding(embedding), _) => embedding.train(graph, Texts::of(texts.as_ref())?, parameters)?,
                (Stage::Lstm(lstm), _) => lstm.train(graph, Texts::of(texts.as_ref())?, x, parameters, masks)?,
                (stage, _) => simple(graph, stage, x)?,
            };
        }
        graph.scope("");
        Ok(Forward { outputs: x, statistics })
    }

    /// The part of `x` [N, C, H, W] that the outputs depend on. Pools leave out rows and columns that fill no window, and what
    /// only those see need not be computed, from the first layer on: of 28 × 28 pixels the digit net reads 26 × 26.
    fn used(&self, graph: &mut Graph, x: Value, [_, height, width]: [usize; 3]) -> Result<Value> {
        let mut sizes = vec![[height, width]];
        let mut layers = Vec::new();
        for stage in &self.stages {
            let [height, width] = sizes[sizes.len() - 1];
            match stage {
                Stage::Conv { layer, conv, kernel, .. }
                    if !layer.norm && conv.rows == (0, 0) && conv.columns == (0, 0) =>
                {
                    sizes.push([conv.rows_out(height, *kernel)?, conv.columns_out(width, *kernel)?]);
                    layers.push((*kernel, conv.stride));
                }
                Stage::Pool { size, .. } => {
                    sizes.push([height / size, width / size]);
                    layers.push((*size, *size));
                }
                Stage::Dropout { .. } => {}
                _ => break,
            }
        }
        // The last layer's output is used whole; each layer before it, as far as the next one's windows reach.
        let whole = sizes[sizes.len() - 1];
        let reach = |used: usize, &(window, stride): &(usize, usize)| (used - 1) * stride + window;
        let used = whole.map(|size| layers.iter().rev().fold(size, reach));
        let crop = |axis, end| Range { axis, start: 0, end, step: 1 };
        let crops = [crop(2, used[0]), crop(3, used[1])];
        if used == [height, width] { Ok(x) } else { graph.slice(x, &crops) }
    }
}

/// What a layer makes of `x` by its weights and, where it has one, its bias.
fn product(graph: &mut Graph, stage: &Stage, x: Value, weights: Value, bias: Option<Value>) -> Result<Value> {
    match stage {
        Stage::Conv { conv, .. } => graph.conv2d_trained(x, weights, bias, *conv),
        Stage::ConvTranspose { conv, .. } => graph.conv_transpose2d_trained(x, weights, bias, *conv),
        Stage::Dense { .. } => graph.gemm(x, weights, bias, false, true),
        _ => unreachable!("called for layers with weights"),
    }
}

/// Batch norm, and pooling by `pool`, if there is one. The norm's factors may be negative, so that only the activation can come
/// after the pool.
fn normalize(
    graph: &mut Graph,
    layer: &Weighted,
    pool: Option<usize>,
    y: Value,
    parameters: &[Value],
    statistics: &mut Vec<(usize, Value)>,
) -> Result<Value> {
    let at = layer.weights;
    let (y, measured) = graph.batch_norm(y, parameters[at + 1], parameters[at + 2])?;
    statistics.extend([at + 3, at + 4].into_iter().zip(measured));
    pool.map_or(Ok(y), |size| graph.max_pool2d(y, size))
}

/// Convolution, then pooling, then bias and activation.
fn convolve_and_pool(graph: &mut Graph, stage: &Stage, size: usize, x: Value, parameters: &[Value]) -> Result<Value> {
    let Stage::Conv { layer, conv, kernel, channels } = stage else { unreachable!("called for convolutions") };
    let (bias, weights) = (parameters[layer.weights + 1], parameters[layer.weights]);
    let pooled = if *channels == 1 && conv.stride == 1 {
        phases(graph, *conv, *kernel, size, x, weights)?
    } else {
        let y = graph.conv2d_trained(x, weights, None, *conv)?;
        graph.max_pool2d(y, size)?
    };
    let filters = graph.shape(bias)[0];
    let bias = graph.reshape(bias, &[1, filters, 1, 1])?;
    let biased = graph.add(pooled, bias)?;
    activate(graph, biased, layer.activation)
}

/// Convolution with stride 1 and max-pool in one: the pool's window is a patch of `kernel + size − 1` pixels a side, which meets
/// the weights at each of the `size²` offsets (the phases); then comes the maximum over the phases. All patches are gathered
/// once, for the forward pass and for the weight gradient, and all is one product each. More products, but with one channel
/// there are few, and the CPU is twice as fast without the pool's gradient at full resolution.
fn phases(graph: &mut Graph, conv: Conv2d, kernel: usize, size: usize, x: Value, weights: Value) -> Result<Value> {
    let (filters, side) = (graph.shape(weights)[0], kernel + size - 1);
    let offsets = |side: usize| (0..side).flat_map(move |i| (0..side).map(move |j| (i, j)));
    let shifted = |(i, j)| graph.pad(weights, &[(0, 0), (0, 0), (i, size - 1 - i), (j, size - 1 - j)]);
    let shifted = offsets(size).map(shifted).collect::<Result<Vec<_>>>()?;
    let stacked = graph.concat(&shifted, 1)?;
    let stacked = graph.reshape(stacked, &[filters * size * size, side * side])?;

    let x = graph.pad(x, &[(0, 0), (0, 0), conv.rows, conv.columns])?;
    let [batch, _, height, width] = graph.dimensions(x, "a convolution's input")?;
    let (rows, columns) = ((height - side) / size + 1, (width - side) / size + 1);
    let seen = |(i, j)| {
        let range = |axis, start, count| Range { axis, start, end: start + (count - 1) * size + 1, step: size };
        let part = graph.slice(x, &[range(2, i, rows), range(3, j, columns)])?;
        graph.reshape(part, &[1, batch * rows * columns])
    };
    let patches = offsets(side).map(seen).collect::<Result<Vec<_>>>()?;
    let patches = graph.concat(&patches, 0)?;

    let y = graph.matmul(stacked, patches)?;
    let y = graph.reshape(y, &[filters, size * size, batch * rows * columns])?;
    let maximum = graph.reduce_max(y, &[1], true)?;
    let maximum = graph.reshape(maximum, &[filters, batch, rows, columns])?;
    graph.transpose(maximum, &[1, 0, 2, 3])
}
