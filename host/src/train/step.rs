//! The training step as one ONNX graph: forward, backward, optimizer and weight average.

use crate::graph::optimizer::{self, Adadelta, Adam, Given, Optimizer, Sgd};
use crate::graph::{Batch, Graph, Input, Mask, Network, Value, gradients, loss};
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
    /// Tensors carried from step to step: the parameters, then the optimizer's slots, then the averages.
    pub state: Vec<StateTensor>,
    /// Tensors of one batch with their shapes, in the order inputs, targets, masks.
    pub batch: Vec<(String, Vec<usize>)>,
    /// Names of the scalars, in the order of [`Step::scalar_values`].
    pub scalars: Vec<String>,
    optimizer: Box<dyn Optimizer>,
    rate: f64,
    average: Option<f64>,
}

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
        let draft = Draft::new(&mut graph, network, training, "", training.ema)?;
        let batch = batch(network, training.batch);
        let inputs = batch.iter().map(|(name, shape)| graph.input(name, shape)).collect::<Result<Vec<_>>>()?;
        let (samples, targets, masks) = (inputs[0], inputs[1], &inputs[2..]);
        let logits = network.forward_training(&mut graph, samples, draft.parameters(), masks)?;
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
    /// The average's decay starts low, `(1 + t) / (10 + t)`, so that it forgets the initial weights in short runs too.
    pub fn scalar_values(&self, step: u64, factor: f64) -> Vec<f32> {
        let mut values = self.optimizer.scalar_values(self.rate * factor, step);
        let young = (1.0 + step as f64) / (10.0 + step as f64);
        values.extend(self.average.map(|decay| (1.0 - decay.min(young)) as f32));
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
        Ok(Draft { network, training, optimizer, rate, average: ema.map(f64::from), state, values })
    }

    /// The network's parameters, in its order.
    pub fn parameters(&self) -> &[Value] {
        &self.values[..self.network.parameters().len()]
    }

    /// Adds the backward pass from `loss`, the optimizer and the outputs. `batch`: what the step reads beside the state.
    pub fn finish(
        self,
        mut graph: Graph,
        batch: Vec<(String, Vec<usize>)>,
        loss: Value,
        measure: Value,
    ) -> Result<Step> {
        let mut gradients = gradients(&mut graph, loss, self.parameters())?;
        if let Some(limit) = self.training.clip {
            optimizer::clip(&mut graph, &mut gradients, limit)?;
        }
        let mut scalars: Vec<String> = self.optimizer.scalars().iter().map(|name| format!("scalar.{name}")).collect();
        scalars.extend(self.average.map(|_| "scalar.average".to_owned()));
        let scalar_values = scalars.iter().map(|name| graph.input(name, &[])).collect::<Result<Vec<_>>>()?;
        let update = Update {
            network: self.network,
            optimizer: self.optimizer.as_ref(),
            values: &self.values,
            scalars: &scalar_values,
        };
        let next = update.all(&mut graph, &gradients, self.average.is_some())?;
        for (tensor, value) in self.state.iter().zip(next) {
            graph.output(&format!("next.{}", tensor.name), value)?;
        }
        graph.output("loss", loss)?;
        graph.output("measure", measure)?;
        let (model, nodes) = (graph.to_bytes(Batch::Fixed), graph.node_count());
        let Draft { optimizer, rate, average, state, .. } = self;
        Ok(Step { model, nodes, state, batch, scalars, optimizer, rate, average })
    }
}

/// What the update of all parameters reads.
struct Update<'a> {
    network: &'a Network,
    optimizer: &'a dyn Optimizer,
    /// The state, in its order.
    values: &'a [Value],
    scalars: &'a [Value],
}

impl Update<'_> {
    /// The next state, in the state's order.
    fn all(&self, graph: &mut Graph, gradients: &[Value], averaged: bool) -> Result<Vec<Value>> {
        let count = gradients.len();
        let slot_names = self.optimizer.slots();
        let mut next = self.values.to_vec();
        for (index, parameter) in self.network.parameters().iter().enumerate() {
            graph.scope(&format!("update/{}", parameter.name));
            let position = |slot: usize| count * (1 + slot) + index;
            let slots: Vec<Value> = (0..slot_names.len()).map(|slot| self.values[position(slot)]).collect();
            let given = Given {
                parameter: self.values[index],
                gradient: gradients[index],
                slots: &slots,
                scalars: &self.scalars[..self.optimizer.scalars().len()],
                decays: parameter.role.decays(),
            };
            let (value, next_slots) = self.optimizer.update(graph, given)?;
            next[index] = value;
            for (slot, value) in next_slots.into_iter().enumerate() {
                next[position(slot)] = value;
            }
            if let (true, Some(&rest)) = (averaged, self.scalars.last()) {
                let average = position(slot_names.len());
                next[average] = optimizer::average(graph, self.values[average], value, rest)?;
            }
        }
        graph.scope("");
        Ok(next)
    }
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
        let parameters = network.parameters().iter().enumerate();
        parameters.map(move |(index, parameter)| StateTensor {
            name: format!("{prefix}{}{suffix}", parameter.name),
            shape: parameter.shape.clone(),
            parameter: index,
            kind,
        })
    };
    kinds.flat_map(tensors).collect()
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
