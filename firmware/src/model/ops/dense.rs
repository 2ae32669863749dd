//! [`DenseRecord`].

use super::{Context, Decoded, Parameters, out_of_range, output_stage, shape_mismatch};
use crate::kernels::{Dense, packing};
use crate::model::format::DenseRecord;
use crate::model::{Element, Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &DenseRecord = sections::record(context.bytes, context.record.parameters)?;
    let inputs = context.input.shape.elements();
    // An image as well as a vector: its values in their order.
    let outputs = context.output.shape.elements();
    let elements_fit = context.input.element == Element::I8 && context.output.element != Element::I16;
    context.require(elements_fit, shape_mismatch)?;
    let weight_bytes = packing::weight_bytes(context.record.packing, outputs, inputs);
    let dense = Dense {
        inputs,
        outputs,
        weights: sections::exactly(context.bytes, record.weights, weight_bytes.ok_or(out_of_range(context.op))?)?,
        stage: output_stage::decode(context, &record.output_stage, [outputs; 2])?,
    };
    Ok(Decoded {
        parameters: Parameters::Dense(dense),
        data: [record.weights, record.output_stage.bias, record.output_stage.multipliers],
        scratch_bytes: 0,
    })
}
