//! LSTM: the dense layer's product over input and hidden state; four rows are a unit.

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
    F::rows(&lstm.gates, joined, &mut |first, sums| {
        let mut logits = [0; 4];
        lstm.gates.stage.logits(first, sums, &mut logits);
        let unit = first / 4;
        hidden[unit] = gates::step(logits, &mut cell[unit], lstm.cell_shift);
    });
}
