//! The training step as one ONNX graph: forward, backward, optimizer and weight average.

use crate::graph::optimizer::{self, Adadelta, Adam, Given, Optimizer, Sgd};
use crate::graph::{Batch, Forward, Graph, Input, Mask, Network, Role, Value, gradients, loss};
use crate::recipe::{self, Training};
use anyhow::{Result, bail};

/// A training-step model and the names by which it is fed.
///
/// | input | output |
/// |---|---|
/// | every tensor of `state` | `next.` and its name |
/// | `inputs`: images [N, C, H, W] in 0…1 or tokens [T, N], −1 for none; `targets` [N, K]: one-hot, the probability of the second of two classes, or the images again; the masks | `loss`, mean over the batch |
/// | the scalars | `measure`: how many of the batch were classified rightly, or the sum of their mean squared errors |
pub struct Step {
    /// Serialized ONNX.
    pub model: Vec<u8>,
    /// Nodes of the graph.
    pub nodes: usize,
    /// Tensors carried from step to step: the parameters, then the optimizer's slots of those that are trained, then their
    /// averages.
    pub state: Vec<StateTensor>,
    /// Tensors of one batch with their shapes, in the order inputs, targets, masks.
    pub batch: Vec<(String, Vec<usize>)>,
    /// Names of the scalars, in the order of [`Step::scalar_values`].
    pub scalars: Vec<String>,
    optimizer: Box<dyn Optimizer>,
    rate: f64,
    average: Option<f64>,
    /// Whether the network keeps running means.
    has_statistics: bool,
}

/// Decay of a batch norm's running means.
const STATISTICS_DECAY: f64 = 0.99;

/// One tensor that a step reads and replaces.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Index of the parameter that it is, or belongs to.
    pub parameter: usize,
    pub kind: Kind,
}

/// What a tensor of the state is, which decides how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Parameter,
    /// Kept by the optimizer; starts as zeros.
    Slot,
    /// Moving average of the parameter; starts as its value.
    Average,
}

impl Step {
    /// Builds the graph of one step of `training` for `network`. `unrolled` writes loops as their steps, which is what CUDA
    /// wants; the CPU is as fast with loops, and loads them faster.
    pub fn new(network: &Network, training: &Training, unrolled: bool) -> Result<Self> {
        let mut graph = Graph::new();
        graph.unroll(unrolled);
        let mut draft = Draft::new(&mut graph, network, training, "", training.ema)?;
        let batch = batch(network, training.batch);
        let inputs = batch.iter().map(|(name, shape)| graph.input(name, shape)).collect::<Result<Vec<_>>>()?;
        let (samples, targets, masks) = (inputs[0], inputs[1], &inputs[2..]);
        let logits = draft.forward(&mut graph, samples, masks)?;
        let (loss, measure) = match training.loss {
            recipe::Loss::CrossEntropy { label_smoothing } => {
                let loss = loss::cross_entropy(&mut graph, logits, targets, label_smoothing)?;
                (loss, loss::correct(&mut graph, logits, targets)?)
            }
            recipe::Loss::BinaryCrossEntropy if network.outputs() == 1 => {
                let loss = loss::binary_cross_entropy(&mut graph, logits, targets)?;
                (loss, loss::correct_sides(&mut graph, logits, targets)?)
            }
            recipe::Loss::BinaryCrossEntropy => {
                let loss = loss::binary_cross_entropy(&mut graph, logits, targets)?;
                let outputs = graph.sigmoid(logits)?;
                let error = loss::mean_squared_error(&mut graph, outputs, targets)?;
                (loss, graph.scale(error, training.batch as f32)?)
            }
            recipe::Loss::Adversarial { .. } => bail!("an adversarial loss takes two steps, not one"),
        };
        draft.finish(graph, batch, loss, measure)
    }

    /// The scalars at `step` (from 1), with the recipe's rate multiplied by `factor`.
    ///
    /// The decay of averages and running means starts low, `(1 + t) / (10 + t)`, so that it forgets the initial weights in short runs too.
    pub fn scalar_values(&self, step: u64, factor: f64) -> Vec<f32> {
        let mut values = self.optimizer.scalar_values(self.rate * factor, step);
        let young = (1.0 + step as f64) / (10.0 + step as f64);
        let rest = |decay: f64| (1.0 - decay.min(young)) as f32;
        values.extend(self.average.map(rest));
        values.extend(self.has_statistics.then(|| rest(STATISTICS_DECAY)));
        values
    }

    /// The learning rate without the schedule's factor.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

/// A step graph that has its state as inputs, and still wants what comes between those and the next state.
pub(super) struct Draft<'a> {
    network: &'a Network,
    training: &'a Training,
    optimizer: Box<dyn Optimizer>,
    rate: f64,
    average: Option<f64>,
    state: Vec<StateTensor>,
    /// The state's tensors, in its order.
    values: Vec<Value>,
    /// Of the forward passes so far: the index of a running mean and what this batch has in its place; of a later pass in place of
    /// an earlier one's.
    statistics: Vec<(usize, Value)>,
}

impl<'a> Draft<'a> {
    /// Adds the state of `network` to `graph`, its names behind `prefix`; with averages of the parameters that decay by `ema`.
    pub fn new(
        graph: &mut Graph,
        network: &'a Network,
        training: &'a Training,
        prefix: &str,
        ema: Option<f32>,
    ) -> Result<Self> {
        let (optimizer, rate) = optimizer(&training.optimizer);
        let state = state(network, prefix, optimizer.slots(), ema.is_some());
        let values = state.iter().map(|tensor| graph.input(&tensor.name, &tensor.shape)).collect::<Result<Vec<_>>>()?;
        let (average, statistics) = (ema.map(f64::from), Vec::new());
        Ok(Draft { network, training, optimizer, rate, average, state, values, statistics })
    }

    /// Learns `factor` times as fast as the training says.
    pub fn paced(mut self, factor: f64) -> Self {
        self.rate *= factor;
        self
    }

    /// Adds the network's forward pass from `x`, with dropout by `masks`; what it gives.
    pub fn forward(&mut self, graph: &mut Graph, x: Value, masks: &[Value]) -> Result<Value> {
        let parameters = &self.values[..self.network.parameters().len()];
        let Forward { outputs, statistics } = self.network.forward_training(graph, x, parameters, masks)?;
        self.statistics.extend(statistics);
        Ok(outputs)
    }

    /// Adds the backward pass from `loss`, the optimizer and the outputs. `batch`: what the step reads beside the state.
    pub fn finish(
        self,
        mut graph: Graph,
        batch: Vec<(String, Vec<usize>)>,
        loss: Value,
        measure: Value,
    ) -> Result<Step> {
        let trained = trained(self.network);
        let parameters: Vec<Value> = trained.iter().map(|&index| self.values[index]).collect();
        let mut gradients = gradients(&mut graph, loss, &parameters)?;
        if let Some(limit) = self.training.clip {
            optimizer::clip(&mut graph, &mut gradients, limit)?;
        }
        let mut scalars: Vec<String> = self.optimizer.scalars().iter().map(|name| format!("scalar.{name}")).collect();
        scalars.extend(self.average.map(|_| "scalar.average".to_owned()));
        let has_statistics = !self.statistics.is_empty();
        scalars.extend(has_statistics.then(|| "scalar.statistics".to_owned()));
        let scalar_values = scalars.iter().map(|name| graph.input(name, &[])).collect::<Result<Vec<_>>>()?;
        let update = Update {
            network: self.network,
            optimizer: self.optimizer.as_ref(),
            equalized: self.training.equalized,
            values: &self.values,
            scalars: &scalar_values,
        };
        let mut next = update.trained(&mut graph, &trained, &gradients, self.average.is_some())?;
        for &(index, measured) in &self.statistics {
            let rest = scalar_values[scalars.len() - 1];
            next[index] = optimizer::average(&mut graph, self.values[index], measured, rest)?;
        }
        for (tensor, value) in self.state.iter().zip(next) {
            graph.output(&format!("next.{}", tensor.name), value)?;
        }
        graph.output("loss", loss)?;
        graph.output("measure", measure)?;
        let (model, nodes) = (graph.to_bytes(Batch::Fixed), graph.node_count());
        let Draft { optimizer, rate, average, state, .. } = self;
        Ok(Step { model, nodes, state, batch, scalars, optimizer, rate, average, has_statistics })
    }
}

/// What the update of all parameters reads.
struct Update<'a> {
    network: &'a Network,
    optimizer: &'a dyn Optimizer,
    equalized: bool,
    /// The state, in its order.
    values: &'a [Value],
    scalars: &'a [Value],
}

impl Update<'_> {
    /// The state with the next values of the parameters `trained`, their slots and averages, in the state's order.
    fn trained(&self, graph: &mut Graph, trained: &[usize], gradients: &[Value], averaged: bool) -> Result<Vec<Value>> {
        let slot_names = self.optimizer.slots();
        let scalars = self.optimizer.scalars().len();
        let mut next = self.values.to_vec();
        for (rank, &index) in trained.iter().enumerate() {
            let parameter = &self.network.parameters()[index];
            graph.scope(&format!("update/{}", parameter.name));
            let position = |slot: usize| self.network.parameters().len() + slot * trained.len() + rank;
            let mut scalars = self.scalars[..scalars].to_vec();
            if self.equalized {
                // Every rule's first scalar is its rate.
                scalars[0] = graph.scale(scalars[0], pace(self.network, index))?;
            }
            let slots: Vec<Value> = (0..slot_names.len()).map(|slot| self.values[position(slot)]).collect();
            let given = Given {
                parameter: self.values[index],
                gradient: gradients[rank],
                slots: &slots,
                scalars: &scalars,
                decays: parameter.role.decays(),
            };
            let (value, next_slots) = self.optimizer.update(graph, given)?;
            next[index] = value;
            for (slot, value) in next_slots.into_iter().enumerate() {
                next[position(slot)] = value;
            }
            if averaged {
                let average = position(slot_names.len());
                let rest = self.scalars[self.optimizer.scalars().len()];
                next[average] = optimizer::average(graph, self.values[average], value, rest)?;
            }
        }
        graph.scope("");
        Ok(next)
    }
}

/// √(2 / fan_in) of the layer of parameter `index`.
fn pace(network: &Network, index: usize) -> f32 {
    // A layer's weights stand in front of its biases.
    let mut roles = network.parameters()[..=index].iter().rev().map(|parameter| parameter.role);
    let fan_in = roles.find_map(|role| if let Role::Weight { fan_in, .. } = role { Some(fan_in) } else { None });
    fan_in.map_or(1.0, |fan_in| (2.0 / fan_in as f32).sqrt())
}

fn optimizer(recipe: &recipe::Optimizer) -> (Box<dyn Optimizer>, f64) {
    let (optimizer, rate): (Box<dyn Optimizer>, f32) = match *recipe {
        recipe::Optimizer::Sgd { rate, momentum } => (Box::new(Sgd { momentum }), rate),
        recipe::Optimizer::Adam { rate, beta1, beta2, epsilon } => {
            (Box::new(Adam { beta1, beta2, epsilon, decay: 0.0 }), rate)
        }
        recipe::Optimizer::Adamw { rate, beta1, beta2, epsilon, decay } => {
            (Box::new(Adam { beta1, beta2, epsilon, decay }), rate)
        }
        recipe::Optimizer::Adadelta { rate, rho, epsilon } => (Box::new(Adadelta { rho, epsilon }), rate),
    };
    (optimizer, f64::from(rate))
}

fn state(network: &Network, prefix: &str, slots: &[&str], averaged: bool) -> Vec<StateTensor> {
    let kinds = std::iter::once((Kind::Parameter, String::new()))
        .chain(slots.iter().map(|slot| (Kind::Slot, format!(".{slot}"))))
        .chain(averaged.then(|| (Kind::Average, ".average".to_owned())));
    let tensors = |(kind, suffix): (Kind, String)| {
        let all: Vec<usize> = match kind {
            Kind::Parameter => (0..network.parameters().len()).collect(),
            Kind::Slot | Kind::Average => trained(network),
        };
        let tensor = move |index: usize| {
            let parameter = &network.parameters()[index];
            StateTensor {
                name: format!("{prefix}{}{suffix}", parameter.name),
                shape: parameter.shape.clone(),
                parameter: index,
                kind,
            }
        };
        all.into_iter().map(tensor)
    };
    kinds.flat_map(tensors).collect()
}

/// Indices of the parameters that the optimizer changes.
fn trained(network: &Network) -> Vec<usize> {
    let parameters = network.parameters().iter().enumerate();
    parameters.filter(|(_, parameter)| parameter.role.is_trained()).map(|(index, _)| index).collect()
}

fn batch(network: &Network, size: usize) -> Vec<(String, Vec<usize>)> {
    let with_batch = |shape: &[usize]| [&[size], shape].concat();
    let inputs = match network.input() {
        Input::Image(shape) => with_batch(&shape),
        Input::Latent(values) => with_batch(&[values]),
        Input::Tokens { span, .. } => vec![span, size],
    };
    let mut batch = vec![("inputs".to_owned(), inputs), ("targets".to_owned(), with_batch(&[network.outputs()]))];
    let shape = |mask: &Mask| if mask.shared { mask.shape.clone() } else { with_batch(&mask.shape) };
    batch.extend(network.masks().iter().map(|mask| (mask.name.clone(), shape(mask))));
    batch
}
