//! What a run advances: one net, or the two of a GAN.

use super::Pair;
use super::batches::Batch;
use super::step::{StateTensor, Step};
use super::stepper::{Measured, Stepper, captured_if_possible, exported, initial_state};
use crate::dataset::Samples;
use crate::graph::{Mask, Network};
use crate::recipe::{Recipe, Training};
use crate::runtime::{self, Device, Launch, Provider};
use anyhow::Result;

/// Something that learns, step by step.
pub trait Learner {
    /// Where the steps run.
    fn provider(&self) -> Provider;

    /// The dropout masks that a batch has behind its inputs and targets.
    fn masks(&self) -> &[Mask];

    /// Nodes of the graphs that a step runs.
    fn nodes(&self) -> usize;

    /// The tensors that are carried from step to step.
    fn tensors(&self) -> Vec<StateTensor>;

    /// What is in them.
    fn state(&self) -> Result<Vec<Vec<f32>>>;

    /// Replaces that.
    fn set_state(&mut self, state: &[Vec<f32>]) -> Result<()>;

    /// What is in them at the start of a run, where the network to export has `parameters`.
    fn initial_state(&self, parameters: &[Vec<f32>]) -> Vec<Vec<f32>>;

    /// The weights to export: averages, where the recipe keeps them.
    fn exported(&self) -> Result<Vec<Vec<f32>>>;

    /// Step `number` (from 1), at the recipe's rate times `factor`.
    fn step(&mut self, batch: &Batch, number: u64, factor: f64) -> Result<Measured>;

    /// The learning rate without the schedule's factor.
    fn rate(&self) -> f64;
}

/// What advances `network` by the recipe's steps.
pub fn new(recipe: &Recipe, network: &Network, data: &Samples, device: Device) -> Result<Box<dyn Learner>> {
    let training = &recipe.training;
    Ok(match &recipe.adversary {
        Some(adversary) => {
            let images = data.images()?;
            let shape = [images.channels, images.height, images.width];
            Box::new(Pair::new(network, adversary, shape, training, device)?)
        }
        None => Box::new(Net::new(network, training, device)?),
    })
}

/// A step graph and the session that runs it.
pub struct Net {
    pub step: Step,
    pub stepper: Stepper,
    masks: Vec<Mask>,
}

impl Net {
    /// The step of `training` for `network`, on `device`.
    pub fn new(network: &Network, training: &Training, device: Device) -> Result<Self> {
        Self::with_threads(network, training, device, 0)
    }

    /// The same with so many threads a node on the CPU; 0 for one a core.
    pub fn with_threads(network: &Network, training: &Training, device: Device, threads: usize) -> Result<Self> {
        let build = |launch| {
            let step = Step::new(network, training, runtime::prefers_cuda(device))?;
            Self::of(step, network.masks(), device, threads, launch)
        };
        captured_if_possible(build, |net| vec![&mut net.stepper])
    }

    /// A session for `step`.
    pub fn of(step: Step, masks: &[Mask], device: Device, threads: usize, launch: Launch) -> Result<Self> {
        let stepper = Stepper::new(&step, device, threads, launch)?;
        Ok(Net { step, stepper, masks: masks.to_vec() })
    }
}

impl Learner for Net {
    fn provider(&self) -> Provider {
        self.stepper.provider()
    }

    fn masks(&self) -> &[Mask] {
        &self.masks
    }

    fn nodes(&self) -> usize {
        self.step.nodes
    }

    fn tensors(&self) -> Vec<StateTensor> {
        self.step.state.clone()
    }

    fn state(&self) -> Result<Vec<Vec<f32>>> {
        self.stepper.state()
    }

    fn set_state(&mut self, state: &[Vec<f32>]) -> Result<()> {
        self.stepper.set_state(state)
    }

    fn initial_state(&self, parameters: &[Vec<f32>]) -> Vec<Vec<f32>> {
        initial_state(&self.step, parameters)
    }

    fn exported(&self) -> Result<Vec<Vec<f32>>> {
        let state = self.stepper.state()?;
        Ok(exported(&self.step, &state).into_iter().map(<[f32]>::to_vec).collect())
    }

    fn step(&mut self, batch: &Batch, number: u64, factor: f64) -> Result<Measured> {
        self.stepper.run(batch, &self.step.scalar_values(number, factor))
    }

    fn rate(&self) -> f64 {
        self.step.rate()
    }
}
