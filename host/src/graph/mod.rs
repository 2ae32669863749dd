//! ONNX graphs: typed builder, layers, gradients, losses and optimizers.
//!
//! ONNX Runtime's training packages are gone, but an ordinary graph can do their work: forward pass, backward pass and
//! optimizer are nodes of one model whose inputs are the parameters and whose outputs are the next ones. This module knows
//! how to write such graphs and nothing about running them.
//!
//! ```text
//! Layer… ──Network──▶ forward nodes ──loss──▶ scalar ──gradients──▶ backward nodes ──Optimizer──▶ next parameters
//!                              all of it in one Graph ──to_bytes──▶ ONNX
//! ```

mod builder;
mod gradient;
mod layer;
pub mod loss;
mod model;
mod network;
mod ops;
pub mod optimizer;
mod unroll;

pub use builder::{Element, Graph, Node, Type, Value};
pub use gradient::gradients;
pub use layer::{Activation, Layer, Padding, Pooling};
pub use model::{Attribute, Batch, OPSET};
pub use network::{CODES, Forward, Input, Mask, Network, Parameter, Role};
pub use ops::{Conv2d, Operator, Range};
