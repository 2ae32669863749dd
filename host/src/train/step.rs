//! The training step as one ONNX graph: forward, backward, optimizer and weight average.

use crate::graph::optimizer::{self, Adadelta, Adam, Given, Optimizer, Sgd};
use crate::graph::{Batch, Graph, Input, Mask, Network, Value, gradients, loss};
use crate::recipe::{self, Training};
use anyhow::Result;

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
        let (optimizer, rate) = optimizer(&training.optimizer);
        let average = training.ema.map(f64::from);
        let mut graph = Graph::new();
        graph.unroll(unrolled);
        let state = state(network, optimizer.slots(), average.is_some());
        let given = |graph: &mut Graph, tensor: &StateTensor| graph.input(&tensor.name, &tensor.shape);
        let values = state.iter().map(|tensor| given(&mut graph, tensor)).collect::<Result<Vec<_>>>()?;
        let parameters = &values[..network.parameters().len()];

        let batch = batch(network, training.batch);
        let inputs = batch.iter().map(|(name, shape)| graph.input(name, shape)).collect::<Result<Vec<_>>>()?;
        let (samples, targets, masks) = (inputs[0], inputs[1], &inputs[2..]);
        let logits = network.forward_training(&mut graph, samples, parameters, masks)?;
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
        };
        let mut gradients = gradients(&mut graph, loss, parameters)?;
        if let Some(limit) = training.clip {
            optimizer::clip(&mut graph, &mut gradients, limit)?;
        }

        let mut scalars: Vec<String> = optimizer.scalars().iter().map(|name| format!("scalar.{name}")).collect();
        scalars.extend(average.map(|_| "scalar.average".to_owned()));
        let scalar_values = scalars.iter().map(|name| graph.input(name, &[])).collect::<Result<Vec<_>>>()?;
        let update = Update { network, optimizer: optimizer.as_ref(), values: &values, scalars: &scalar_values };
        let next = update.all(&mut graph, &gradients, average.is_some())?;
        for (tensor, value) in state.iter().zip(next) {
            graph.output(&format!("next.{}", tensor.name), value)?;
        }
        graph.output("loss", loss)?;
        graph.output("measure", measure)?;
        let (model, nodes) = (graph.to_bytes(Batch::Fixed), graph.node_count());
        Ok(Step { model, nodes, state, batch, scalars, optimizer, rate, average })
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

fn state(network: &Network, slots: &[&str], averaged: bool) -> Vec<StateTensor> {
    let kinds = std::iter::once((Kind::Parameter, String::new()))
        .chain(slots.iter().map(|slot| (Kind::Slot, format!(".{slot}"))))
        .chain(averaged.then(|| (Kind::Average, ".average".to_owned())));
    let tensors = |(kind, suffix): (Kind, String)| {
        let parameters = network.parameters().iter().enumerate();
        parameters.map(move |(index, parameter)| StateTensor {
            name: format!("{}{suffix}", parameter.name),
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
        Input::Tokens { span, .. } => vec![span, size],
    };
    let mut batch = vec![("inputs".to_owned(), inputs), ("targets".to_owned(), with_batch(&[network.outputs()]))];
    let shape = |mask: &Mask| if mask.shared { mask.shape.clone() } else { with_batch(&mask.shape) };
    batch.extend(network.masks().iter().map(|mask| (mask.name.clone(), shape(mask))));
    batch
}
