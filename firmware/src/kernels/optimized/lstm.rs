//! LSTM: the dense layer's product over input and hidden state; four rows are a unit.

use super::Form;
use crate::kernels::{Lstm, gates};

/// Bytes of scratch, a multiple of 4, that an LSTM needs in the form `F`: input and old hidden state one behind the
/// other, and once more as the form multiplies them. Saturates where they do not fit.
pub fn lstm_scratch_bytes<F: Form<N>, const N: usize>(inputs: usize, units: usize) -> usize {
    let joined = inputs.saturating_add(units);
    joined.div_ceil(4).saturating_add(F::widened_words(joined)).saturating_mul(4)
}

/// One step of an LSTM in the form `F`; `scratch` holds [`lstm_scratch_bytes`].
pub fn lstm<F: Form<N>, const N: usize>(
    lstm: &Lstm<'_>,
    input: &[i8],
    cell: &mut [i16],
    hidden: &mut [i8],
    scratch: &mut [u32],
) {
    let (joined, widened) = lstm.join(input, hidden, scratch);
    let stage = lstm.gates.stage;
    let rows = stage.bias.as_chunks::<4>().0.iter().zip(stage.multipliers.as_chunks::<4>().0);
    let mut units = rows.zip(cell.iter_mut().zip(hidden));
    F::fours_of_rows(&lstm.gates, joined, widened, |[i, o, f, g]| {
        if let Some(((bias, multipliers), (cell, hidden))) = units.next() {
            let logit = |sum: i32, gate: usize| stage.logit(sum, bias[gate], multipliers[gate]);
            *hidden = gates::step([logit(i, 0), logit(o, 1), logit(f, 2), logit(g, 3)], cell, lstm.cell_shift);
        }
    });
}
