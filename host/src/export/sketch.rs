//! Small ONNX models with random weights, for tests and examples.

use super::proto::{batched, constant, int, model, node};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto};

/// An ONNX model in the making: each node reads the one before it.
pub struct Sketch {
    pub graph: GraphProto,
    last: String,
    random: Xoshiro256PlusPlus,
    /// Weights keep the size of what passes through them, so that deep nets do not overflow (He et al. 2015).
    keeps_size: bool,
}

impl Sketch {
    /// A model with the input `[N, sides…]`.
    pub fn new(sides: &[usize], seed: u64) -> Self {
        let graph = GraphProto { input: vec![batched("input", sides)], ..Default::default() };
        Self { graph, last: "input".into(), random: Xoshiro256PlusPlus::seed_from_u64(seed), keeps_size: false }
    }

    /// As [`Self::new`], with weights as training starts from, whose sizes go with the number of values that they sum over.
    pub fn initialized(sides: &[usize], seed: u64) -> Self {
        Self { keeps_size: true, ..Self::new(sides, seed) }
    }

    /// The value that the last node made.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Numbers in −1..1.
    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.random.random_range(-1.0..1.0)).collect()
    }

    /// Appends a node that reads the one before it and one constant of random numbers for each of `constants`. It and its
    /// output are called after the operator and its place, e.g. `conv0`.
    pub fn node(self, op: &str, constants: &[&[usize]], attributes: Vec<AttributeProto>) -> Self {
        let last = self.last.clone();
        self.node_of(op, &[&last], constants, attributes)
    }

    /// As [`Self::node`], of the values `inputs`.
    pub fn node_of(
        mut self,
        op: &str,
        inputs: &[&str],
        constants: &[&[usize]],
        attributes: Vec<AttributeProto>,
    ) -> Self {
        let output = format!("{}{}", op.to_lowercase(), self.graph.node.len());
        let mut inputs: Vec<String> = inputs.iter().map(|input| input.to_string()).collect();
        for (index, dims) in constants.iter().enumerate() {
            let name = format!("{output}.constant{index}");
            let mut numbers = self.numbers(dims.iter().product());
            if self.keeps_size {
                // Matrices on the right of a product have their inputs first.
                let sums_over_first = dims.len() == 2 && !attributes.iter().any(|attribute| attribute.name == "transB");
                let summed: usize = if sums_over_first { dims[0] } else { dims.iter().skip(1).product() };
                let size = if dims.len() == 1 { 0.1 } else { (6.0 / summed as f32).sqrt() };
                numbers.iter_mut().for_each(|number| *number *= size);
            }
            self.graph.initializer.push(constant(&name, dims, &numbers));
            inputs.push(name);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node.push(node(op, &inputs, &output, attributes));
        self.last = output;
        self
    }

    /// Appends a node that reads the one before it and the integers `values`.
    pub fn with_ints(mut self, op: &str, values: &[i64], attributes: Vec<AttributeProto>) -> Self {
        let name = format!("{}{}.ints", op.to_lowercase(), self.graph.node.len());
        self.graph.initializer.push(constant(&name, &[values.len()], values));
        let last = self.last.clone();
        self.node_of(op, &[&last, &name], &[], attributes)
    }

    /// Appends a Slice of the value before it; the lists are starts, ends, axes and steps.
    pub fn slice(mut self, lists: [&[i64]; 4]) -> Self {
        let place = self.graph.node.len();
        let mut inputs = vec![self.last.clone()];
        for (name, list) in ["starts", "ends", "axes", "steps"].into_iter().zip(lists) {
            let name = format!("slice{place}.{name}");
            self.graph.initializer.push(constant(&name, &[list.len()], list));
            inputs.push(name);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.node_of("Slice", &inputs, &[], vec![])
    }

    /// Appends an LSTM of `units` over vectors of `inputs` values, with weights as training starts from. It and its outputs are
    /// called after its place: `lstm2` all states, `lstm2.last` the last.
    pub fn lstm(mut self, inputs: usize, units: usize) -> Self {
        let name = format!("lstm{}", self.graph.node.len());
        let size = (units as f32).sqrt().recip();
        let mut reads = vec![self.last.clone()];
        for (what, dims) in [("w", [4 * units, inputs]), ("r", [4 * units, units]), ("b", [8, units])] {
            let name = format!("{name}.{what}");
            let numbers: Vec<f32> = self.numbers(dims[0] * dims[1]).into_iter().map(|x| size * x).collect();
            let sides: &[usize] = if what == "b" { &[1, 8 * units] } else { &[1, dims[0], dims[1]] };
            self.graph.initializer.push(constant(&name, sides, &numbers));
            reads.push(name);
        }
        let reads: Vec<&str> = reads.iter().map(String::as_str).collect();
        let mut lstm = node("LSTM", &reads, &name, vec![int("hidden_size", units as i64)]);
        lstm.output.push(format!("{name}.last"));
        self.graph.node.push(lstm);
        self.last = name;
        self
    }

    /// Appends a Gather of the value before it, tokens, from a table of `rows` vectors of `width` values.
    pub fn embedding(mut self, rows: usize, width: usize) -> Self {
        let name = format!("gather{}.table", self.graph.node.len());
        let table = self.numbers(rows * width);
        self.graph.initializer.push(constant(&name, &[rows, width], &table));
        let last = self.last.clone();
        self.node_of("Gather", &[&name, &last], &[], vec![])
    }

    /// Appends a BatchNormalization as training leaves it behind.
    pub fn batch_normalization(mut self, channels: usize) -> Self {
        let output = format!("batchnormalization{}", self.graph.node.len());
        let names = ["scale", "bias", "mean", "variance"].map(|what| format!("{output}.{what}"));
        for name in &names {
            let shift = if name.ends_with("scale") || name.ends_with("variance") { 1.2 } else { 0.0 };
            let numbers: Vec<f32> = self.numbers(channels).into_iter().map(|x| shift + x / 2.0).collect();
            self.graph.initializer.push(constant(name, &[channels], &numbers));
        }
        let last = self.last.clone();
        let [a, b, c, d] = names.each_ref();
        self.node_of("BatchNormalization", &[&last, a, b, c, d], &[], Vec::new())
    }

    /// The model, which answers with `[N, sides…]`.
    pub fn finish(mut self, sides: &[usize]) -> ModelProto {
        self.graph.output = vec![batched(&self.last, sides)];
        model(self.graph)
    }
}
