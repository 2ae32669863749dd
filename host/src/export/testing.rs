//! Small ONNX models with random weights, and tract as a second opinion on them.

use super::proto::{batched, constant, model, node};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto};
use tract_onnx::prelude::*;

/// An ONNX model in the making: each node reads the one before it.
pub struct Sketch {
    pub graph: GraphProto,
    last: String,
    random: Xoshiro256PlusPlus,
}

impl Sketch {
    /// A model with the input `[N, sides…]`.
    pub fn new(sides: &[usize], seed: u64) -> Self {
        let graph = GraphProto { input: vec![batched("input", sides)], ..Default::default() };
        Self { graph, last: "input".into(), random: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Numbers in −1..1.
    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random.random_range(-1.0..1.0)).collect()
    }

    /// Appends a node with one constant of random numbers for each of `constants`.
    pub fn node(mut self, op: &str, constants: &[&[usize]], attributes: Vec<AttributeProto>) -> Self {
        let output = format!("{}{}", op.to_lowercase(), self.graph.node.len());
        let mut inputs = vec![self.last.clone()];
        for (index, dims) in constants.iter().enumerate() {
            let name = format!("{output}.constant{index}");
            let numbers = self.numbers(dims.iter().product());
            self.graph.initializer.push(constant(&name, dims, &numbers));
            inputs.push(name);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node.push(node(op, &inputs, &output, attributes));
        self.last = output;
        self
    }

    /// The model, which answers with `[N, sides…]`.
    pub fn finish(mut self, sides: &[usize]) -> ModelProto {
        self.graph.output = vec![batched(&self.last, sides)];
        model(self.graph)
    }
}

/// What tract answers to one `input` of `sides` (NCHW).
pub fn tract(model: &ModelProto, sides: &[usize], input: &[f32]) -> Vec<f32> {
    let shape: Vec<usize> = [1].iter().chain(sides).copied().collect();
    let model = tract_onnx::onnx()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, f32::fact(&shape).into()))
        .and_then(|model| model.into_optimized())
        .and_then(|model| model.into_runnable())
        .unwrap();
    let answers = model.run(tvec!(Tensor::from_shape(&shape, input).unwrap().into())).unwrap();
    answers[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

/// `[C, H·W]` → `[H·W, C]`.
pub fn nhwc(nchw: &[f32], channels: usize) -> Vec<f32> {
    let area = nchw.len() / channels;
    (0..nchw.len()).map(|i| nchw[(i % channels) * area + i / channels]).collect()
}
