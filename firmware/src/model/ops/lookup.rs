//! [`LookupRecord`].

use super::{Context, Decoded, Parameters, shape_mismatch};
use crate::kernels::Lookup;
use crate::model::format::{LookupRecord, Span};
use crate::model::{Element, Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &LookupRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 8] {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    let elements_fit = input.element == Element::I8 && output.element == Element::I8;
    context.require(elements_fit && input.shape == output.shape, shape_mismatch)?;
    Ok(Decoded {
        parameters: Parameters::Lookup(Lookup { table: sections::record(context.bytes, record.table)? }),
        data: [record.table, Span::default(), Span::default()],
        scratch_bytes: 0,
    })
}
