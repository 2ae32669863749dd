//! [`MultiplyRecord`].

use super::{Context, Decoded, Parameters, out_of_range, shape_mismatch};
use crate::kernels::Multiply;
use crate::model::format::{MultiplyRecord, Span};
use crate::model::{Element, Error, Tensor, sections};

pub(super) fn decode<'m>(context: &Context<'m>, other: Tensor) -> Result<Decoded<'m>, Error> {
    let record: &MultiplyRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 9] {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    let multiply = Multiply {
        shape: input.shape,
        other: other.shape,
        zero_points: [input.zero_point, other.zero_point],
        multiplier: record.multiplier.get(),
        left_shift: record.left_shift,
        zero_point: output.zero_point,
        output_min: record.output_min,
        output_max: record.output_max,
    };
    let fit = [input, other, output].iter().all(|tensor| tensor.element == Element::I8)
        && output.shape == input.shape
        && multiply.reaches();
    context.require(fit, shape_mismatch)?;
    let is_in_range = multiply.multiplier >= 0 && multiply.left_shift <= 15;
    context.require(is_in_range && multiply.output_min <= multiply.output_max, out_of_range)?;
    Ok(Decoded { parameters: Parameters::Multiply(multiply), data: [Span::default(); 3], scratch_bytes: 0 })
}
