//! The container of a model that takes a sequence: one run of its ops is one step.

use super::{Quantized, Recurrent};
use crate::export::Options;
use crate::export::container::{check_labels, op_spec, tensor_of};
use crate::export::plan::{ALIGNMENT, Plan};
use crate::quantize::lstm::HIDDEN_SCALE;
use anyhow::Result;
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, Parameters};
use firmware::model::{Element, Preference, Shape, Tensor};

/// The input, an embedding's vector, and the states, one behind the other: the states have to last.
#[derive(Default)]
struct Tensors(Vec<Tensor>);

impl Tensors {
    fn end(&self) -> usize {
        self.0.last().map_or(0, |tensor| tensor.end().next_multiple_of(ALIGNMENT))
    }

    /// A vector of `values` values; gives its index.
    fn push(&mut self, element: Element, values: usize, scale: f32) -> u16 {
        let shape = Shape { height: 1, width: 1, channels: values };
        self.0.push(Tensor { offset: self.end(), shape, element, zero_point: 0, scale });
        self.0.len() as u16 - 1
    }
}

/// The container of `recurrent`, packed for every core; `plan` places the tail's tensors.
pub fn container(recurrent: &Recurrent, quantized: &Quantized, plan: &Plan, options: &Options) -> Result<Vec<u8>> {
    check_labels(&quantized.tail.network, &options.labels)?;
    let (mut tensors, mut ops) = (Tensors::default(), Vec::new());
    let op = |input, output, parameters| OpSpec {
        input,
        output,
        packing: PACKING_PORTABLE,
        preference: Preference::default(),
        parameters,
    };
    let mut last = match (&recurrent.embedding, &quantized.table) {
        (Some(embedding), Some(table)) => {
            let token = tensors.push(Element::I16, 1, 1.0);
            let vector = tensors.push(Element::I8, embedding.width, table.scale);
            ops.push(op(token, vector, Parameters::Embedding { rows: embedding.rows, table: table.spec.clone() }));
            vector
        }
        _ => tensors.push(Element::I8, recurrent.entry.tensors[0].shape.channels, quantized.input_scale),
    };
    for (layer, lstm) in recurrent.layers.iter().zip(&quantized.layers) {
        let cell = tensors.push(Element::I16, layer.units, lstm.cell_scale());
        let hidden = tensors.push(Element::I8, layer.units, HIDDEN_SCALE);
        let parameters = Parameters::Lstm {
            cell,
            weights: lstm.gates.weights.clone(),
            bias: lstm.gates.folded_bias.clone(),
            multipliers: lstm.gates.multipliers.clone(),
            left_shift: lstm.gates.left_shift,
            cell_shift: lstm.cell_shift,
        };
        ops.push(op(last, hidden, parameters));
        last = hidden;
    }
    let (start, first, network) = (tensors.end(), tensors.0.len(), &quantized.tail.network);
    // The tail's input is the last state; its other tensors follow in their order.
    let place = |tensor: usize| {
        if tensor == network.input { last } else { (first + tensor - usize::from(tensor > network.input)) as u16 }
    };
    let others = (0..network.tensors.len()).filter(|&tensor| tensor != network.input);
    tensors.0.extend(others.map(|tensor| tensor_of(&quantized.tail, tensor, start + plan.offsets[tensor])));
    for op in &network.ops {
        ops.push(op_spec(op, &quantized.tail, &place)?);
    }
    let builder = ModelBuilder {
        name: options.name.clone(),
        labels: options.labels.clone(),
        tensors: tensors.0,
        ops,
        input: 0,
        output: place(network.output),
        text: None,
    };
    Ok(builder.finish())
}
