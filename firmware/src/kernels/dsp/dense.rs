//! Loops of dense layers and LSTMs on cores with DSP: four rows, which are two row pairs, times eight inputs at a time. See
//! [`packing`](crate::kernels::packing) for how the weights lie; a core faults where they do not begin at a word's address, as
//! every section of a container does.

#[cfg(not(dsp))]
use super::{smlad, sxtb16, sxtb16_ror8};
#[cfg(dsp)]
use core::arch::asm;

/// What stands in both loops for four words of weights in r10, r11, r12 and lr: `S₁` and `S₂` of a row pair go on.
#[cfg(dsp)]
macro_rules! row_pair {
    ($first:literal, $second:literal) => {
        concat!(
            "ldm r0!, {{r10, r11, r12, lr}}\n",
            "smlad ",
            $first,
            ", r10, r6, ",
            $first,
            "\n",
            "sxtb16 r10, r10, ror #8\n",
            "smlad ",
            $second,
            ", r10, r6, ",
            $second,
            "\n",
            "smlad ",
            $first,
            ", r11, r7, ",
            $first,
            "\n",
            "sxtb16 r11, r11, ror #8\n",
            "smlad ",
            $second,
            ", r11, r7, ",
            $second,
            "\n",
            "smlad ",
            $first,
            ", r12, r8, ",
            $first,
            "\n",
            "sxtb16 r12, r12, ror #8\n",
            "smlad ",
            $second,
            ", r12, r8, ",
            $second,
            "\n",
            "smlad ",
            $first,
            ", lr, r9, ",
            $first,
            "\n",
            "sxtb16 lr, lr, ror #8\n",
            "smlad ",
            $second,
            ", lr, r9, ",
            $second,
            "\n",
        )
    };
}

/// Adds the products of two row pairs with the inputs `eights` to `S₁` and `S₂` of each pair, over the shorter of the
/// slices.
#[inline(always)]
pub fn multiply_4x1(sums: [[i32; 2]; 2], weights: &[[[[i8; 4]; 4]; 2]], eights: &[[i8; 8]]) -> [[i32; 2]; 2] {
    let length = eights.len().min(weights.len());
    let (weights, eights) = (&weights[..length], &eights[..length]);
    #[cfg(dsp)]
    {
        if length == 0 {
            return sums;
        }
        let [[mut a0, mut a1], [mut b0, mut b1]] = sums;
        let inputs = eights.as_ptr_range();
        // SAFETY: reads `length` times eight bytes of inputs and 32 of weights, which the slices have: the loop is entered
        // `-length mod 2` eights after its start, takes a whole number of turns from there and ends when the inputs do.
        // Writes nothing but its stack, and restores r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r6, r7, r12, lr}}",
                "add pc, r12",
                "nop",
                "2:",
                ".rept 2",
                "ldr r6, [r1], #4",
                "ldr r8, [r1], #4",
                "sxtb16 r7, r6, ror #8",
                "sxtb16 r6, r6",
                "sxtb16 r9, r8, ror #8",
                "sxtb16 r8, r8",
                row_pair!("r2", "r3"),
                row_pair!("r4", "r5"),
                ".endr",
                "ldr r12, [sp, #12]",
                "cmp r1, r12",
                "bne 2b",
                "pop {{r6, r7, r12, lr}}",
                inout("r0") weights.as_ptr() => _,
                inout("r1") inputs.start => _,
                inout("r2") a0, inout("r3") a1, inout("r4") b0, inout("r5") b1,
                inout("r12") length.wrapping_neg() % 2 * 128 => _,
                inout("lr") inputs.end => _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                options(readonly),
            );
        }
        [[a0, a1], [b0, b1]]
    }
    #[cfg(not(dsp))]
    {
        let widened = eights.iter().map(|eight| {
            let [a, b, c, d, e, f, g, h] = eight.map(|input| input as u8);
            let [one, two] = [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes);
            [sxtb16(one), sxtb16_ror8(one), sxtb16(two), sxtb16_ror8(two)]
        });
        multiply(sums, weights, widened)
    }
}

/// As [`multiply_4x1`], of inputs that are widened already: taps `0, 2`, `1, 3`, `4, 6` and `5, 7` of each eight.
#[inline(always)]
pub fn multiply_4x1_widened(sums: [[i32; 2]; 2], weights: &[[[[i8; 4]; 4]; 2]], eights: &[[u32; 4]]) -> [[i32; 2]; 2] {
    let length = eights.len().min(weights.len());
    let (weights, eights) = (&weights[..length], &eights[..length]);
    #[cfg(dsp)]
    {
        if length == 0 {
            return sums;
        }
        let [[mut a0, mut a1], [mut b0, mut b1]] = sums;
        let inputs = eights.as_ptr_range();
        // SAFETY: reads `length` times 16 bytes of inputs and 32 of weights, which the slices have: the loop is entered
        // `-length mod 4` eights after its start, takes a whole number of turns from there and ends when the inputs do.
        // Writes nothing but its stack, and restores r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r6, r7, r12, lr}}",
                "add pc, r12",
                "nop",
                "2:",
                ".rept 4",
                "ldm r1!, {{r6, r7, r8, r9}}",
                row_pair!("r2", "r3"),
                row_pair!("r4", "r5"),
                ".endr",
                "ldr r12, [sp, #12]",
                "cmp r1, r12",
                "bne 2b",
                "pop {{r6, r7, r12, lr}}",
                inout("r0") weights.as_ptr() => _,
                inout("r1") inputs.start => _,
                inout("r2") a0, inout("r3") a1, inout("r4") b0, inout("r5") b1,
                inout("r12") length.wrapping_neg() % 4 * 108 => _,
                inout("lr") inputs.end => _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                options(readonly),
            );
        }
        [[a0, a1], [b0, b1]]
    }
    #[cfg(not(dsp))]
    multiply(sums, weights, eights.iter().copied())
}

#[cfg(not(dsp))]
#[inline(always)]
fn multiply(
    mut sums: [[i32; 2]; 2],
    weights: &[[[[i8; 4]; 4]; 2]],
    eights: impl Iterator<Item = [u32; 4]>,
) -> [[i32; 2]; 2] {
    for (pairs, eight) in weights.iter().zip(eights) {
        for (sums, words) in sums.iter_mut().zip(pairs) {
            for (word, taps) in words.iter().zip(eight) {
                let word = u32::from_le_bytes(word.map(|byte| byte as u8));
                sums[0] = smlad(word, taps, sums[0]);
                sums[1] = smlad(sxtb16_ror8(word), taps, sums[1]);
            }
        }
    }
    sums
}
