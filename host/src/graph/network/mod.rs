//! From a recipe's layers to graph nodes.
//!
//! | module | holds |
//! |---|---|
//! | here | layers checked against one another, parameters, masks |
//! | `inference` | the float model: one ONNX operator a layer or activation |
//! | `training` | the forward pass of a step, in the form whose backward pass is fastest |
//! | `sequence` | embedding and LSTM in both forms |

mod inference;
mod sequence;
mod training;

pub use training::Forward;

use super::builder::{Graph, Value};
use super::layer::{Activation, LEAK, Layer, Padding, Pooling};
use super::ops::Conv2d;
use anyhow::{Context, Result, bail, ensure};

/// Rows of a codebook: one byte chooses.
pub const CODES: usize = 256;

/// What a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// [channels, height, width]; values in 0…1, or in −1…1 for a discriminator.
    Image([usize; 3]),
    /// So many values, drawn from a normal distribution.
    Latent(usize),
    /// Numbers below `vocabulary`; a training step reads `span` of them, in front of which −1 stands where a text is shorter.
    Tokens { vocabulary: usize, span: usize },
}

/// A network whose shapes fit together.
#[derive(Clone, Debug)]
pub struct Network {
    input: Input,
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
    /// Convolution weights [O, C, h, w], those of a transposed one [C, O, h, w], dense weights [out, in], biases [out], all of a
    /// batch norm [O]; an embedding [vocabulary, dimensions] or its
    /// codebooks [256 · bytes, dimensions / bytes]; of an LSTM, weights [4H, D], recurrent weights [4H, H] and bias [4H].
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
    /// Factors of a batch norm.
    Scale,
    /// Running mean of what a batch norm got to see: a parameter that is measured, not trained.
    Mean,
    /// Running variance of the same.
    Variance,
    /// A row a token.
    Embedding,
    /// From the state of `units` values back to the gates.
    Recurrent {
        units: usize,
    },
    /// Biases of an LSTM's gates.
    Gates {
        units: usize,
    },
}

impl Role {
    /// Whether weight decay applies: to weights, not to biases.
    pub fn decays(self) -> bool {
        matches!(self, Role::Weight { .. } | Role::Embedding | Role::Recurrent { .. })
    }

    /// Whether the optimizer changes it; the others are running means of what [`Forward::statistics`] says.
    pub fn is_trained(self) -> bool {
        !matches!(self, Role::Mean | Role::Variance)
    }
}

/// A dropout mask that a training graph reads: 0 where a value is dropped, `1 / (1 − rate)` elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    pub name: String,
    /// Without the batch.
    pub shape: Vec<usize>,
    pub rate: f32,
    /// Whether all samples of a batch share one, rather than have one each.
    pub shared: bool,
}

/// A layer with everything worked out. `weights` is the index of the weights; their bias follows them.
#[derive(Clone, Debug)]
enum Stage {
    /// With `norm`, scale, shift, mean and variance follow the weights in place of the bias.
    Conv {
        name: String,
        conv: Conv2d,
        kernel: usize,
        channels: usize,
        weights: usize,
        norm: bool,
        activation: Activation,
    },
    /// `conv` is the convolution that leads back.
    ConvTranspose {
        name: String,
        conv: Conv2d,
        weights: usize,
        activation: Activation,
    },
    /// A vector as an image: channels, height, width.
    Reshape([usize; 3]),
    Pool {
        name: String,
        size: usize,
    },
    /// Mean over all places, then a vector.
    Average {
        name: String,
    },
    Flatten,
    Dense {
        name: String,
        weights: usize,
        activation: Activation,
    },
    Dropout {
        mask: usize,
    },
    Embedding(Embedding),
    Lstm(Lstm),
}

#[derive(Clone, Debug)]
struct Embedding {
    name: String,
    dimensions: usize,
    /// Index of the table or of the codebooks.
    weights: usize,
    /// Of an embedding by codes: [vocabulary][bytes].
    codes: Option<Vec<u8>>,
    /// Codes a word; 0 without.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Lstm {
    name: String,
    units: usize,
    /// Index of the weights; recurrent weights and bias follow.
    weights: usize,
    /// Mask on the state that each step reads.
    state_mask: Option<usize>,
    /// Mask on the recurrent weights.
    weight_mask: Option<usize>,
    pooling: Pooling,
}

/// What flows from one layer to the next.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// Channels, height, width.
    Image([usize; 3]),
    Vector(usize),
    Tokens,
    /// Of so many values a step.
    Sequence(usize),
}

impl Network {
    /// Works out all shapes.
    ///
    /// # Errors
    /// Names the layer whose shape cannot be.
    pub fn new(layers: &[Layer], input: Input) -> Result<Self> {
        Self::with_codes(layers, input, None)
    }

    /// As [`new`](Self::new); with `codes` [vocabulary][bytes], the embedding's rows are made of rows of codebooks, and it is
    /// those that are trained.
    ///
    /// # Errors
    /// Names the layer whose shape cannot be.
    pub fn with_codes(layers: &[Layer], input: Input, codes: Option<&[u8]>) -> Result<Self> {
        let mut network = Network {
            input,
            outputs: 0,
            last: Activation::Linear,
            stages: Vec::new(),
            parameters: Vec::new(),
            masks: Vec::new(),
        };
        let mut flow = match input {
            Input::Image(shape) => Flow::Image(shape),
            Input::Latent(values) => Flow::Vector(values),
            Input::Tokens { .. } => Flow::Tokens,
        };
        for (index, layer) in layers.iter().enumerate() {
            let at = || format!("layer {} ({})", index + 1, layer.kind());
            flow = network.add(layer, flow, codes).with_context(at)?;
        }
        network.outputs = match (flow, input) {
            (Flow::Vector(outputs), _) => outputs,
            // A generator draws.
            (Flow::Image(shape), Input::Latent(_)) => shape.iter().product(),
            _ => bail!("the last layer gives no vector; end with a dense layer"),
        };
        if let Some(Stage::Dense { activation, .. }) = network.stages.last_mut() {
            network.last = std::mem::take(activation);
        }
        Ok(network)
    }

    /// What the network reads.
    pub fn input(&self) -> Input {
        self.input
    }

    /// Number of values that the last layer gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The parameters, in the order in which both forms of the forward pass want them.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The dropout masks, in the order in which [`forward_training`](Self::forward_training) wants them.
    pub fn masks(&self) -> &[Mask] {
        &self.masks
    }

    /// Name of what [`inference`](Self::inference) gives.
    pub fn output_name(&self) -> &'static str {
        match (self.input, self.last) {
            (Input::Latent(_), _) => "output",
            (_, Activation::Linear) => "logits",
            _ => "output",
        }
    }

    /// Checks one layer against what flows into it, records it and says what flows out.
    fn add(&mut self, layer: &Layer, flow: Flow, codes: Option<&[u8]>) -> Result<Flow> {
        let number = |stages: &[Stage], same: fn(&Stage) -> bool| stages.iter().filter(|stage| same(stage)).count() + 1;
        match (layer.clone(), flow) {
            (
                Layer::Conv2d { filters, kernel, stride, padding, batch_norm, activation },
                Flow::Image([channels, height, width]),
            ) => {
                ensure!(filters > 0 && kernel > 0 && stride > 0, "filters, kernel and stride must be at least 1");
                let conv = Conv2d::new(padding, kernel, stride, height, width);
                let name = format!("conv{}", number(&self.stages, |stage| matches!(stage, Stage::Conv { .. })));
                let area = kernel * kernel;
                let role = Role::Weight { fan_in: channels * area, fan_out: filters * area, activation };
                let shape = vec![filters, channels, kernel, kernel];
                let weights = match batch_norm {
                    true => self.normed_parameters(&name, shape, role, filters),
                    false => self.parameter(&name, shape, role, filters),
                };
                self.stages.push(Stage::Conv { name, conv, kernel, channels, weights, norm: batch_norm, activation });
                let (height, width) = (conv.rows_out(height, kernel)?, conv.columns_out(width, kernel)?);
                Ok(Flow::Image([filters, height, width]))
            }
            (
                Layer::ConvTranspose2d { filters, kernel, stride, padding, activation },
                Flow::Image([channels, height, width]),
            ) => {
                ensure!(filters > 0 && stride > 0, "filters and stride must be at least 1");
                ensure!(kernel >= stride, "a kernel of {kernel} leaves gaps with a stride of {stride}");
                let size = |size: usize| match padding {
                    Padding::Same => size * stride,
                    Padding::Valid => (size - 1) * stride + kernel,
                };
                let (height, width) = (size(height), size(width));
                let conv = Conv2d::new(padding, kernel, stride, height, width);
                let same = |stage: &Stage| matches!(stage, Stage::ConvTranspose { .. });
                let name = format!("conv-transpose{}", number(&self.stages, same));
                let area = kernel * kernel;
                let fan_in = (channels * area).div_ceil(stride * stride);
                let role = Role::Weight { fan_in, fan_out: filters * area, activation };
                let weights = self.parameter(&name, vec![channels, filters, kernel, kernel], role, filters);
                self.stages.push(Stage::ConvTranspose { name, conv, weights, activation });
                Ok(Flow::Image([filters, height, width]))
            }
            (Layer::Reshape { height, width, channels }, Flow::Vector(values)) => {
                let fits = height * width * channels == values && values > 0;
                ensure!(fits, "{values} values do not fill {height} × {width} × {channels}");
                self.stages.push(Stage::Reshape([channels, height, width]));
                Ok(Flow::Image([channels, height, width]))
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
            (Layer::GlobalAveragePool, Flow::Image([channels, ..])) => {
                let name = format!("average{}", number(&self.stages, |stage| matches!(stage, Stage::Average { .. })));
                self.stages.push(Stage::Average { name });
                Ok(Flow::Vector(channels))
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
                    Flow::Vector(size) | Flow::Sequence(size) => vec![size],
                    Flow::Tokens => bail!("takes values, got tokens; put an embedding before it"),
                };
                let number = number(&self.stages, |stage| matches!(stage, Stage::Dropout { .. }));
                let mask = self.mask(format!("dropout{number}"), shape, rate, false);
                self.stages.push(Stage::Dropout { mask });
                Ok(flow)
            }
            (Layer::Embedding { dimensions }, Flow::Tokens) => self.add_embedding(dimensions, codes),
            (Layer::Lstm { units, recurrent_dropout, drop_connect, pooling }, Flow::Sequence(inputs)) => {
                ensure!(units > 0, "units must be at least 1");
                let name = format!("lstm{}", number(&self.stages, |stage| matches!(stage, Stage::Lstm(_))));
                let role = Role::Weight { fan_in: inputs, fan_out: 4 * units, activation: Activation::Linear };
                let weights = self.parameters.len();
                let mut parameter = |suffix: &str, shape, role| {
                    self.parameters.push(Parameter { name: format!("{name}.{suffix}"), shape, role });
                };
                parameter("weight", vec![4 * units, inputs], role);
                parameter("recurrent", vec![4 * units, units], Role::Recurrent { units });
                parameter("bias", vec![4 * units], Role::Gates { units });
                let state = (recurrent_dropout > 0.0)
                    .then(|| self.mask(format!("{name}.recurrent-dropout"), vec![units], recurrent_dropout, false));
                let weight = (drop_connect > 0.0)
                    .then(|| self.mask(format!("{name}.drop-connect"), vec![4 * units, units], drop_connect, true));
                let lstm = Lstm { name, units, weights, state_mask: state, weight_mask: weight, pooling };
                self.stages.push(Stage::Lstm(lstm));
                Ok(Flow::Vector(units))
            }
            (Layer::Dense { .. }, Flow::Image([channels, height, width])) => {
                bail!("takes a vector, got {channels} × {height} × {width}; put a flatten layer before it")
            }
            (Layer::Dense { .. }, _) => bail!("takes a vector, got a sequence; put an LSTM before it"),
            (Layer::Reshape { .. }, _) => bail!("takes a vector"),
            (Layer::Embedding { .. }, _) => bail!("takes tokens"),
            (Layer::Lstm { .. }, _) => bail!("takes a sequence; put an embedding before it"),
            (_, Flow::Vector(size)) => bail!("takes an image, got a vector of {size}"),
            (_, Flow::Tokens | Flow::Sequence(_)) => bail!("takes an image, got a text"),
        }
    }

    fn add_embedding(&mut self, dimensions: usize, codes: Option<&[u8]>) -> Result<Flow> {
        let Input::Tokens { vocabulary, .. } = self.input else { bail!("takes tokens") };
        ensure!(dimensions > 0, "dimensions must be at least 1");
        let name = "embedding1".to_owned();
        let bytes = codes.map_or(0, |codes| codes.len() / vocabulary);
        let (suffix, shape) = match codes {
            None => ("weight", vec![vocabulary, dimensions]),
            Some(codes) => {
                let fits = codes.len() == bytes * vocabulary && bytes > 0 && dimensions.is_multiple_of(bytes);
                ensure!(fits, "{} codes for {vocabulary} words of {dimensions} values do not fit", codes.len());
                ("codebooks", vec![CODES * bytes, dimensions / bytes])
            }
        };
        let weights = self.parameters.len();
        self.parameters.push(Parameter { name: format!("{name}.{suffix}"), shape, role: Role::Embedding });
        self.stages.push(Stage::Embedding(Embedding {
            name,
            dimensions,
            weights,
            codes: codes.map(<[u8]>::to_vec),
            bytes,
        }));
        Ok(Flow::Sequence(dimensions))
    }

    /// Records a mask; its index.
    fn mask(&mut self, name: String, shape: Vec<usize>, rate: f32, shared: bool) -> usize {
        self.masks.push(Mask { name, shape, rate, shared });
        self.masks.len() - 1
    }

    /// Records weights and a bias of `outputs` values behind them; the index of the weights.
    fn parameter(&mut self, layer: &str, shape: Vec<usize>, role: Role, outputs: usize) -> usize {
        self.parameters.push(Parameter { name: format!("{layer}.weight"), shape, role });
        self.parameters.push(Parameter { name: format!("{layer}.bias"), shape: vec![outputs], role: Role::Bias });
        self.parameters.len() - 2
    }

    /// Records weights, and what a batch norm of `outputs` channels has behind them; the index of the weights.
    fn normed_parameters(&mut self, layer: &str, shape: Vec<usize>, role: Role, outputs: usize) -> usize {
        let weights = self.parameters.len();
        self.parameters.push(Parameter { name: format!("{layer}.weight"), shape, role });
        let norm = [("scale", Role::Scale), ("shift", Role::Bias), ("mean", Role::Mean), ("variance", Role::Variance)];
        let parameter = |(suffix, role)| Parameter { name: format!("{layer}.{suffix}"), shape: vec![outputs], role };
        self.parameters.extend(norm.map(parameter));
        weights
    }
}

/// Layers that have one form.
fn simple(graph: &mut Graph, stage: &Stage, x: Value, parameters: &[Value]) -> Result<Value> {
    match stage {
        Stage::Pool { name, size } => {
            graph.scope(name);
            graph.max_pool2d(x, *size)
        }
        Stage::Average { name } => {
            graph.scope(name);
            let y = graph.global_average_pool(x)?;
            graph.flatten(y)
        }
        Stage::Flatten => {
            graph.scope("");
            graph.flatten(x)
        }
        Stage::Reshape(shape) => {
            graph.scope("");
            graph.unflatten(x, *shape)
        }
        Stage::Dense { name, weights, activation } => {
            graph.scope(name);
            let y = graph.gemm(x, parameters[*weights], Some(parameters[weights + 1]), false, true)?;
            activate(graph, y, *activation)
        }
        Stage::Conv { .. }
        | Stage::ConvTranspose { .. }
        | Stage::Dropout { .. }
        | Stage::Embedding(_)
        | Stage::Lstm(_) => {
            unreachable!("both forms of the forward pass handle these")
        }
    }
}

fn activate(graph: &mut Graph, x: Value, activation: Activation) -> Result<Value> {
    match activation {
        Activation::Linear => Ok(x),
        Activation::Relu => graph.relu(x),
        Activation::Sigmoid => graph.sigmoid(x),
        Activation::Tanh => graph.tanh(x),
        Activation::LeakyRelu => graph.leaky_relu(x, LEAK),
    }
}
