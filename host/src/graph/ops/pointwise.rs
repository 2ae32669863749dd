//! Functions of single elements, and LogSoftmax.

use super::{Operator, floats};
use crate::graph::builder::{Element, Graph, Node, Type, Value};
use crate::graph::model::Attribute;
use anyhow::{Result, ensure};

/// A function whose derivative follows from its value.
macro_rules! pointwise {
    ($name:ident, |$graph:ident, $x:ident, $y:ident, $dy:ident| $gradient:expr) => {
        #[derive(Debug)]
        struct $name;

        impl Operator for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn infer(&self, inputs: &[&Type]) -> Result<Type> {
                let [x] = floats(inputs)?;
                Ok(x.clone())
            }

            fn gradient(&self, $graph: &mut Graph, node: &Node, $dy: Value) -> Result<Vec<Value>> {
                let ($x, $y) = (node.inputs[0], node.output);
                let _ = ($x, $y);
                Ok(vec![$gradient])
            }
        }
    };
}

// A mask by Cast and Mul: `Where` takes ten times as long on the CPU.
pointwise!(Relu, |graph, x, y, dy| {
    let zero = graph.scalar(0.0);
    let positive = graph.greater(y, zero)?;
    let mask = graph.cast(positive, Element::F32)?;
    graph.mul(dy, mask)?
});

pointwise!(Neg, |graph, x, y, dy| graph.neg(dy)?);

pointwise!(Exp, |graph, x, y, dy| graph.mul(dy, y)?);

pointwise!(Log, |graph, x, y, dy| graph.div(dy, x)?);

// (√x)' = 1 / (2 √x)
pointwise!(Sqrt, |graph, x, y, dy| {
    let half = graph.scale(dy, 0.5)?;
    graph.div(half, y)?
});

// σ' = σ (1 − σ)
pointwise!(Sigmoid, |graph, x, y, dy| {
    let one = graph.scalar(1.0);
    let rest = graph.sub(one, y)?;
    let slope = graph.mul(y, rest)?;
    graph.mul(dy, slope)?
});

// tanh' = 1 − tanh²
pointwise!(Tanh, |graph, x, y, dy| {
    let one = graph.scalar(1.0);
    let square = graph.mul(y, y)?;
    let slope = graph.sub(one, square)?;
    graph.mul(dy, slope)?
});

// softplus' = σ
pointwise!(Softplus, |graph, x, y, dy| {
    let slope = graph.sigmoid(x)?;
    graph.mul(dy, slope)?
});

/// `x` where it is positive, `slope · x` elsewhere (Maas et al. 2013).
#[derive(Debug)]
struct LeakyRelu {
    slope: f32,
}

/// Limits its first input to what lies between the other two.
#[derive(Debug)]
struct Clip;

impl Operator for LeakyRelu {
    fn name(&self) -> &'static str {
        "LeakyRelu"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        Ok(x.clone())
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("alpha", Attribute::Float(self.slope))]
    }

    /// The derivative is 1 or `slope`: the output, stretched far beyond both, and cut off there. Two passes over the values
    /// where a mask takes four.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let stretched = graph.scale(node.output, 1e30)?;
        let (least, most) = (graph.scalar(self.slope), graph.scalar(1.0));
        let derivative = graph.apply(Clip, &[stretched, least, most])?;
        Ok(vec![graph.mul(dy, derivative)?])
    }
}

impl Operator for Clip {
    fn name(&self) -> &'static str {
        "Clip"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x, least, most] = floats(inputs)?;
        ensure!(least.shape.is_empty() && most.shape.is_empty(), "takes scalars as limits");
        Ok(x.clone())
    }
}

/// `x − ln Σ exp x` along the last axis.
#[derive(Debug)]
struct LogSoftmax;

impl Operator for LogSoftmax {
    fn name(&self) -> &'static str {
        "LogSoftmax"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        ensure!(!x.shape.is_empty(), "takes at least one dimension");
        Ok(x.clone())
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("axis", Attribute::Int(-1))]
    }

    /// dx = dy − softmax(x) · Σ dy.
    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let last = graph.shape(dy).len() - 1;
        let sum = graph.reduce_sum(dy, &[last], true)?;
        let probabilities = graph.exp(node.output)?;
        let share = graph.mul(probabilities, sum)?;
        Ok(vec![graph.sub(dy, share)?])
    }
}

impl Graph {
    /// `max(x, 0)`.
    pub fn relu(&mut self, x: Value) -> Result<Value> {
        self.apply(Relu, &[x])
    }

    /// `x` where it is positive, `slope · x` elsewhere; `slope` in 0…1.
    pub fn leaky_relu(&mut self, x: Value, slope: f32) -> Result<Value> {
        self.apply(LeakyRelu { slope }, &[x])
    }

    /// `−x`.
    pub fn neg(&mut self, x: Value) -> Result<Value> {
        self.apply(Neg, &[x])
    }

    /// `eˣ`.
    pub fn exp(&mut self, x: Value) -> Result<Value> {
        self.apply(Exp, &[x])
    }

    /// Natural logarithm.
    pub fn log(&mut self, x: Value) -> Result<Value> {
        self.apply(Log, &[x])
    }

    /// `√x`.
    pub fn sqrt(&mut self, x: Value) -> Result<Value> {
        self.apply(Sqrt, &[x])
    }

    /// `1 / (1 + e⁻ˣ)`.
    pub fn sigmoid(&mut self, x: Value) -> Result<Value> {
        self.apply(Sigmoid, &[x])
    }

    /// Hyperbolic tangent.
    pub fn tanh(&mut self, x: Value) -> Result<Value> {
        self.apply(Tanh, &[x])
    }

    /// `ln(1 + eˣ)`, without overflow.
    pub fn softplus(&mut self, x: Value) -> Result<Value> {
        self.apply(Softplus, &[x])
    }

    /// Logarithm of the softmax along the last axis.
    pub fn log_softmax(&mut self, x: Value) -> Result<Value> {
        self.apply(LogSoftmax, &[x])
    }
}
