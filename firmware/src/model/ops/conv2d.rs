//! [`Conv2dRecord`].

use super::{Context, Decoded, Parameters, out_of_range, output_stage, shape_mismatch};
use crate::kernels::{Conv2d, Shape, Window, packing};
use crate::model::format::Conv2dRecord;
use crate::model::{Element, Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &Conv2dRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 14] {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    let window = Window::from(record.window);
    let pool = record.pool.map(usize::from);
    context.require(!pool.contains(&0), out_of_range)?;
    let [height, width] = window.positions(input.shape).ok_or(out_of_range(context.op))?;
    let expected = Shape { height: height / pool[0], width: width / pool[1], channels: output.shape.channels };
    let elements_fit = input.element == Element::I8 && output.element == Element::I8;
    context.require(elements_fit && output.shape == expected, shape_mismatch)?;
    let weight_bytes = packing::conv2d_bytes(context.record.packing, output.shape.channels, input.shape, window, pool);
    let conv = Conv2d {
        input: input.shape,
        output: output.shape,
        window,
        pool,
        input_zero_point: input.zero_point,
        weights: sections::exactly(context.bytes, record.weights, weight_bytes.ok_or(out_of_range(context.op))?)?,
        stage: output_stage::decode(context, &record.output_stage, [output.shape.channels; 2])?,
    };
    Ok(Decoded {
        parameters: Parameters::Conv2d(conv),
        data: [record.weights, record.output_stage.bias, record.output_stage.multipliers],
        scratch_bytes: (context.variant.conv2d_scratch_bytes)(input.shape, window, pool),
    })
}
