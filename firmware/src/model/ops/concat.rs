//! [`ConcatRecord`].

use super::{Context, Decoded, Parameters, out_of_range, same_meaning, shape_mismatch};
use crate::kernels::Concat;
use crate::model::format::{ConcatRecord, Span};
use crate::model::{Error, Model, Shape, sections};

pub(super) fn decode<'m>(
    context: &Context<'m>,
    model: &Model<'m>,
    others: [Option<u16>; 2],
) -> Result<Decoded<'m>, Error> {
    let record: &ConcatRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 15] {
        return Err(Error::ReservedNotZero);
    }
    let axis = usize::from(record.axis);
    context.require(axis < 3 && others[0].is_some(), out_of_range)?;
    let output = context.output;
    let sides = |shape: Shape| [shape.height, shape.width, shape.channels];
    let mut concat = Concat { count: sides(output.shape)[..axis].iter().product(), axis, runs: [0; 3] };
    let mut length = 0;
    for (run, index) in concat.runs.iter_mut().zip([Some(context.record.inputs[0].get())].into_iter().chain(others)) {
        let Some(index) = index else { continue };
        let tensor = model.tensor(index)?;
        let shape = sides(tensor.shape);
        let others_fit = (0..3).all(|side| side == axis || shape[side] == sides(output.shape)[side]);
        context.require(others_fit && same_meaning(tensor, output), shape_mismatch)?;
        *run = shape[axis..].iter().product();
        length += shape[axis];
    }
    context.require(length == sides(output.shape)[axis], shape_mismatch)?;
    Ok(Decoded { parameters: Parameters::Concat(concat), data: [Span::default(); 3], scratch_bytes: 0 })
}
