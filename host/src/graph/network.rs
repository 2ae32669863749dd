//! From a recipe's layers to graph nodes.

use super::builder::{Graph, Value};
use super::layer::{Activation, Layer};
use super::model::Batch;
use super::ops::{Conv2d, Range};
use anyhow::{Context, Result, bail, ensure};

/// A network whose shapes fit together.
#[derive(Clone, Debug)]
pub struct Network {
    input: [usize; 3],
    outputs: usize,
    /// What follows the last layer.
    last: Activation,
    stages: Vec<Stage>,
    parameters: Vec<Parameter>,
    masks: Vec<Mask>,
}

/// A trained tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Layer and role: `conv1.weight`, `dense2.bias`.
    pub name: String,
    /// Convolution weights [O, C, h, w], dense weights [out, in], biases [out].
    pub shape: Vec<usize>,
    pub role: Role,
}

/// What a parameter does, which decides how it starts and whether it decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Weight {
        /// Values that flow into one output.
        fan_in: usize,
        /// Outputs that one value flows into.
        fan_out: usize,
        /// What follows.
        activation: Activation,
    },
    Bias,
}

/// A dropout mask that a training graph reads: 0 where a value is dropped, `1 / (1 − rate)` elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    pub name: String,
    /// Without the batch.
    pub shape: Vec<usize>,
    pub rate: f32,
}

/// A layer with everything worked out. `weights` is the index of the weights; their bias follows them.
#[derive(Clone, Debug)]
enum Stage {
    Conv { name: String, conv: Conv2d, kernel: usize, channels: usize, weights: usize, activation: Activation },
    Pool { name: String, size: usize },
    Flatten,
    Dense { name: String, weights: usize, activation: Activation },
    Dropout { mask: usize },
}

/// What flows from one layer to the next.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// Channels, height, width.
    Image([usize; 3]),
    Vector(usize),
}

impl Network {
    /// Works out all shapes for an input of `input` = [channels, height, width].
    ///
    /// # Errors
    /// Names the layer whose shape cannot be.
    pub fn new(layers: &[Layer], input: [usize; 3]) -> Result<Self> {
        let mut network = Network {
            input,
            outputs: 0,
            last: Activation::Linear,
            stages: Vec::new(),
            parameters: Vec::new(),
            masks: Vec::new(),
        };
        let mut flow = Flow::Image(input);
        for (index, layer) in layers.iter().enumerate() {
            flow = network.add(layer, flow).with_context(|| format!("layer {} ({})", index + 1, kind(layer)))?;
        }
        let Flow::Vector(outputs) = flow else { bail!("the last layer gives an image; end with a dense layer") };
        network.outputs = outputs;
        if let Some(Stage::Dense { activation, .. }) = network.stages.last_mut() {
            network.last = std::mem::take(activation);
        }
        Ok(network)
    }

    /// [channels, height, width] of the input.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Number of values that the last layer gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The parameters, in the order in which [`forward`](Self::forward) wants them.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The dropout masks, in the order in which [`forward_training`](Self::forward_training) wants them.
    pub fn masks(&self) -> &[Mask] {
        &self.masks
    }

    /// Name of what [`inference`](Self::inference) gives.
    pub fn output_name(&self) -> &'static str {
        if self.last == Activation::Linear { "logits" } else { "output" }
    }

    /// Adds the nodes from `x` [N, C, H, W] to the outputs [N, K], one ONNX operator a layer or activation; no dropout.
    pub fn forward(&self, graph: &mut Graph, x: Value, parameters: &[Value]) -> Result<Value> {
        let mut x = x;
        for stage in &self.stages {
            x = match stage {
                Stage::Conv { name, conv, weights, activation, .. } => {
                    graph.scope(name);
                    let y = graph.conv2d(x, parameters[*weights], Some(parameters[weights + 1]), *conv)?;
                    activate(graph, y, *activation)?
                }
                Stage::Dropout { .. } => x,
                stage => simple(graph, stage, x, parameters)?,
            };
        }
        let y = activate(graph, x, self.last)?;
        graph.scope("");
        Ok(y)
    }

    /// Like [`forward`](Self::forward), with dropout by `masks` [N, …] and in the form whose backward pass is fastest:
    /// pooling comes before bias and activation, which are monotonic and then have a quarter of the work. The activation of
    /// the last layer is left to the loss, which can do with logits what would overflow or vanish behind a sigmoid.
    pub fn forward_training(
        &self,
        graph: &mut Graph,
        x: Value,
        parameters: &[Value],
        masks: &[Value],
    ) -> Result<Value> {
        let mut x = self.used(graph, x)?;
        let mut stages = self.stages.iter().peekable();
        while let Some(stage) = stages.next() {
            x = match (stage, stages.peek()) {
                (Stage::Conv { name, .. }, Some(Stage::Pool { size, .. })) => {
                    graph.scope(name);
                    stages.next();
                    convolve_and_pool(graph, stage, *size, x, parameters)?
                }
                (Stage::Conv { name, conv, weights, activation, .. }, _) => {
                    graph.scope(name);
                    let y = graph.conv2d(x, parameters[*weights], Some(parameters[weights + 1]), *conv)?;
                    activate(graph, y, *activation)?
                }
                (Stage::Dropout { mask }, _) => {
                    graph.scope(&self.masks[*mask].name);
                    graph.mul(x, masks[*mask])?
                }
                (stage, _) => simple(graph, stage, x, parameters)?,
            };
        }
        graph.scope("");
        Ok(x)
    }

    /// The part of `x` [N, C, H, W] that the outputs depend on. Pools leave out rows and columns that fill no window, and what
    /// only those see need not be computed, from the first layer on: of 28 × 28 pixels the digit net reads 26 × 26.
    fn used(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let [_, height, width] = self.input;
        let mut sizes = vec![[height, width]];
        let mut layers = Vec::new();
        for stage in &self.stages {
            let [height, width] = sizes[sizes.len() - 1];
            match stage {
                Stage::Conv { conv, kernel, .. } if conv.rows == (0, 0) && conv.columns == (0, 0) => {
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

    /// The float model: input `input` [N, C, H, W], output [`output_name`](Self::output_name) [N, K], N symbolic; `weights` row-major, in the order of
    /// [`parameters`](Self::parameters).
    pub fn inference(&self, weights: &[&[f32]]) -> Result<Vec<u8>> {
        let mut graph = Graph::new();
        let [channels, height, width] = self.input;
        let x = graph.input("input", &[1, channels, height, width])?;
        let store =
            |(parameter, data): (&Parameter, &&[f32])| graph.initializer(&parameter.name, &parameter.shape, data);
        let parameters = self.parameters.iter().zip(weights).map(store).collect::<Result<Vec<_>>>()?;
        let output = self.forward(&mut graph, x, &parameters)?;
        graph.output(self.output_name(), output)?;
        Ok(graph.to_bytes(Batch::Symbolic))
    }

    /// Checks one layer against what flows into it, records it and says what flows out.
    fn add(&mut self, layer: &Layer, flow: Flow) -> Result<Flow> {
        let number = |stages: &[Stage], same: fn(&Stage) -> bool| stages.iter().filter(|stage| same(stage)).count() + 1;
        match (layer.clone(), flow) {
            (
                Layer::Conv2d { filters, kernel, stride, padding, activation },
                Flow::Image([channels, height, width]),
            ) => {
                ensure!(filters > 0 && kernel > 0 && stride > 0, "filters, kernel and stride must be at least 1");
                let conv = Conv2d::new(padding, kernel, stride, height, width);
                let name = format!("conv{}", number(&self.stages, |stage| matches!(stage, Stage::Conv { .. })));
                let area = kernel * kernel;
                let role = Role::Weight { fan_in: channels * area, fan_out: filters * area, activation };
                let weights = self.parameter(&name, vec![filters, channels, kernel, kernel], role, filters);
                self.stages.push(Stage::Conv { name, conv, kernel, channels, weights, activation });
                let (height, width) = (conv.rows_out(height, kernel)?, conv.columns_out(width, kernel)?);
                Ok(Flow::Image([filters, height, width]))
            }
            (Layer::MaxPool2d { size }, Flow::Image([channels, height, width])) => {
                ensure!(
                    size > 0 && height >= size && width >= size,
                    "{size} × {size} does not fit into {height} × {width}"
                );
                let name = format!("pool{}", number(&self.stages, |stage| matches!(stage, Stage::Pool { .. })));
                self.stages.push(Stage::Pool { name, size });
                Ok(Flow::Image([channels, height / size, width / size]))
            }
            (Layer::Flatten, Flow::Image(shape)) => {
                self.stages.push(Stage::Flatten);
                Ok(Flow::Vector(shape.iter().product()))
            }
            (Layer::Dense { units, activation }, Flow::Vector(inputs)) => {
                ensure!(units > 0, "units must be at least 1");
                let name = format!("dense{}", number(&self.stages, |stage| matches!(stage, Stage::Dense { .. })));
                let role = Role::Weight { fan_in: inputs, fan_out: units, activation };
                let weights = self.parameter(&name, vec![units, inputs], role, units);
                self.stages.push(Stage::Dense { name, weights, activation });
                Ok(Flow::Vector(units))
            }
            (Layer::Dropout { rate }, flow) => {
                ensure!((0.0..1.0).contains(&rate), "a rate is at least 0 and below 1, got {rate}");
                let shape = match flow {
                    Flow::Image(shape) => shape.to_vec(),
                    Flow::Vector(size) => vec![size],
                };
                let mask = self.masks.len();
                self.masks.push(Mask { name: format!("dropout{}", mask + 1), shape, rate });
                self.stages.push(Stage::Dropout { mask });
                Ok(flow)
            }
            (Layer::Dense { .. }, Flow::Image([channels, height, width])) => {
                bail!("takes a vector, got {channels} × {height} × {width}; put a flatten layer before it")
            }
            (_, Flow::Vector(size)) => bail!("takes an image, got a vector of {size}"),
        }
    }

    /// Records weights and a bias of `outputs` values behind them; the index of the weights.
    fn parameter(&mut self, layer: &str, shape: Vec<usize>, role: Role, outputs: usize) -> usize {
        self.parameters.push(Parameter { name: format!("{layer}.weight"), shape, role });
        self.parameters.push(Parameter { name: format!("{layer}.bias"), shape: vec![outputs], role: Role::Bias });
        self.parameters.len() - 2
    }
}

fn kind(layer: &Layer) -> &'static str {
    match layer {
        Layer::Conv2d { .. } => "conv2d",
        Layer::MaxPool2d { .. } => "max-pool2d",
        Layer::Flatten => "flatten",
        Layer::Dense { .. } => "dense",
        Layer::Dropout { .. } => "dropout",
    }
}

/// Layers that have one form.
fn simple(graph: &mut Graph, stage: &Stage, x: Value, parameters: &[Value]) -> Result<Value> {
    match stage {
        Stage::Pool { name, size } => {
            graph.scope(name);
            graph.max_pool2d(x, *size)
        }
        Stage::Flatten => {
            graph.scope("");
            graph.flatten(x)
        }
        Stage::Dense { name, weights, activation } => {
            graph.scope(name);
            let y = graph.gemm(x, parameters[*weights], Some(parameters[weights + 1]), false, true)?;
            activate(graph, y, *activation)
        }
        Stage::Conv { .. } | Stage::Dropout { .. } => unreachable!("both forms of the forward pass handle these"),
    }
}

fn activate(graph: &mut Graph, x: Value, activation: Activation) -> Result<Value> {
    match activation {
        Activation::Linear => Ok(x),
        Activation::Relu => graph.relu(x),
        Activation::Sigmoid => graph.sigmoid(x),
    }
}

/// Convolution, then pooling, then bias and activation.
fn convolve_and_pool(graph: &mut Graph, stage: &Stage, size: usize, x: Value, parameters: &[Value]) -> Result<Value> {
    let Stage::Conv { conv, kernel, channels, weights, activation, .. } = stage else {
        unreachable!("called for convolutions")
    };
    let (bias, weights) = (parameters[weights + 1], parameters[*weights]);
    let pooled = if *channels == 1 && conv.stride == 1 {
        phases(graph, *conv, *kernel, size, x, weights)?
    } else {
        let y = graph.conv2d(x, weights, None, *conv)?;
        graph.max_pool2d(y, size)?
    };
    let filters = graph.shape(bias)[0];
    let bias = graph.reshape(bias, &[1, filters, 1, 1])?;
    let biased = graph.add(pooled, bias)?;
    activate(graph, biased, *activation)
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
