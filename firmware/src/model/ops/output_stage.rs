//! [`OutputStageRecord`]: shared by the ops that accumulate.

use super::{Context, out_of_range};
use crate::kernels::OutputStage;
use crate::model::format::OutputStageRecord;
use crate::model::{Error, sections};

/// Reads the stage with so many biases and multipliers.
pub(super) fn decode<'m>(
    context: &Context<'m>,
    record: &OutputStageRecord,
    [biases, multipliers]: [usize; 2],
) -> Result<OutputStage<'m>, Error> {
    let bias = sections::exactly(context.bytes, record.bias, biases)?;
    let multipliers = sections::exactly(context.bytes, record.multipliers, multipliers)?;
    let in_range = record.left_shift < 32 && record.output_min <= record.output_max;
    context.require(in_range, out_of_range)?;
    if record.reserved != [0; 5] {
        return Err(Error::ReservedNotZero);
    }
    Ok(OutputStage {
        bias,
        multipliers,
        left_shift: record.left_shift,
        zero_point: context.output.zero_point,
        output_min: record.output_min,
        output_max: record.output_max,
    })
}
