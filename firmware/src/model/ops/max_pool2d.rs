//! [`MaxPool2dRecord`].

use super::{Context, Decoded, Parameters, out_of_range, same_meaning, shape_mismatch};
use crate::kernels::{MaxPool2d, Shape, Window};
use crate::model::format::{MaxPool2dRecord, Span};
use crate::model::{Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &MaxPool2dRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 8] {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    let window = Window::from(record.window);
    let [height, width] = window.positions(input.shape).ok_or(out_of_range(context.op))?;
    let expected = Shape { height, width, channels: input.shape.channels };
    // A maximum keeps the meaning of its integers.
    context.require(output.shape == expected && same_meaning(input, output), shape_mismatch)?;
    Ok(Decoded {
        parameters: Parameters::MaxPool2d(MaxPool2d { input: input.shape, output: output.shape, window }),
        data: [Span::default(); 3],
        scratch_bytes: 0,
    })
}
