//! [`DepthwiseConv2dRecord`].

use super::{Context, Decoded, Parameters, out_of_range, output_stage, shape_mismatch};
use crate::kernels::{DepthwiseConv2d, Shape, Window, optimized};
use crate::model::format::DepthwiseConv2dRecord;
use crate::model::{Element, Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &DepthwiseConv2dRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 8] {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    let window = Window::from(record.window);
    let [height, width] = window.positions(input.shape).ok_or(out_of_range(context.op))?;
    let channels = input.shape.channels;
    let elements_fit = input.element == Element::I8 && output.element == Element::I8;
    context.require(elements_fit && output.shape == Shape { height, width, channels }, shape_mismatch)?;
    // At most what 32 bits hold.
    let weights = channels * window.kernel[0] * window.kernel[1];
    let conv = DepthwiseConv2d {
        input: input.shape,
        output: output.shape,
        window,
        input_zero_point: input.zero_point,
        weights: sections::exactly(context.bytes, record.weights, weights)?,
        stage: output_stage::decode(context, &record.output_stage, [channels; 2])?,
    };
    Ok(Decoded {
        parameters: Parameters::DepthwiseConv2d(conv),
        data: [record.weights, record.output_stage.bias, record.output_stage.multipliers],
        scratch_bytes: optimized::depthwise_scratch_bytes(input.shape, window),
    })
}
