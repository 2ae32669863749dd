//! Layers of an ONNX model in ONNX Runtime.

use super::Activations;
use crate::export::qdq;
use crate::quantize::{Network, Shape};
use crate::runtime::Inference;
use anyhow::{Context, Result};
use prost::Message;
use tract_onnx::pb::{ModelProto, ValueInfoProto};

/// A session that answers with the layers' values beside the model's answer.
pub struct OnnxRuntime {
    inference: Inference,
    input: String,
    /// With the batch of 1 in front, as the model wants it.
    input_sides: Vec<usize>,
    /// For each tensor the value that holds it, and its shape.
    values: Vec<(Option<String>, Shape)>,
}

impl OnnxRuntime {
    /// The float `model` that `network` was lowered from.
    pub fn float<P>(model: &[u8], network: &Network<P>) -> Result<Self> {
        Self::new(model, network, |index| network.tensors[index].value.clone())
    }

    /// The QDQ `model` of `network`.
    pub fn int8<P>(model: &[u8], network: &Network<P>) -> Result<Self> {
        Self::new(model, network, |index| Some(qdq::value_name(network, index)))
    }

    fn new<P>(model: &[u8], network: &Network<P>, value: impl Fn(usize) -> Option<String>) -> Result<Self> {
        let mut model = ModelProto::decode(model).context("the ONNX file is broken; export the model again")?;
        let graph = model.graph.as_mut().context("the ONNX file holds no graph; export the model again")?;
        let input = network.tensors[network.input].value.clone().unwrap_or_default();
        let values: Vec<_> = (0..network.tensors.len()).map(|i| (value(i), network.tensors[i].shape)).collect();
        for name in values.iter().filter_map(|(name, _)| name.as_ref()) {
            let known = graph.output.iter().chain(&graph.input).any(|value| value.name == *name);
            if !known {
                graph.output.push(ValueInfoProto { name: name.clone(), ..Default::default() });
            }
        }
        let rank = onnx_rank(graph.input.iter().find(|value| value.name == input));
        let Shape { height, width, channels } = network.tensors[network.input].shape;
        let input_sides = if rank == Some(2) { vec![1, channels] } else { vec![1, channels, height, width] };
        Ok(Self { inference: Inference::from_bytes(&model.encode_to_vec())?, input, input_sides, values })
    }

    /// The layers' values for one `input` (NHWC).
    pub fn run(&mut self, input: &[f32]) -> Result<Activations> {
        let nchw = channels_first(input, self.input_sides[1]);
        let answers = self.inference.run(&[(&self.input, &self.input_sides, &nchw)])?;
        let values = self.values.iter().map(|(name, shape)| {
            let name = name.as_ref()?;
            if *name == self.input {
                return Some(input.to_vec());
            }
            let (_, _, values) = answers.iter().find(|(answer, ..)| answer == name)?;
            Some(channels_last(values, shape.channels))
        });
        Ok(values.collect())
    }
}

fn onnx_rank(value: Option<&ValueInfoProto>) -> Option<usize> {
    use tract_onnx::pb::type_proto::Value::TensorType;
    let TensorType(tensor) = value?.r#type.as_ref()?.value.as_ref()?;
    Some(tensor.shape.as_ref()?.dim.len())
}

/// `[H·W, C]` → `[C, H·W]`.
fn channels_first(nhwc: &[f32], channels: usize) -> Vec<f32> {
    let area = nhwc.len() / channels;
    (0..nhwc.len()).map(|i| nhwc[(i % area) * channels + i / area]).collect()
}

/// `[C, H·W]` → `[H·W, C]`.
fn channels_last(nchw: &[f32], channels: usize) -> Vec<f32> {
    let area = nchw.len() / channels;
    (0..nchw.len()).map(|i| nchw[(i % channels) * area + i / channels]).collect()
}
