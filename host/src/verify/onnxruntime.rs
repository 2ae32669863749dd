//! Layers of an ONNX model in ONNX Runtime.

use super::Activations;
use crate::export::qdq;
use crate::quantize::{Network, Tensor};
use crate::runtime::Inference;
use anyhow::{Context, Result};
use prost::Message;
use tract_onnx::pb::{ModelProto, ValueInfoProto};

/// A session that answers with the layers' values beside the model's answer.
pub struct OnnxRuntime {
    inference: Inference,
    /// Index of the network's input, and the dimensions that the model wants it in.
    input: usize,
    input_sides: Vec<usize>,
    /// The network's tensors, each with the value of this model that holds it.
    tensors: Vec<Tensor>,
}

impl OnnxRuntime {
    /// The float `model` that `network` was lowered from.
    pub fn float<P>(model: &[u8], network: &Network<P>) -> Result<Self> {
        Self::new(model, network.tensors.clone(), network.input, network.input_sides.clone())
    }

    /// The QDQ `model` of `network`, which is written in NCHW whatever the float model was.
    pub fn int8<P>(model: &[u8], network: &Network<P>) -> Result<Self> {
        let mut tensors = network.tensors.clone();
        for (index, tensor) in tensors.iter_mut().enumerate() {
            tensor.value = Some(qdq::value_name(network, index));
            tensor.onnx_order = [2, 0, 1];
        }
        // What is fed is the input itself, before it is rounded.
        let input = network.input;
        tensors[input].value = Some(qdq::base(&network.tensors[input]).into());
        let sides = [1].into_iter().chain(qdq::input_sides(tensors[input].shape)).collect();
        Self::new(model, tensors, input, sides)
    }

    fn new(model: &[u8], tensors: Vec<Tensor>, input: usize, input_sides: Vec<usize>) -> Result<Self> {
        let mut model = ModelProto::decode(model).context("the ONNX file is broken; export the model again")?;
        let graph = model.graph.as_mut().context("the ONNX file holds no graph; export the model again")?;
        for name in tensors.iter().filter_map(|tensor| tensor.value.as_ref()) {
            let known = graph.output.iter().chain(&graph.input).any(|value| value.name == *name);
            if !known {
                graph.output.push(ValueInfoProto { name: name.clone(), ..Default::default() });
            }
        }
        Ok(Self { inference: Inference::from_bytes(&model.encode_to_vec())?, input, input_sides, tensors })
    }

    /// The layers' values for one `input` (NHWC).
    pub fn run(&mut self, input: &[f32]) -> Result<Activations> {
        let taken = &self.tensors[self.input];
        let name = taken.value.as_deref().unwrap_or_default();
        let answers = self.inference.run(&[(name, &self.input_sides, &taken.to_onnx(input))])?;
        let values = self.tensors.iter().enumerate().map(|(index, tensor)| {
            if index == self.input {
                return Some(input.to_vec());
            }
            let (_, _, values) = answers.iter().find(|(answer, ..)| Some(answer) == tensor.value.as_ref())?;
            Some(tensor.from_onnx(values))
        });
        Ok(values.collect())
    }
}
