//! Loops of Winograd's convolution on cores with DSP.

#[cfg(not(dsp))]
use super::smlad;
#[cfg(dsp)]
use core::arch::asm;

/// Sums of halfwords, `a + b` in each, modulo 2¹⁶.
#[inline(always)]
pub fn sadd16(a: u32, b: u32) -> u32 {
    #[cfg(dsp)]
    {
        let sums;
        // SAFETY: reads and writes registers and flags alone.
        unsafe { asm!("sadd16 {0}, {1}, {2}", out(reg) sums, in(reg) a, in(reg) b, options(pure, nomem, nostack)) };
        sums
    }
    #[cfg(not(dsp))]
    {
        (a & 0xffff_0000).wrapping_add(b & 0xffff_0000) | a.wrapping_add(b) & 0xffff
    }
}

/// Differences of halfwords, `a − b` in each, modulo 2¹⁶.
#[inline(always)]
pub fn ssub16(a: u32, b: u32) -> u32 {
    #[cfg(dsp)]
    {
        let differences;
        // SAFETY: reads and writes registers and flags alone.
        unsafe {
            asm!("ssub16 {0}, {1}, {2}", out(reg) differences, in(reg) a, in(reg) b, options(pure, nomem, nostack))
        };
        differences
    }
    #[cfg(not(dsp))]
    {
        (a & 0xffff_0000).wrapping_sub(b & 0xffff_0000) | a.wrapping_sub(b) & 0xffff
    }
}

/// Sums of products of halfwords, at each of 16 positions: four rows of `weights` times two columns of `inputs`, in the
/// order row, column. Each position has a sixteenth of `inputs`, and as many `weights`.
///
/// # Panics
/// If there are fewer weights.
#[inline(always)]
pub fn multiply_4x2(weights: &[[i8; 16]], inputs: &[[u32; 2]], sums: &mut [[i32; 8]; 16]) {
    let words = inputs.len() / sums.len();
    let (weights, inputs) = (&weights[..sums.len() * words], &inputs[..sums.len() * words]);
    #[cfg(dsp)]
    {
        if words == 0 {
            sums.as_flattened_mut().fill(0);
            return;
        }
        let sums = sums.as_mut_ptr_range();
        let row_bytes = 8 * words;
        // SAFETY: at each position, reads `words` times 8 bytes of inputs and 16 of weights, which the slices have, and
        // writes 32 bytes of sums: the first words are multiplied ahead of the loop, which is entered
        // `-(words - 1) mod 8` words after its start, at its end where that is a whole number of turns, and ends when the
        // position's inputs do; the positions end when the sums do. Writes nothing else but its stack, where it keeps the
        // place of sums, the end of inputs and what it is given in r8 to lr, and restores r6 and r7, which it may not name
        // as operands.
        unsafe {
            asm!(
                "push {{r6, r7, r8, r10, r11, r12, lr}}",
                "3:",
                "ldrd r10, r11, [r1], #8",
                "ldrd r12, lr, [r0], #8",
                "smuad r2, r12, r10",
                "smuad r3, r12, r11",
                "smuad r4, lr, r10",
                "smuad r5, lr, r11",
                "ldrd r12, lr, [r0], #8",
                "smuad r6, r12, r10",
                "smuad r7, r12, r11",
                "smuad r8, lr, r10",
                "smuad r9, lr, r11",
                "ldr r12, [sp, #20]",
                "add pc, r12",
                "nop",
                "2:",
                ".rept 8",
                "ldrd r10, r11, [r1], #8",
                "ldrd r12, lr, [r0], #8",
                "smlad r2, r12, r10, r2",
                "smlad r3, r12, r11, r3",
                "smlad r4, lr, r10, r4",
                "smlad r5, lr, r11, r5",
                "ldrd r12, lr, [r0], #8",
                "smlad r6, r12, r10, r6",
                "smlad r7, r12, r11, r7",
                "smlad r8, lr, r10, r8",
                "smlad r9, lr, r11, r9",
                ".endr",
                "ldr r12, [sp, #24]",
                "cmp r1, r12",
                "bne 2b",
                "ldr lr, [sp, #8]",
                "ldrd r10, r11, [sp, #12]",
                "stm lr!, {{r2, r3, r4, r5, r6, r7, r8, r9}}",
                "add r12, r10",
                "str r12, [sp, #24]",
                "str lr, [sp, #8]",
                "cmp lr, r11",
                "bne 3b",
                "pop {{r6, r7, r8, r10, r11, r12, lr}}",
                inout("r0") weights.as_ptr() => _,
                inout("r1") inputs.as_ptr() => _,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _, out("r9") _,
                inout("r8") sums.start => _,
                inout("r10") row_bytes => _,
                inout("r11") sums.end => _,
                inout("r12") (8 - (words - 1) % 8) * 44 => _,
                inout("lr") inputs.as_ptr().wrapping_byte_add(row_bytes) => _,
            );
        }
    }
    #[cfg(not(dsp))]
    for (position, sums) in sums.iter_mut().enumerate() {
        *sums = [0; 8];
        let range = position * words..(position + 1) * words;
        for (rows, columns) in weights[range.clone()].iter().zip(&inputs[range]) {
            for (sums, row) in sums.as_chunks_mut::<2>().0.iter_mut().zip(rows.as_chunks::<4>().0) {
                let row = u32::from_le_bytes(row.map(|byte| byte as u8));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = smlad(row, *column, *sum);
                }
            }
        }
    }
}
