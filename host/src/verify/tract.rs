//! The float model in tract: a second opinion, from an engine that shares nothing with ONNX Runtime.

use super::Activations;
use crate::quantize::{Network, Tensor as Layer};
use anyhow::{Context, Result, ensure};
use prost::Message;
use tract_onnx::pb::{ModelProto, ValueInfoProto};
use tract_onnx::prelude::*;

/// The float model, ready to run.
pub struct Tract {
    model: Arc<TypedRunnableModel>,
    input: Layer,
    input_sides: Vec<usize>,
    answer: Layer,
    /// The network's tensor that is the answer, and how many there are.
    output: usize,
    tensors: usize,
}

impl Tract {
    /// The serialized float `model` that `network` was lowered from.
    pub fn new<P>(model: &[u8], network: &Network<P>) -> Result<Self> {
        let [input, answer] = [network.input, network.output].map(|index| network.tensors[index].clone());
        let mut model = ModelProto::decode(model).context("the ONNX file is broken; export the model again")?;
        // Not what a Softmax or an ArgMax makes of it, which no device computes.
        if let (Some(graph), Some(value)) = (&mut model.graph, &answer.value) {
            graph.output = vec![ValueInfoProto { name: value.clone(), ..Default::default() }];
        }
        let model = tract_onnx::onnx()
            .model_for_proto_model(&model)?
            .with_input_fact(0, f32::fact(&network.input_sides).into())?
            .into_optimized()?
            .into_runnable()?;
        let input_sides = network.input_sides.clone();
        Ok(Self { model, input, input_sides, answer, output: network.output, tensors: network.tensors.len() })
    }

    /// The answer to one `input` (NHWC); the other layers are not shown.
    pub fn run(&mut self, input: &[f32]) -> Result<Activations> {
        ensure!(input.len() == self.input.shape.elements(), "the model takes {} values", self.input.shape.elements());
        let input = Tensor::from_shape(&self.input_sides, &self.input.to_onnx(input))?;
        let answers = self.model.run(tvec!(input.into()))?;
        let answer = answers.first().context("the model has no output")?;
        let mut activations = vec![None; self.tensors];
        activations[self.output] = Some(self.answer.from_onnx(answer.view().as_slice::<f32>()?));
        Ok(activations)
    }
}
