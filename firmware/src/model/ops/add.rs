//! [`AddRecord`].

use super::{Context, Decoded, Parameters, out_of_range, shape_mismatch};
use crate::kernels::Add;
use crate::model::format::{AddRecord, Span};
use crate::model::{Element, Error, Tensor, sections};

pub(super) fn decode<'m>(context: &Context<'m>, other: Tensor) -> Result<Decoded<'m>, Error> {
    let record: &AddRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 5] {
        return Err(Error::ReservedNotZero);
    }
    let tensors = [context.input, other, context.output];
    let fit = tensors.into_iter().all(|tensor| tensor.element == Element::I8 && tensor.shape == other.shape);
    context.require(fit, shape_mismatch)?;
    let add = Add {
        multipliers: record.multipliers.map(|multiplier| multiplier.get()),
        zero_points: [context.input.zero_point, other.zero_point],
        zero_point: context.output.zero_point,
        shift: record.shift,
        output_min: record.output_min,
        output_max: record.output_max,
    };
    context.require(add.shift <= 30 && add.output_min <= add.output_max && add.fits(), out_of_range)?;
    Ok(Decoded { parameters: Parameters::Add(add), data: [Span::default(); 3], scratch_bytes: 0 })
}
