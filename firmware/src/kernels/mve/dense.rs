//! The loop of dense layers and LSTMs: four rows of weights times one vector of inputs.

use super::Tile;
#[cfg(not(mve))]
use super::vmladava;
#[cfg(mve)]
use core::arch::asm;

/// Sums of the products of each four of rows with the inputs, which are `inputs` and then `last`. A four has a group of
/// weights for each tile of inputs; the groups of a four follow one another.
///
/// # Panics
/// If there are fewer weights.
#[inline(always)]
pub fn multiply_4x1(inputs: &[Tile], last: &Tile, weights: &[[Tile; 4]], sums: &mut [[i32; 4]]) {
    let weights = &weights[..sums.len() * (inputs.len() + 1)];
    #[cfg(mve)]
    {
        if sums.is_empty() {
            return;
        }
        let sums = sums.as_mut_ptr_range();
        // SAFETY: for each of the sums, reads the inputs and as many groups of weights (64 bytes each), and one more of
        // each, all of which the slices have, and writes the sum: the loop over inputs is entered
        // `-inputs.len() mod 4` tiles after its start and takes a whole number of turns from there, or is passed over
        // where there are none; that over sums ends when they do. Writes nothing else but its stack. Restores r6, which
        // it may not name as an operand, and which holds the length of a four's weights but for the last group.
        unsafe {
            asm!(
                "push {{r6}}",
                "mov r6, r5",
                "vldrb.u8 q4, [lr]",
                "3:",
                "add r5, r0, r6",
                "vldrb.u8 q0, [r5]",
                "vldrb.u8 q1, [r5, #16]",
                "vldrb.u8 q2, [r5, #32]",
                "vldrb.u8 q3, [r5, #48]",
                "vmladav.s8 r2, q4, q0",
                "vmladav.s8 r4, q4, q1",
                "vmladav.s8 r8, q4, q2",
                "vmladav.s8 r10, q4, q3",
                "mov r5, r9",
                "wls lr, r11, 4f",
                "add pc, r12",
                "nop",
                "2:",
                ".rept 4",
                "vldrb.u8 q5, [r5], #16",
                "vldrb.u8 q0, [r0], #64",
                "vmladava.s8 r2, q5, q0",
                "vldrb.u8 q1, [r0, #-48]",
                "vmladava.s8 r4, q5, q1",
                "vldrb.u8 q2, [r0, #-32]",
                "vmladava.s8 r8, q5, q2",
                "vldrb.u8 q3, [r0, #-16]",
                "vmladava.s8 r10, q5, q3",
                ".endr",
                "le lr, 2b",
                "4:",
                "add r0, #64",
                "stm r1!, {{r2, r4, r8, r10}}",
                "cmp r1, r3",
                "bne 3b",
                "pop {{r6}}",
                inout("r0") weights.as_ptr() => _,
                inout("r1") sums.start => _,
                in("r3") sums.end,
                inout("r5") size_of::<[Tile; 4]>() * inputs.len() => _,
                in("r9") inputs.as_ptr(),
                in("r11") inputs.len().div_ceil(4),
                in("r12") inputs.len().wrapping_neg() % 4 * 36,
                inout("lr") last => _,
                out("r2") _, out("r4") _, out("r8") _, out("r10") _,
                out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _,
            );
        }
    }
    #[cfg(not(mve))]
    for (sums, weights) in sums.iter_mut().zip(weights.chunks_exact(inputs.len() + 1)) {
        *sums = [0; 4];
        for (rows, inputs) in weights.iter().zip(inputs.iter().chain([last])) {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = vmladava(*sum, row, inputs);
            }
        }
    }
}
