//! Dense layer: the same product over one patch, its input.

use super::Form;
use crate::kernels::Dense;

/// Dense layer with `i8` outputs in the form `F`; needs no scratch.
pub fn dense<F: Form<N>, const N: usize>(dense: &Dense<'_>, input: &[i8], output: &mut [i8], _scratch: &mut [u32]) {
    F::rows(dense, input, &mut |first, sums| dense.stage.activations(first, sums, &mut output[first..]));
}

/// Dense layer with `i32` outputs in the form `F`; needs no scratch.
pub fn dense_logits<F: Form<N>, const N: usize>(
    dense: &Dense<'_>,
    input: &[i8],
    output: &mut [i32],
    _scratch: &mut [u32],
) {
    F::rows(dense, input, &mut |first, sums| dense.stage.logits(first, sums, &mut output[first..]));
}
