//! What is written in assembly, each with a body in plain Rust for other cores.
//!
//! Everything that differs between cores ends here: the kernels above are safe and run anywhere. Most of it stands for
//! instructions of the DSP extension (Cortex-M4, M7, M33); a halfword is a signed 16-bit half of a 32-bit word.
//!
//! Four loops stand here whole, since the compiler keeps one register for itself and spills others, which doubles
//! their instructions. They are unrolled and entered in the middle, so that no loop is left over for the last words; every
//! instruction in one takes the same number of bytes (two on a Cortex-M0, four with DSP), which gives the place of entry.
#![allow(unsafe_code)]

#[cfg(any(dsp, thumb1))]
use core::arch::asm;

/// `accumulator + low(a)·low(b) + high(a)·high(b)` over signed halfwords, modulo 2³².
#[inline(always)]
pub fn smlad(a: u32, b: u32, accumulator: i32) -> i32 {
    #[cfg(dsp)]
    {
        let sum;
        // SAFETY: reads and writes registers alone; the sticky overflow flag that it may set is read by nobody.
        unsafe {
            asm!("smlad {0}, {1}, {2}, {3}", out(reg) sum, in(reg) a, in(reg) b, in(reg) accumulator, options(pure, nomem, nostack, preserves_flags))
        };
        sum
    }
    #[cfg(not(dsp))]
    {
        let low = i32::from(a as i16) * i32::from(b as i16);
        let high = i32::from((a >> 16) as i16) * i32::from((b >> 16) as i16);
        accumulator.wrapping_add(low).wrapping_add(high)
    }
}

/// Bytes 0 and 2 of `word`, sign-extended into the two halfwords.
#[inline(always)]
pub fn sxtb16(word: u32) -> u32 {
    #[cfg(dsp)]
    {
        let halfwords;
        // SAFETY: reads and writes registers alone.
        unsafe {
            asm!("sxtb16 {0}, {1}", out(reg) halfwords, in(reg) word, options(pure, nomem, nostack, preserves_flags))
        };
        halfwords
    }
    #[cfg(not(dsp))]
    {
        let [b0, _, b2, _] = word.to_le_bytes();
        halfwords(b0, b2)
    }
}

/// Bytes 1 and 3 of `word`, sign-extended into the two halfwords.
#[inline(always)]
pub fn sxtb16_ror8(word: u32) -> u32 {
    #[cfg(dsp)]
    {
        let halfwords;
        // SAFETY: reads and writes registers alone.
        unsafe {
            asm!("sxtb16 {0}, {1}, ror #8", out(reg) halfwords, in(reg) word, options(pure, nomem, nostack, preserves_flags))
        };
        halfwords
    }
    #[cfg(not(dsp))]
    {
        let [_, b1, _, b3] = word.to_le_bytes();
        halfwords(b1, b3)
    }
}

#[cfg(not(dsp))]
fn halfwords(low: u8, high: u8) -> u32 {
    u32::from(i16::from(low as i8) as u16) | u32::from(i16::from(high as i8) as u16) << 16
}

/// Upper word of the product, rounded half up: `(a·b + 2³¹) >> 32`.
#[inline(always)]
pub fn smmulr(a: i32, b: i32) -> i32 {
    #[cfg(dsp)]
    {
        let upper;
        // SAFETY: reads and writes registers alone.
        unsafe {
            asm!("smmulr {0}, {1}, {2}", out(reg) upper, in(reg) a, in(reg) b, options(pure, nomem, nostack, preserves_flags))
        };
        upper
    }
    #[cfg(not(dsp))]
    {
        // In halves: a Cortex-M0 has no multiplication with 64 bits.
        let [a_low, b_low] = [a & 0xffff, b & 0xffff];
        let [a_high, b_high] = [a >> 16, b >> 16];
        let low = (a_low as u32 * b_low as u32) >> 16;
        let [cross_a, cross_b] = [a_high * b_low, a_low * b_high];
        let carry = (low as i32 + (cross_a & 0xffff) + (cross_b & 0xffff) + 0x8000) >> 16;
        a_high * b_high + (cross_a >> 16) + (cross_b >> 16) + carry
    }
}

/// Products of a row pair with four places (see `packing` for the words): `offsets + S₁` and `S₂` of each place, which are
/// `Σ smlad(weights[i], taps[i][place])` and the same over `sxtb16_ror8(weights[i])`, over the shorter of the slices.
#[inline(always)]
pub fn multiply_2x4(offsets: [i32; 4], weights: &[[i8; 4]], taps: &[[u32; 4]]) -> [[i32; 4]; 2] {
    let length = weights.len().min(taps.len());
    #[cfg(dsp)]
    {
        if length == 0 {
            return [offsets, [0; 4]];
        }
        let [mut a0, mut a1, mut a2, mut a3] = offsets;
        let [mut b0, mut b1, mut b2, mut b3] = [0; 4];
        let words = taps[..length].as_ptr_range();
        // SAFETY: reads `length` words of weights (4 bytes each) and of taps (16 bytes each), which the slices have: the
        // loop is entered `-length mod 8` words after its start, takes a whole number of turns from there and ends when
        // the taps do. Writes nothing but its stack, and restores r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r6, r7, r12, lr}}",
                "add pc, r12",
                "nop",
                "2:",
                ".rept 8",
                "ldr r12, [r0], #4",
                "ldrd r6, r7, [r1], #8",
                "sxtb16 lr, r12, ror #8",
                "smlad r2, r12, r6, r2",
                "smlad r3, r12, r7, r3",
                "smlad r8, lr, r6, r8",
                "smlad r9, lr, r7, r9",
                "ldrd r6, r7, [r1], #8",
                "smlad r4, r12, r6, r4",
                "smlad r5, r12, r7, r5",
                "smlad r10, lr, r6, r10",
                "smlad r11, lr, r7, r11",
                ".endr",
                "ldr r12, [sp, #12]",
                "cmp r1, r12",
                "bne 2b",
                "pop {{r6, r7, r12, lr}}",
                inout("r0") weights.as_ptr() => _,
                inout("r1") words.start => _,
                inout("r12") length.wrapping_neg() % 8 * 48 => _,
                inout("lr") words.end => _,
                inout("r2") a0, inout("r3") a1, inout("r4") a2, inout("r5") a3,
                inout("r8") b0, inout("r9") b1, inout("r10") b2, inout("r11") b3,
                options(readonly),
            );
        }
        [[a0, a1, a2, a3], [b0, b1, b2, b3]]
    }
    #[cfg(not(dsp))]
    {
        let [mut first, mut second] = [offsets, [0; 4]];
        for (word, taps) in weights[..length].iter().zip(&taps[..length]) {
            let word = u32::from_le_bytes(word.map(|byte| byte as u8));
            for (place, taps) in taps.iter().enumerate() {
                first[place] = smlad(word, *taps, first[place]);
                second[place] = smlad(sxtb16_ror8(word), *taps, second[place]);
            }
        }
        [first, second]
    }
}

/// Products of two row pairs with the inputs `fours`, two words of weights for each four: `S₁` and `S₂` of each pair,
/// over the shortest of the slices.
#[inline(always)]
pub fn multiply_4x1(rows: [&[[[i8; 4]; 2]]; 2], fours: &[[i8; 4]]) -> [[i32; 2]; 2] {
    let length = fours.len().min(rows[0].len()).min(rows[1].len());
    #[cfg(dsp)]
    {
        if length == 0 {
            return [[0; 2]; 2];
        }
        let mut sums = [[0; 2]; 2];
        let [[a0, a1], [b0, b1]] = &mut sums;
        let inputs = fours[..length].as_ptr_range();
        // SAFETY: reads `length` words of inputs and `2 · length` words of each row pair, which the slices have: the loop
        // is entered `-length mod 4` fours after its start, takes a whole number of turns from there and ends when the
        // inputs do. Writes registers alone.
        unsafe {
            asm!(
                "add pc, r11",
                "nop",
                "2:",
                ".rept 4",
                "ldr r9, [r2], #4",
                "ldrd r11, r12, [r0], #8",
                "sxtb16 r10, r9, ror #8",
                "sxtb16 r9, r9",
                "smlad r3, r11, r9, r3",
                "sxtb16 r11, r11, ror #8",
                "smlad r4, r11, r9, r4",
                "smlad r3, r12, r10, r3",
                "sxtb16 r12, r12, ror #8",
                "smlad r4, r12, r10, r4",
                "ldrd r11, r12, [r1], #8",
                "smlad r5, r11, r9, r5",
                "sxtb16 r11, r11, ror #8",
                "smlad r8, r11, r9, r8",
                "smlad r5, r12, r10, r5",
                "sxtb16 r12, r12, ror #8",
                "smlad r8, r12, r10, r8",
                ".endr",
                "cmp r2, lr",
                "bne 2b",
                inout("r0") rows[0].as_ptr() => _,
                inout("r1") rows[1].as_ptr() => _,
                inout("r2") inputs.start => _,
                inout("r3") 0 => *a0, inout("r4") 0 => *a1, inout("r5") 0 => *b0, inout("r8") 0 => *b1,
                inout("r11") length.wrapping_neg() % 4 * 68 => _,
                out("r9") _, out("r10") _, out("r12") _,
                in("lr") inputs.end,
                options(readonly, nostack),
            );
        }
        sums
    }
    #[cfg(not(dsp))]
    {
        let mut sums = [[0; 2]; 2];
        for (index, four) in fours[..length].iter().enumerate() {
            let four = u32::from_le_bytes(four.map(|tap| tap as u8));
            for (sums, row) in sums.iter_mut().zip(rows) {
                for (word, taps) in row[index].iter().zip([sxtb16(four), sxtb16_ror8(four)]) {
                    let word = u32::from_le_bytes(word.map(|byte| byte as u8));
                    sums[0] = smlad(word, taps, sums[0]);
                    sums[1] = smlad(sxtb16_ror8(word), taps, sums[1]);
                }
            }
        }
        sums
    }
}

/// As [`multiply_4x1`], of inputs that are widened already: taps `0, 2` and `1, 3` of each four as halfwords. The two row
/// pairs lie one behind the other, each in half of the words; gives `offset + S₁` and `S₂` of each.
#[inline(always)]
pub fn multiply_4x1_widened(offset: i32, pairs: &[[i8; 4]], fours: &[[u32; 2]]) -> [[i32; 2]; 2] {
    let (one, two) = pairs.split_at(pairs.len() / 2);
    let length = fours.len().min(one.len() / 2);
    #[cfg(dsp)]
    {
        if length == 0 {
            return [[offset, 0]; 2];
        }
        let mut sums = [[offset, 0]; 2];
        let [[a0, a1], [b0, b1]] = &mut sums;
        let inputs = fours[..length].as_ptr_range();
        // SAFETY: reads `2 · length` words of inputs and of each row pair, which the slices have: the loop is entered
        // `-length mod 8` fours after its start, takes a whole number of turns from there and ends when the inputs do.
        // Writes registers alone.
        unsafe {
            asm!(
                "add pc, r11",
                "nop",
                "2:",
                ".rept 8",
                "ldrd r9, r10, [r2], #8",
                "ldrd r11, r12, [r0], #8",
                "smlad r3, r11, r9, r3",
                "sxtb16 r11, r11, ror #8",
                "smlad r4, r11, r9, r4",
                "smlad r3, r12, r10, r3",
                "sxtb16 r12, r12, ror #8",
                "smlad r4, r12, r10, r4",
                "ldrd r11, r12, [r1], #8",
                "smlad r5, r11, r9, r5",
                "sxtb16 r11, r11, ror #8",
                "smlad r8, r11, r9, r8",
                "smlad r5, r12, r10, r5",
                "sxtb16 r12, r12, ror #8",
                "smlad r8, r12, r10, r8",
                ".endr",
                "cmp r2, lr",
                "bne 2b",
                inout("r0") one.as_ptr() => _,
                inout("r1") two.as_ptr() => _,
                inout("r2") inputs.start => _,
                inout("r3") offset => *a0, inout("r4") 0 => *a1, inout("r5") offset => *b0, inout("r8") 0 => *b1,
                inout("r11") length.wrapping_neg() % 8 * 60 => _,
                out("r9") _, out("r10") _, out("r12") _,
                in("lr") inputs.end,
                options(readonly, nostack),
            );
        }
        sums
    }
    #[cfg(not(dsp))]
    {
        let mut sums = [[offset, 0]; 2];
        for (index, four) in fours[..length].iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip([one, two]) {
                for (word, taps) in row[2 * index..].iter().zip(four) {
                    let word = u32::from_le_bytes(word.map(|byte| byte as u8));
                    sums[0] = smlad(word, *taps, sums[0]);
                    sums[1] = smlad(sxtb16_ror8(word), *taps, sums[1]);
                }
            }
        }
        sums
    }
}

/// `Σ common·row` of each row, over the length of `common`.
///
/// # Panics
/// If a row is shorter.
#[inline(always)]
pub fn products_1x4(common: &[i8], rows: [&[i8]; 4]) -> [i32; 4] {
    let rows = rows.map(|row| &row[..common.len()]);
    #[cfg(thumb1)]
    {
        /// What the loop takes and gives through memory, as its registers are all in use.
        #[repr(C)]
        struct Block {
            ends: [*const i8; 5],
            sums: [i32; 4],
        }
        if common.is_empty() {
            return [0; 4];
        }
        let [a, b, c, d] = rows;
        let ends = [common, a, b, c, d].map(|values| values.as_ptr_range().end);
        let mut block = Block { ends, sums: [0; 4] };
        // SAFETY: reads `common.len()` bytes before each of the ends, which the slices have, counting up from minus that
        // length to zero: the loop is entered `-length mod 4` steps after its start and takes a whole number of turns
        // from there. Writes `block.sums` and its own stack. Saves and restores r4 to r11, of which the compiler lends
        // none for naming here.
        unsafe {
            asm!(
                "push {{r4, r5, r6, r7}}",
                "mov r4, r8",
                "mov r5, r9",
                "mov r6, r10",
                "mov r7, r11",
                "push {{r0, r4, r5, r6, r7}}",
                "mov r6, r2",
                "mov r7, r1",
                "ldm r0!, {{r1, r2, r3, r4, r5}}",
                "movs r0, #0",
                "mov r8, r0",
                "mov r9, r0",
                "mov r10, r0",
                "mov r11, r0",
                "add pc, r6",
                "nop",
                "2:",
                ".rept 4",
                "ldrsb r0, [r1, r7]",
                "ldrsb r6, [r2, r7]",
                "muls r6, r0, r6",
                "add r8, r6",
                "ldrsb r6, [r3, r7]",
                "muls r6, r0, r6",
                "add r9, r6",
                "ldrsb r6, [r4, r7]",
                "muls r6, r0, r6",
                "add r10, r6",
                "ldrsb r6, [r5, r7]",
                "muls r6, r0, r6",
                "add r11, r6",
                "adds r7, #1",
                ".endr",
                "bne 2b",
                "mov r1, r8",
                "mov r2, r9",
                "mov r3, r10",
                "mov r4, r11",
                "pop {{r0}}",
                "adds r0, #20",
                "stm r0!, {{r1, r2, r3, r4}}",
                "pop {{r4, r5, r6, r7}}",
                "mov r8, r4",
                "mov r9, r5",
                "mov r10, r6",
                "mov r11, r7",
                "pop {{r4, r5, r6, r7}}",
                inout("r0") &raw mut block => _,
                inout("r1") common.len().wrapping_neg() => _,
                inout("r2") common.len().wrapping_neg() % 4 * 28 => _,
                out("r3") _,
            );
        }
        block.sums
    }
    #[cfg(not(thumb1))]
    {
        // One plain loop a row, which a vectorizing compiler takes to.
        rows.map(|row| {
            let products = common.iter().zip(row).map(|(a, b)| i32::from(*a) * i32::from(*b));
            products.fold(0, i32::wrapping_add)
        })
    }
}

#[cfg(test)]
mod tests;
