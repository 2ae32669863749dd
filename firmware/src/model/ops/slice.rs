//! [`SliceRecord`].

use super::{Context, Decoded, Parameters, same_meaning, shape_mismatch};
use crate::kernels::Slice;
use crate::model::format::{SliceRecord, Span};
use crate::model::{Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &SliceRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 4] {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    context.require(same_meaning(input, output), shape_mismatch)?;
    let [starts, steps] = [record.starts, record.steps].map(|sides| sides.map(|side| usize::from(side.get())));
    let slice = Slice { input: input.shape, output: output.shape, starts, steps };
    context.require(slice.is_inside(), shape_mismatch)?;
    Ok(Decoded { parameters: Parameters::Slice(slice), data: [Span::default(); 3], scratch_bytes: 0 })
}
