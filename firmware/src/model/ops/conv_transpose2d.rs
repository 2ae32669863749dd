//! [`ConvTranspose2dRecord`].

use super::{Context, Decoded, Parameters, out_of_range, output_stage, shape_mismatch};
use crate::kernels::{ConvTranspose2d, OutputStage, Window, optimized, packing};
use crate::model::format::{ConvTranspose2dRecord, PACKING_DSP_WINOGRAD};
use crate::model::{Element, Error, sections};

pub(super) fn decode<'m>(context: &Context<'m>) -> Result<Decoded<'m>, Error> {
    let record: &ConvTranspose2dRecord = sections::record(context.bytes, context.record.parameters)?;
    if record.reserved != [0; 14] {
        return Err(Error::ReservedNotZero);
    }
    // Winograd's form is for kernels of 3×3, which phases rarely are.
    context.require(context.record.packing != PACKING_DSP_WINOGRAD, |op| Error::UnknownPacking { op })?;
    let [input, output] = [context.input, context.output];
    let channels = output.shape.channels;
    let window = Window::from(record.window);
    let expected = ConvTranspose2d::output_shape(input.shape, window, channels).ok_or(out_of_range(context.op))?;
    let elements_fit = input.element == Element::I8 && output.element == Element::I8;
    context.require(elements_fit && output.shape == expected, shape_mismatch)?;
    let mut weight_bytes = Some(0usize);
    for [row, column] in ConvTranspose2d::phases(window) {
        let taps = (row.taps * column.taps).checked_mul(input.shape.channels);
        let bytes = taps.and_then(|taps| packing::weight_bytes(context.record.packing, channels, taps));
        weight_bytes = weight_bytes.and_then(|sum| sum.checked_add(bytes?));
    }
    let weight_bytes = weight_bytes.ok_or(out_of_range(context.op))?;
    context.require(record.has_table <= 1, out_of_range)?;
    let table_bytes = 256 * usize::from(record.has_table);
    let all = weight_bytes.checked_add(table_bytes).ok_or(out_of_range(context.op))?;
    let both: &[i8] = sections::exactly(context.bytes, record.weights, all)?;
    let (weights, table) = both.split_at_checked(weight_bytes).ok_or(out_of_range(context.op))?;
    let phases = window.stride[0] * window.stride[1];
    let stage = output_stage::decode(context, &record.output_stage, [phases * channels, channels])?;
    context.require(record.has_table == 1 || record.zero_point == stage.zero_point, out_of_range)?;
    let conv = ConvTranspose2d {
        input: input.shape,
        output: output.shape,
        window,
        input_zero_point: input.zero_point,
        weights,
        stage: OutputStage { zero_point: record.zero_point, ..stage },
        table: table.first_chunk(),
    };
    Ok(Decoded {
        parameters: Parameters::ConvTranspose2d(conv),
        data: [record.weights, record.output_stage.bias, record.output_stage.multipliers],
        scratch_bytes: optimized::conv_transpose2d_scratch_bytes(context.variant, input.shape, output.shape, window),
    })
}
