//! Dense layer: the same product over one patch, its input.

use super::Form;
use crate::kernels::Dense;

/// Dense layer with `i8` outputs in the form `F`; needs no scratch, but is quicker with some.
pub fn dense<F: Form<N>, const N: usize>(dense: &Dense<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    F::rows(dense, input, scratch, &mut |first, sums| F::activations(&dense.stage, first, sums, &mut output[first..]));
}

/// Dense layer with `i32` outputs in the form `F`; needs no scratch, but is quicker with some.
pub fn dense_logits<F: Form<N>, const N: usize>(
    dense: &Dense<'_>,
    input: &[i8],
    output: &mut [i32],
    scratch: &mut [u32],
) {
    F::rows(dense, input, scratch, &mut |first, sums| F::logits(&dense.stage, first, sums, &mut output[first..]));
}
