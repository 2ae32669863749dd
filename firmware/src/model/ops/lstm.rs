//! [`LstmRecord`].

use super::{Context, Decoded, Parameters, out_of_range, output_stage, shape_mismatch};
use crate::kernels::{Dense, Lstm, packing};
use crate::model::format::{LstmRecord, OutputStageRecord};
use crate::model::{Element, Error, Shape, Tensor, sections};

pub(super) fn decode<'m>(context: &Context<'m>, cell: Tensor) -> Result<Decoded<'m>, Error> {
    let record: &LstmRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 6] {
        return Err(Error::ReservedNotZero);
    }
    let [input, hidden] = [context.input, context.output];
    let [inputs, units] = [input, hidden].map(|tensor| tensor.shape.channels);
    let is_vector = |tensor: Tensor, length: usize, element: Element| {
        tensor.shape == Shape::vector(length) && tensor.element == element && tensor.zero_point == 0
    };
    let fits = is_vector(input, inputs, Element::I8)
        && is_vector(hidden, units, Element::I8)
        && is_vector(cell, units, Element::I16);
    context.require(fits, shape_mismatch)?;
    context.require((8..=15).contains(&record.cell_shift), out_of_range)?;
    // At most four times, and twice, what 16 bits hold.
    let [rows, columns] = [4 * units, inputs + units];
    let weight_bytes = packing::weight_bytes(context.record.packing, rows, columns);
    let stage = OutputStageRecord {
        bias: record.bias,
        multipliers: record.multipliers,
        left_shift: record.left_shift,
        ..Default::default()
    };
    let gates = Dense {
        inputs: columns,
        outputs: rows,
        weights: sections::exactly(context.bytes, record.weights, weight_bytes.ok_or(out_of_range(context.op))?)?,
        stage: output_stage::decode(context, &stage, [rows; 2])?,
    };
    Ok(Decoded {
        parameters: Parameters::Lstm(Lstm { units, gates, cell_shift: record.cell_shift }),
        data: [record.weights, record.bias, record.multipliers],
        scratch_bytes: (context.variant.lstm_scratch_bytes)(inputs, units),
    })
}
