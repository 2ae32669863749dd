//! Optimizers and weight averaging, as graph nodes.
//!
//! An optimizer's hyperparameters are constants of the graph; what changes from step to step (the rate, bias corrections)
//! enters as scalar inputs that the trainer computes, so that one graph serves a whole run.

use super::builder::{Graph, Value};
use anyhow::Result;

/// A rule that turns a gradient into the next value of a parameter.
pub trait Optimizer {
    /// Names of the tensors that the rule keeps for each parameter; they have its shape and start as zeros.
    fn slots(&self) -> &'static [&'static str];

    /// Names of the scalars that the rule reads at each step.
    fn scalars(&self) -> &'static [&'static str];

    /// Values of those scalars at `step`, which counts from 1, for the learning rate `rate`.
    fn scalar_values(&self, rate: f64, step: u64) -> Vec<f32>;

    /// Adds the nodes of one update: the next parameter and the next slots.
    fn update(&self, graph: &mut Graph, given: Given<'_>) -> Result<(Value, Vec<Value>)>;
}

/// What an update reads.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub parameter: Value,
    pub gradient: Value,
    /// In the order of [`Optimizer::slots`].
    pub slots: &'a [Value],
    /// In the order of [`Optimizer::scalars`].
    pub scalars: &'a [Value],
    /// Whether weight decay applies to this parameter: to weights, not to biases.
    pub decays: bool,
}

/// Stochastic gradient descent: `v ← µ v + g`, `p ← p − η v`; without momentum, `p ← p − η g`.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// µ
    pub momentum: f32,
}

/// Adam (Kingma & Ba 2015) and, with a decay, AdamW (Loshchilov & Hutter 2019):
/// `p ← (1 − η λ) p − η m̂ / (√v̂ + ε)`.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// λ
    pub decay: f32,
}

/// Adadelta (Zeiler 2012): `p ← p − η √(u + ε) / √(v + ε) · g`, with running means v of g² and u of the squared updates.
#[derive(Clone, Copy, Debug)]
pub struct Adadelta {
    pub rho: f32,
    pub epsilon: f32,
}

impl Optimizer for Sgd {
    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["velocity"] }
    }

    fn scalars(&self) -> &'static [&'static str] {
        &["rate"]
    }

    fn scalar_values(&self, rate: f64, _step: u64) -> Vec<f32> {
        vec![rate as f32]
    }

    fn update(&self, graph: &mut Graph, given: Given<'_>) -> Result<(Value, Vec<Value>)> {
        let mut direction = given.gradient;
        let mut next = Vec::new();
        if let &[velocity] = given.slots {
            let kept = graph.scale(velocity, self.momentum)?;
            direction = graph.add(kept, given.gradient)?;
            next.push(direction);
        }
        let change = graph.mul(direction, given.scalars[0])?;
        Ok((graph.sub(given.parameter, change)?, next))
    }
}

impl Optimizer for Adam {
    fn slots(&self) -> &'static [&'static str] {
        &["mean", "square"]
    }

    fn scalars(&self) -> &'static [&'static str] {
        if self.decay == 0.0 { &["rate", "epsilon"] } else { &["rate", "epsilon", "keep"] }
    }

    /// The bias corrections of both moments, moved to scalars: `η m̂ / (√v̂ + ε) = η' m / (√v + ε')` with
    /// `η' = η √(1 − β₂ᵗ) / (1 − β₁ᵗ)` and `ε' = ε √(1 − β₂ᵗ)`; and `1 − η λ`.
    fn scalar_values(&self, rate: f64, step: u64) -> Vec<f32> {
        let unbiased = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        let root = unbiased(self.beta2).sqrt();
        let mut values = vec![(rate * root / unbiased(self.beta1)) as f32, (f64::from(self.epsilon) * root) as f32];
        if self.decay != 0.0 {
            values.push((1.0 - rate * f64::from(self.decay)) as f32);
        }
        values
    }

    fn update(&self, graph: &mut Graph, given: Given<'_>) -> Result<(Value, Vec<Value>)> {
        let mean = running_mean(graph, given.slots[0], given.gradient, self.beta1)?;
        let squared = graph.mul(given.gradient, given.gradient)?;
        let square = running_mean(graph, given.slots[1], squared, self.beta2)?;
        let root = graph.sqrt(square)?;
        let divisor = graph.add(root, given.scalars[1])?;
        let step = graph.mul(mean, given.scalars[0])?;
        let change = graph.div(step, divisor)?;
        let kept = match given.scalars.get(2) {
            Some(&keep) if given.decays => graph.mul(given.parameter, keep)?,
            _ => given.parameter,
        };
        Ok((graph.sub(kept, change)?, vec![mean, square]))
    }
}

impl Optimizer for Adadelta {
    fn slots(&self) -> &'static [&'static str] {
        &["square", "update"]
    }

    fn scalars(&self) -> &'static [&'static str] {
        &["rate"]
    }

    fn scalar_values(&self, rate: f64, _step: u64) -> Vec<f32> {
        vec![rate as f32]
    }

    fn update(&self, graph: &mut Graph, given: Given<'_>) -> Result<(Value, Vec<Value>)> {
        let epsilon = graph.scalar(self.epsilon);
        let root = |graph: &mut Graph, x| {
            let shifted = graph.add(x, epsilon)?;
            graph.sqrt(shifted)
        };
        let squared = graph.mul(given.gradient, given.gradient)?;
        let square = running_mean(graph, given.slots[0], squared, self.rho)?;
        let (numerator, denominator) = (root(graph, given.slots[1])?, root(graph, square)?);
        let ratio = graph.div(numerator, denominator)?;
        let direction = graph.mul(ratio, given.gradient)?;
        let squared = graph.mul(direction, direction)?;
        let update = running_mean(graph, given.slots[1], squared, self.rho)?;
        let change = graph.mul(direction, given.scalars[0])?;
        Ok((graph.sub(given.parameter, change)?, vec![square, update]))
    }
}

/// Scales `gradients` down where their norm, that of all together, is above `limit` (Pascanu et al. 2013).
pub fn clip(graph: &mut Graph, gradients: &mut [Value], limit: f32) -> Result<()> {
    let mut squares = Vec::with_capacity(gradients.len());
    for &gradient in &*gradients {
        let square = graph.mul(gradient, gradient)?;
        let axes: Vec<usize> = (0..graph.shape(square).len()).collect();
        let sum = graph.reduce_sum(square, &axes, false)?;
        squares.push(graph.reshape(sum, &[1])?);
    }
    let squares = graph.concat(&squares, 0)?;
    let sum = graph.reduce_sum(squares, &[0], true)?;
    let norm = graph.sqrt(sum)?;
    let limit = graph.constant(&[1], &[limit]);
    let both = graph.concat(&[norm, limit], 0)?;
    let largest = graph.reduce_max(both, &[0], false)?;
    let limit = graph.reshape(limit, &[])?;
    let factor = graph.div(limit, largest)?;
    for gradient in gradients {
        *gradient = graph.mul(*gradient, factor)?;
    }
    Ok(())
}

/// Exponential moving average: `average + (1 − d)(value − average)`; `rest` is the scalar `1 − d`.
pub fn average(graph: &mut Graph, average: Value, value: Value, rest: Value) -> Result<Value> {
    let difference = graph.sub(value, average)?;
    let change = graph.mul(difference, rest)?;
    graph.add(average, change)
}

/// `β mean + (1 − β) x`.
fn running_mean(graph: &mut Graph, mean: Value, x: Value, beta: f32) -> Result<Value> {
    let kept = graph.scale(mean, beta)?;
    let rest = graph.scale(x, 1.0 - beta)?;
    graph.add(kept, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adams_first_scalars_undo_the_bias_of_its_moments() {
        let adam = Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-7, decay: 0.02 };
        let values = adam.scalar_values(0.002, 1);
        // √(1 − β₂) = 0.1, 1 − β₁ = 0.1.
        let expected = [0.002, 1e-8, 1.0 - 0.002 * 0.02];
        for (value, expected) in values.iter().zip(expected) {
            assert!((value / expected - 1.0).abs() < 1e-5, "{value} {expected}");
        }
    }
}
