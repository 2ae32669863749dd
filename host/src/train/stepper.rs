//! Running the training step, with the state bound where the session runs.

use super::step::{Kind, StateTensor, Step};
use crate::runtime::{self, Device, Launch, Memory, Provider};
use anyhow::{Context, Result, ensure};
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::Tensor;

/// What one step gives beside the next state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Mean over the batch.
    pub loss: f32,
    /// Samples of the batch classified rightly; of an autoencoder, the sum of the samples' mean squared errors; of a GAN, how
    /// many of the real and the drawn samples the discriminator told rightly, halved.
    pub measure: f32,
}

/// A session that holds a run's state.
///
/// The state exists twice and each step reads one copy and writes the other: were a tensor input and output at once, the
/// update of a parameter could run before its last reader and silently corrupt the step.
pub struct Stepper {
    session: Session,
    provider: Provider,
    memory: Memory,
    bindings: [IoBinding; 2],
    options: [RunOptions; 2],
    state: [Vec<Tensor<f32>>; 2],
    /// Which copy of the state is valid.
    current: usize,
    batch: Vec<Tensor<f32>>,
    scalars: Vec<Tensor<f32>>,
    loss: Tensor<f32>,
    measure: Tensor<f32>,
}

impl Stepper {
    /// Loads `step` on `device`; the state is undefined until [`set_state`](Self::set_state). `threads`: 0 for one a core.
    pub fn new(step: &Step, device: Device, threads: usize, launch: Launch) -> Result<Self> {
        let (session, provider) = runtime::session(&step.model, device, threads, launch)?;
        let memory = Memory::of(&session, provider)?;
        let copy = || step.state.iter().map(|tensor| memory.tensor(&tensor.shape)).collect::<Result<Vec<_>>>();
        let mut state = [copy()?, copy()?];
        let batch = step.batch.iter().map(|(_, shape)| memory.tensor(shape)).collect::<Result<Vec<_>>>()?;
        let scalars = step.scalars.iter().map(|_| memory.tensor(&[])).collect::<Result<Vec<_>>>()?;
        let (mut loss, mut measure) = (memory.tensor(&[])?, memory.tensor(&[])?);

        let mut bindings = [session.create_binding()?, session.create_binding()?];
        for (from, binding) in bindings.iter_mut().enumerate() {
            for ((name, _), tensor) in step.batch.iter().zip(&batch) {
                binding.bind_input(name, tensor)?;
            }
            for (name, tensor) in step.scalars.iter().zip(&scalars) {
                binding.bind_input(name, tensor)?;
            }
            for (index, tensor) in step.state.iter().enumerate() {
                binding.bind_input(&tensor.name, &state[from][index])?;
                binding.bind_output(format!("next.{}", tensor.name), &mut state[1 - from][index])?;
            }
            binding.bind_output("loss", &mut loss)?;
            binding.bind_output("measure", &mut measure)?;
        }
        let options = [runtime::run_options(0)?, runtime::run_options(1)?];
        Ok(Stepper { session, provider, memory, bindings, options, state, current: 0, batch, scalars, loss, measure })
    }

    /// On CUDA, one step on zeros, which shows whether it can be captured; its graph is no run's of those to come.
    fn try_out(&mut self) -> Result<()> {
        if self.provider == Provider::Cpu {
            return Ok(());
        }
        let tensors = self.batch.iter_mut().chain(&mut self.scalars).chain(&mut self.state[self.current]);
        for tensor in tensors {
            self.memory.write(tensor, &vec![0.0; tensor.shape().num_elements()])?;
        }
        let apart = runtime::run_options(self.bindings.len())?;
        self.session.run_binding_with_options(&self.bindings[self.current], &apart)?;
        Ok(())
    }

    /// Lets this step read the parameters of another, whose graph knows them by the same names, as far as it has a use for them:
    /// none for a batch norm's running means. The two must take turns, so that they always stand at the same copy of their states.
    pub fn read_parameters(&mut self, other: &Stepper, other_step: &Step) -> Result<()> {
        for (binding, state) in self.bindings.iter_mut().zip(&other.state) {
            let tensors = other_step.state.iter().zip(state);
            let is_read = |tensor: &StateTensor| {
                tensor.kind == Kind::Parameter && self.session.inputs().iter().any(|input| input.name() == tensor.name)
            };
            for (tensor, content) in tensors.filter(|(tensor, _)| is_read(tensor)) {
                binding.bind_input(&tensor.name, content)?;
            }
        }
        Ok(())
    }

    /// Lets this step write its output `name` to where another step reads its batch's tensor of that name.
    pub fn give(&mut self, name: &str, other: &mut Stepper, other_step: &Step) -> Result<()> {
        let position = other_step.batch.iter().position(|(given, _)| given == name);
        let position = position.with_context(|| format!("the other step reads no {name}"))?;
        for binding in &mut self.bindings {
            binding.bind_output(name, &mut other.batch[position])?;
        }
        Ok(())
    }

    /// Where the steps run.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Replaces the whole state.
    pub fn set_state(&mut self, state: &[Vec<f32>]) -> Result<()> {
        ensure!(state.len() == self.state[0].len(), "{} tensors are no state of {}", state.len(), self.state[0].len());
        for (tensor, data) in self.state[self.current].iter_mut().zip(state) {
            self.memory.write(tensor, data)?;
        }
        Ok(())
    }

    /// The whole state, in the order of [`Step::state`].
    pub fn state(&self) -> Result<Vec<Vec<f32>>> {
        self.state[self.current].iter().map(|tensor| self.memory.read(tensor)).collect()
    }

    /// One step on `batch` (images, targets, masks as [`Step::batch`] says; fewer, where another step gives the last ones) with
    /// the values of the scalars.
    pub fn run(&mut self, batch: &[impl AsRef<[f32]>], scalars: &[f32]) -> Result<Measured> {
        for (tensor, data) in self.batch.iter_mut().zip(batch) {
            self.memory.write(tensor, data.as_ref())?;
        }
        for (tensor, &value) in self.scalars.iter_mut().zip(scalars) {
            self.memory.write(tensor, &[value])?;
        }
        let (binding, options) = (&self.bindings[self.current], &self.options[self.current]);
        self.session.run_binding_with_options(binding, options).context("the training step failed")?;
        self.current = 1 - self.current;
        let scalar = |tensor: &Tensor<f32>| -> Result<f32> { Ok(self.memory.read(tensor)?[0]) };
        Ok(Measured { loss: scalar(&self.loss)?, measure: scalar(&self.measure)? })
    }
}

/// What `build` makes, its steps captured if all of `steppers` can be, else launched plainly, which is said.
pub fn captured_if_possible<T>(
    build: impl Fn(Launch) -> Result<T>,
    steppers: impl Fn(&mut T) -> Vec<&mut Stepper>,
) -> Result<T> {
    let mut captured = build(Launch::Captured)?;
    match steppers(&mut captured).into_iter().try_for_each(Stepper::try_out) {
        Ok(()) => Ok(captured),
        Err(error) => {
            eprintln!("steps are not captured as a CUDA graph, which makes them slower: {error:#}");
            build(Launch::Plain)
        }
    }
}

/// The state at the start of a run, from the parameters' initial values.
pub fn initial_state(step: &Step, parameters: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let start = |parameter: &Vec<f32>, kind| match kind {
        Kind::Parameter | Kind::Average => parameter.clone(),
        Kind::Slot => vec![0.0; parameter.len()],
    };
    step.state.iter().map(|tensor| start(&parameters[tensor.parameter], tensor.kind)).collect()
}

/// The weights to export: the average of a parameter where the run keeps one, else the parameter.
pub fn exported<'a>(step: &Step, state: &'a [Vec<f32>]) -> Vec<&'a [f32]> {
    let mut weights = Vec::new();
    for (tensor, data) in step.state.iter().zip(state) {
        match tensor.kind {
            Kind::Parameter => weights.push(data.as_slice()),
            Kind::Slot => {}
            // Parameters come first.
            Kind::Average => weights[tensor.parameter] = data,
        }
    }
    weights
}
