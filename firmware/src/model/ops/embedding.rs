//! [`EmbeddingRecord`].

use super::{Context, Decoded, Parameters, out_of_range, shape_mismatch};
use crate::kernels::{Embedding, EmbeddingTable, Shape};
use crate::model::format::{EMBEDDING_CODES, EMBEDDING_I4, EMBEDDING_I8, EmbeddingRecord, Span};
use crate::model::{Element, Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &EmbeddingRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != 0 || record.reserved2.iter().any(|word| word.get() != 0) {
        return Err(Error::ReservedNotZero);
    }
    let [input, output] = [context.input, context.output];
    let width = output.shape.channels;
    let is_token = input.element == Element::I16 && input.shape == Shape::vector(1);
    let is_vector = output.element == Element::I8 && output.shape == Shape::vector(width) && output.zero_point == 0;
    context.require(is_token && is_vector, shape_mismatch)?;
    let rows = record.rows.get() as usize;
    context.require(rows != 0, out_of_range)?;
    let codes_per_row = usize::from(record.codes_per_row.get());
    // A size that does not fit is no section's length.
    let size = |row_bytes: usize| rows.saturating_mul(row_bytes);
    let table = match record.form {
        EMBEDDING_I8 => {
            sections::exactly::<u8>(context.bytes, record.extra, 0)?;
            EmbeddingTable::I8(sections::exactly(context.bytes, record.table, size(width))?)
        }
        EMBEDDING_I4 => EmbeddingTable::I4 {
            nibbles: sections::exactly(context.bytes, record.table, size(width.div_ceil(2)))?,
            multipliers: sections::exactly(context.bytes, record.extra, rows)?,
        },
        EMBEDDING_CODES => {
            context.require(codes_per_row != 0 && width.is_multiple_of(codes_per_row), out_of_range)?;
            EmbeddingTable::Codes {
                codes: sections::exactly(context.bytes, record.table, size(codes_per_row))?,
                codebooks: sections::exactly(context.bytes, record.extra, 256 * width)?,
                codes_per_row,
            }
        }
        _ => return Err(out_of_range(context.op)),
    };
    context.require(codes_per_row == 0 || record.form == EMBEDDING_CODES, out_of_range)?;
    Ok(Decoded {
        parameters: Parameters::Embedding(Embedding { rows, width, table }),
        data: [record.table, record.extra, Span::default()],
        scratch_bytes: 0,
    })
}
