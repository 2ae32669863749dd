//! The container of a model that takes a sequence: one run of its ops is one step.

use super::{Quantized, Recurrent};
use crate::export::Options;
use crate::export::container::{Vectors, check_labels, lstm_parameters, op_spec, portable_op, tensor_of};
use crate::export::plan::Plan;
use crate::quantize::lstm::HIDDEN_SCALE;
use anyhow::Result;
use firmware::model::Element;
use firmware::model::writer::{ModelBuilder, Parameters};

/// The container of `recurrent`, packed for every core; `plan` places the tail's tensors.
pub fn container(recurrent: &Recurrent, quantized: &Quantized, plan: &Plan, options: &Options) -> Result<Vec<u8>> {
    check_labels(&quantized.tail.network, &options.labels)?;
    let (mut tensors, mut ops) = (Vectors::default(), Vec::new());
    let mut last = match (&recurrent.embedding, &quantized.table) {
        (Some(embedding), Some(table)) => {
            let token = tensors.push(Element::I16, 1, 1.0);
            let vector = tensors.push(Element::I8, embedding.width, table.scale);
            ops.push(portable_op(
                token,
                vector,
                Parameters::Embedding { rows: embedding.rows, table: table.spec.clone() },
            ));
            vector
        }
        _ => tensors.push(Element::I8, recurrent.entry.tensors[0].shape.channels, quantized.input_scale),
    };
    for (layer, lstm) in recurrent.layers.iter().zip(&quantized.layers) {
        let cell = tensors.push(Element::I16, layer.units, lstm.cell_scale());
        let hidden = tensors.push(Element::I8, layer.units, HIDDEN_SCALE);
        ops.push(portable_op(last, hidden, lstm_parameters(lstm, cell)));
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
