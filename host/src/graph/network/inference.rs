//! The float model.

use super::{Input, Network, Parameter, Stage, Weighted, activate, simple};
use crate::graph::builder::{Graph, Value};
use crate::graph::model::Batch;
use anyhow::{Result, bail};

impl Network {
    /// Adds the nodes from `x` (images [N, C, H, W], latent values [N, L] or tokens [N, T]) to the outputs [N, K], or images, one
    /// ONNX operator a layer or activation; no dropout. Parameters lie as [`inference`](Self::inference) stores them.
    fn forward(&self, graph: &mut Graph, x: Value, parameters: &[Value]) -> Result<Value> {
        let mut x = x;
        for stage in &self.stages {
            x = match stage {
                Stage::Conv { layer, conv, .. } => {
                    weighted(graph, layer, parameters, |graph, weights, bias| graph.conv2d(x, weights, bias, *conv))?
                }
                Stage::ConvTranspose { layer, conv } => weighted(graph, layer, parameters, |graph, weights, bias| {
                    graph.conv_transpose2d(x, weights, bias, *conv)
                })?,
                Stage::Dense { layer } => weighted(graph, layer, parameters, |graph, weights, bias| {
                    graph.gemm(x, weights, bias, false, true)
                })?,
                Stage::Dropout { .. } => x,
                Stage::Embedding(embedding) => embedding.infer(graph, x, parameters)?,
                Stage::Lstm(lstm) => lstm.infer(graph, x, parameters)?,
                stage => simple(graph, stage, x)?,
            };
        }
        let y = activate(graph, x, self.last)?;
        graph.scope("");
        Ok(y)
    }

    /// The float model: input `input` [N, C, H, W] or [N, L], or `tokens` [N, T], output [`output_name`](Self::output_name) [N, K]
    /// or [N, C, H, W], N and T symbolic; `weights` row-major, in the order of [`parameters`](Self::parameters).
    pub fn inference(&self, weights: &[&[f32]]) -> Result<Vec<u8>> {
        let mut graph = Graph::new();
        let x = match self.input {
            Input::Image([channels, height, width]) => graph.input("input", &[1, channels, height, width])?,
            Input::Latent(values) => graph.input("input", &[1, values])?,
            Input::Tokens { .. } => {
                let tokens = graph.input_integers("tokens", &[1, 1])?;
                graph.symbol(tokens, 1, "T");
                tokens
            }
        };
        let store = |(index, data): (usize, &&[f32])| {
            let Parameter { name, shape, .. } = &self.parameters[index];
            match self.stored(index, data) {
                Some((name, shape, data)) => graph.initializer(&name, &shape, &data),
                None => graph.initializer(name, shape, data),
            }
        };
        let parameters = weights.iter().enumerate().map(store).collect::<Result<Vec<_>>>()?;
        let output = self.forward(&mut graph, x, &parameters)?;
        graph.output(self.output_name(), output)?;
        Ok(graph.to_bytes(Batch::Symbolic))
    }

    /// Multiplies what the last layer, a dense one, gives before its activation by `factor`: its weights and bias in `weights`, or
    /// its batch norm's scale and shift.
    ///
    /// # Errors
    /// A last layer of another kind.
    pub fn scale_outputs(&self, weights: &mut [Vec<f32>], factor: f32) -> Result<()> {
        let Some(Stage::Dense { layer }) = self.stages.last() else { bail!("the last layer is not dense") };
        let first = layer.weights + usize::from(layer.norm);
        weights[first..first + 2].iter_mut().flatten().for_each(|weight| *weight *= factor);
        Ok(())
    }

    /// Parameter number `index` as the float model holds it, where that differs from training: name, shape, values.
    pub fn stored(&self, index: usize, data: &[f32]) -> Option<(String, Vec<usize>, Vec<f32>)> {
        self.stages.iter().find_map(|stage| match stage {
            Stage::Embedding(embedding) => embedding.stored(index, data),
            Stage::Lstm(lstm) => lstm.stored(index, data),
            _ => None,
        })
    }
}

/// A layer with weights: `product` with them, its bias or batch norm by the running means, and activation.
fn weighted(
    graph: &mut Graph,
    layer: &Weighted,
    parameters: &[Value],
    product: impl Fn(&mut Graph, Value, Option<Value>) -> Result<Value>,
) -> Result<Value> {
    graph.scope(&layer.name);
    let parameter = |behind: usize| parameters[layer.weights + behind];
    let y = product(graph, parameter(0), (!layer.norm).then(|| parameter(1)))?;
    let y = match layer.norm {
        true => graph.normalize(y, parameter(1), parameter(2), [parameter(3), parameter(4)])?,
        false => y,
    };
    activate(graph, y, layer.activation)
}
