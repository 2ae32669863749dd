//! What is written in assembly, each with a body in plain Rust for other cores.
//!
//! Everything that differs between cores ends here: the kernels above are safe and run anywhere. Most of it stands for
//! instructions of the DSP extension (Cortex-M4, M7, M33); a halfword is a signed 16-bit half of a 32-bit word.
//!
//! Loops that matter stand whole, here and in the modules below for convolutions and dense layers, since the compiler keeps
//! one register for itself and spills others, which doubles their instructions. Those over products are unrolled and
//! entered in the middle, so that no loop is left over for the last words; every instruction in one takes the same number of
//! bytes (two on a Cortex-M0, four with DSP), which gives the place of entry.
#![allow(unsafe_code)]

mod conv2d;
mod dense;
mod depthwise;
mod winograd;

pub use conv2d::{LINE, ONES, PairStage, Runs, copy_lines, multiply_2x4, pool_2x4, widen_lines};
pub use dense::{multiply_4x1, multiply_4x1_widened};
pub use depthwise::{lines_3x3, products};
pub use winograd::{Steps, Sums, combine, multiply_4x2, transform};

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
        // In halves: a Cortex-M0 has no multiplication with 64 bits. No sum leaves 32 bits: the largest one, with the half that
        // rounds, is 2³¹ − 1.
        let [a_low, b_low] = [a & 0xffff, b & 0xffff];
        let [a_high, b_high] = [a >> 16, b >> 16];
        let low = (a_low as u32 * b_low as u32) >> 16;
        let cross = a_high * b_low + low as i32 + 0x8000;
        a_high * b_high + (cross >> 16) + ((a_low * b_high + (cross & 0xffff)) >> 16)
    }
}

/// `Σ common·row` of each row, over the length of `common`.
///
/// # Panics
/// If a row is shorter.
#[cfg_attr(not(thumb1), inline(always))]
// Once, where flash is scarce.
#[cfg_attr(thumb1, inline(never))]
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
    #[cfg(target_arch = "riscv32")]
    {
        /// `Σ common·row`, added to the sums.
        #[inline(always)]
        fn add(sums: &mut [i32; 4], common: &[i8], rows: [&[i8]; 4]) {
            for (sum, row) in sums.iter_mut().zip(rows) {
                let products = common.iter().zip(row).map(|(a, b)| i32::from(*a) * i32::from(*b));
                *sum = products.fold(*sum, i32::wrapping_add);
            }
        }
        // Four values at a time, which all rows share: there are registers enough to read them once.
        let mut sums = [0; 4];
        let (fours, rest) = common.as_chunks::<4>();
        let ends = rows.map(|row| &row[4 * fours.len()..]);
        let [a, b, c, d] = rows.map(|row| row.as_chunks::<4>().0);
        for ((((common, a), b), c), d) in fours.iter().zip(a).zip(b).zip(c).zip(d) {
            add(&mut sums, common, [a, b, c, d]);
        }
        add(&mut sums, rest, ends);
        sums
    }
    #[cfg(not(any(thumb1, target_arch = "riscv32")))]
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
