//! The float model in tract: a second opinion, from an engine that shares nothing with ONNX Runtime.

use super::Activations;
use crate::quantize::{Network, Shape};
use anyhow::{Context, Result, ensure};
use tract_onnx::prelude::*;

/// The float model, ready to run.
pub struct Tract {
    model: Arc<TypedRunnableModel>,
    input: Shape,
    /// The network's tensor that is the answer, and how many there are.
    output: usize,
    tensors: usize,
}

impl Tract {
    /// The serialized float `model` that `network` was lowered from.
    pub fn new<P>(model: &[u8], network: &Network<P>) -> Result<Self> {
        let input = network.tensors[network.input].shape;
        let model = tract_onnx::onnx()
            .model_for_read(&mut &*model)?
            .with_input_fact(0, f32::fact([1, input.channels, input.height, input.width]).into())?
            .into_optimized()?
            .into_runnable()?;
        Ok(Self { model, input, output: network.output, tensors: network.tensors.len() })
    }

    /// The answer to one `input` (NHWC); the other layers are not shown.
    pub fn run(&mut self, input: &[f32]) -> Result<Activations> {
        let Shape { height, width, channels } = self.input;
        ensure!(input.len() == self.input.elements(), "the model takes {} values", self.input.elements());
        let nhwc = tract_ndarray::ArrayView4::from_shape((1, height, width, channels), input)?;
        let nchw: Tensor = nhwc.permuted_axes([0, 3, 1, 2]).to_owned().as_standard_layout().to_owned().into();
        let answers = self.model.run(tvec!(nchw.into()))?;
        let answer = answers.first().context("the model has no output")?;
        let mut activations = vec![None; self.tensors];
        activations[self.output] = Some(answer.view().as_slice::<f32>()?.to_vec());
        Ok(activations)
    }
}
