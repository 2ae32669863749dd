//! LSTM: the dense layer's product over input and hidden state; each fourth row completes a unit.

use super::Form;
use crate::kernels::{Lstm, gates};

/// One step of an LSTM in the form `F`; `scratch` holds [`Lstm::scratch_bytes`].
pub fn lstm<F: Form<N>, const N: usize>(
    lstm: &Lstm<'_>,
    input: &[i8],
    cell: &mut [i16],
    hidden: &mut [i8],
    scratch: &mut [u32],
) {
    let joined = lstm.join(input, hidden, scratch);
    let mut logits = [0; 4];
    F::rows(&lstm.gates, joined, |row, sum| {
        logits[row % 4] = lstm.gates.stage.logit(row, sum);
        if row % 4 == 3 {
            hidden[row / 4] = gates::step(logits, &mut cell[row / 4], lstm.cell_shift);
        }
    });
}
