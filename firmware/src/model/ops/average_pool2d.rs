//! [`AveragePool2dRecord`].

use super::{Context, Decoded, Parameters, out_of_range, output_stage, shape_mismatch};
use crate::kernels::{AveragePool2d, Shape, Window};
use crate::model::format::AveragePool2dRecord;
use crate::model::{Element, Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &AveragePool2dRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 8] {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    let window = Window::from(record.window);
    let [height, width] = window.positions(input.shape).ok_or(out_of_range(context.op))?;
    let elements_fit = input.element == Element::I8 && output.element == Element::I8;
    let expected = Shape { height, width, channels: input.shape.channels };
    context.require(elements_fit && output.shape == expected, shape_mismatch)?;
    let places = window.kernel[0] * window.kernel[1];
    // One multiplier has four bytes.
    let multipliers = if record.output_stage.multipliers.length.get() == 4 { 1 } else { places };
    let stage = output_stage::decode(context, &record.output_stage, [0, multipliers])?;
    // The longest sum, shifted: at most 255² places, 255 each.
    let longest = (255 * places as i64) << stage.left_shift;
    context.require(longest <= i32::MAX.into(), out_of_range)?;
    let [bias, multipliers] = [record.output_stage.bias, record.output_stage.multipliers];
    let pool =
        AveragePool2d { input: input.shape, output: output.shape, window, input_zero_point: input.zero_point, stage };
    Ok(Decoded {
        parameters: Parameters::AveragePool2d(pool),
        data: [bias, multipliers, Default::default()],
        scratch_bytes: 0,
    })
}
