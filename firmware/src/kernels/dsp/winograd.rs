//! Loops of Winograd's convolution on cores with DSP, see [`winograd`](crate::kernels::optimized::winograd).

#[cfg(not(dsp))]
use super::{smlad, sxtb16, sxtb16_ror8};
#[cfg(dsp)]
use core::arch::asm;

/// Positions of a transformed tile or kernel, row by row.
const POSITIONS: usize = 16;

/// At each position, sums of products of two tiles, in this order, with four rows of weights.
pub type Sums = [[i32; 8]; POSITIONS];

/// Where the four values of a channel four lie: bytes from one row of the tile to the next, and from one column.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// Between rows.
    pub row: usize,
    /// Between columns.
    pub column: usize,
}

/// Transforms `fours` times four channels of a tile of 4×4 places, which begins at the start of `input`: `Bᵀ · x · B`,
/// channels `0, 2` and `1, 3` of each four in the halfwords of two words. These go to the tile number `tile` of `words`,
/// `[position][pair of channels][tile]`, from the pair `pair` on.
///
/// # Panics
/// If the tile leaves `input`, or the pairs those of a position.
// Once, though it is called from two places.
#[inline(never)]
pub fn transform(input: &[i8], steps: Steps, fours: usize, words: &mut [[u32; 2]], pair: usize, tile: usize) {
    let pairs = words.len() / POSITIONS;
    assert!(pair + 2 * fours <= pairs && tile < 2);
    assert!(3 * (steps.row + steps.column) + 4 * fours <= input.len());
    #[cfg(dsp)]
    {
        if fours == 0 {
            return;
        }
        let first = &raw mut words[pair][tile];
        // SAFETY: reads four bytes from each of 16 places, `fours` times, and writes two words at each of 16 positions, as
        // often, all of which the assertions have found to lie in the slices. Beyond these, uses its stack: 128 bytes for
        // the tile between the two transforms (all rows of the pair `0, 2`, then of `1, 3`), then what it is given in r1, r5
        // and lr. Restores r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r1, r5, r6, r7, lr}}",
                "sub sp, #128",
                "2:",
                // Columns, from the last to the first: places in r6, r7, r9 and r10.
                "add r3, r2, r2, lsl #1",
                "add r8, sp, #12",
                "3:",
                "ldr r6, [r0]",
                "ldr r7, [r0, r2]",
                "ldr r9, [r0, r2, lsl #1]",
                "ldr r10, [r0, r3]",
                "sxtb16 r11, r6",
                "sxtb16 r12, r7",
                "sxtb16 lr, r9",
                "sxtb16 r1, r10",
                "ssub16 r11, r11, lr",
                "sadd16 r5, r12, lr",
                "ssub16 lr, lr, r12",
                "ssub16 r1, r1, r12",
                "str r11, [r8]",
                "str r5, [r8, #16]",
                "str lr, [r8, #32]",
                "str r1, [r8, #48]",
                "sxtb16 r6, r6, ror #8",
                "sxtb16 r7, r7, ror #8",
                "sxtb16 r9, r9, ror #8",
                "sxtb16 r10, r10, ror #8",
                "ssub16 r6, r6, r9",
                "sadd16 r5, r7, r9",
                "ssub16 r9, r9, r7",
                "ssub16 r10, r10, r7",
                "str r6, [r8, #64]",
                "str r5, [r8, #80]",
                "str r9, [r8, #96]",
                "str r10, [r8, #112]",
                "sub r0, r4",
                "cmp r8, sp",
                "sub r8, #4",
                "bne 3b",
                "add r0, r0, r4, lsl #2",
                "add r0, #4",
                // Rows, four of each pair.
                "add r8, #4",
                "ldrd r1, r5, [sp, #128]",
                "add r3, r5, r5, lsl #1",
                ".rept 2",
                "mov r12, #4",
                "4:",
                "ldm r8!, {{r6, r7, r9, r10}}",
                "ssub16 r6, r6, r9",
                "sadd16 r11, r7, r9",
                "ssub16 r9, r9, r7",
                "ssub16 r10, r10, r7",
                "str r6, [r1]",
                "str r11, [r1, r5]",
                "str r9, [r1, r5, lsl #1]",
                "str r10, [r1, r3]",
                "add r1, r1, r5, lsl #2",
                "subs r12, #1",
                "bne 4b",
                "sub r1, r1, r5, lsl #4",
                "add r1, #8",
                ".endr",
                "str r1, [sp, #128]",
                "ldr r12, [sp, #144]",
                "subs r12, #1",
                "str r12, [sp, #144]",
                "bne 2b",
                "add sp, #128",
                "pop {{r1, r5, r6, r7, lr}}",
                inout("r0") input[3 * steps.column..].as_ptr() => _,
                inout("r1") first => _,
                in("r2") steps.row,
                out("r3") _,
                in("r4") steps.column,
                in("r5") 8 * pairs,
                inout("lr") fours => _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            );
        }
    }
    #[cfg(not(dsp))]
    for four in 0..fours {
        let raw: [[u32; 4]; 4] = core::array::from_fn(|row| {
            core::array::from_fn(|column| {
                let four = &input[row * steps.row + column * steps.column + 4 * four..][..4];
                u32::from_le_bytes(core::array::from_fn(|byte| four[byte] as u8))
            })
        });
        for (half, widen) in [sxtb16, sxtb16_ror8].into_iter().enumerate() {
            let rows = raw.map(|row| transformed(row.map(widen)));
            for column in 0..4 {
                for (row, value) in transformed(rows.map(|row| row[column])).into_iter().enumerate() {
                    words[(4 * row + column) * pairs + pair + 2 * four + half][tile] = value;
                }
            }
        }
    }
}

/// `Bᵀ · x` of two channels in the halfwords.
#[cfg(not(dsp))]
fn transformed(x: [u32; 4]) -> [u32; 4] {
    let [a, b, c, d] = x.map(|word| [word as i16, (word >> 16) as i16]);
    let pairs = [(a, c, -1), (b, c, 1), (c, b, -1), (d, b, -1)];
    pairs.map(|(x, y, sign)| {
        let [low, high] = [0, 1].map(|half| u32::from((x[half] + sign * y[half]) as u16));
        low | high << 16
    })
}

/// Sums of products of halfwords: at each position, `inputs` of two tiles times four rows of `weights`. A position has a
/// sixteenth of the inputs, and as many weights.
///
/// # Panics
/// If there are fewer weights.
#[inline(always)]
pub fn multiply_4x2(weights: &[[i8; 16]], inputs: &[[u32; 2]], sums: &mut Sums) {
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
                "smuad r6, r12, r11",
                "smuad r3, lr, r10",
                "smuad r7, lr, r11",
                "ldrd r12, lr, [r0], #8",
                "smuad r4, r12, r10",
                "smuad r8, r12, r11",
                "smuad r5, lr, r10",
                "smuad r9, lr, r11",
                "ldr r12, [sp, #20]",
                "add pc, r12",
                "nop",
                "2:",
                ".rept 8",
                "ldrd r10, r11, [r1], #8",
                "ldrd r12, lr, [r0], #8",
                "smlad r2, r12, r10, r2",
                "smlad r6, r12, r11, r6",
                "smlad r3, lr, r10, r3",
                "smlad r7, lr, r11, r7",
                "ldrd r12, lr, [r0], #8",
                "smlad r4, r12, r10, r4",
                "smlad r8, r12, r11, r8",
                "smlad r5, lr, r10, r5",
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
        for (rows, tiles) in weights[range.clone()].iter().zip(&inputs[range]) {
            for (sums, tile) in sums.chunks_exact_mut(4).zip(tiles) {
                for (sum, row) in sums.iter_mut().zip(rows.as_chunks::<4>().0) {
                    *sum = smlad(u32::from_le_bytes(row.map(|byte| byte as u8)), *tile, *sum);
                }
            }
        }
    }
}

/// `Aᵀ · m` of one column of `m`, whose values lie at the distances `m0` to `m3` from r0, in two registers.
#[cfg(dsp)]
macro_rules! column {
    ($first:literal, $second:literal, $m0:literal, $m1:literal, $m2:literal, $m3:literal) => {
        concat!(
            "ldr ",
            $first,
            ", [r0, #",
            $m0,
            "]\n",
            "ldr ",
            $second,
            ", [r0, #",
            $m1,
            "]\n",
            "ldr r12, [r0, #",
            $m2,
            "]\n",
            "ldr lr, [r0, #",
            $m3,
            "]\n",
            "add ",
            $first,
            ", ",
            $second,
            "\n",
            "sub ",
            $second,
            ", r12\n",
            "add ",
            $first,
            ", r12\n",
            "add ",
            $second,
            ", lr\n",
        )
    };
}

/// Puts outputs over the first of `sums`, for each tile and row: `Aᵀ · m · A`, shifted right by two bits; of a pool, the largest
/// of the four.
#[inline(always)]
pub fn combine(sums: &mut Sums, pool: bool) {
    #[cfg(dsp)]
    {
        let ends = sums[0].as_mut_ptr_range();
        // SAFETY: reads and writes `sums` alone, whose 16 values for a tile and row lie 32 bytes apart, from the 8 places in
        // `ends` on; and its stack. Restores r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r6, r7}}",
                "2:",
                column!("r2", "r3", "0", "128", "256", "384"),
                column!("r4", "r5", "32", "160", "288", "416"),
                column!("r6", "r7", "64", "192", "320", "448"),
                column!("r8", "r9", "96", "224", "352", "480"),
                // Outputs in r2, r8, r3 and r9.
                "add r2, r4",
                "add r2, r6",
                "sub r4, r6",
                "add r8, r4",
                "add r3, r5",
                "add r3, r7",
                "sub r5, r7",
                "add r9, r5",
                "cbz r1, 3f",
                "cmp r2, r8",
                "it lt",
                "movlt r2, r8",
                "cmp r3, r9",
                "it lt",
                "movlt r3, r9",
                "cmp r2, r3",
                "it lt",
                "movlt r2, r3",
                "b 4f",
                "3:",
                "asr r8, #2",
                "asr r3, #2",
                "asr r9, #2",
                "str r8, [r0, #32]",
                "str r3, [r0, #64]",
                "str r9, [r0, #96]",
                "4:",
                "asr r2, #2",
                "str r2, [r0], #4",
                "cmp r0, r10",
                "bne 2b",
                "pop {{r6, r7}}",
                inout("r0") ends.start => _,
                in("r1") u32::from(pool),
                in("r10") ends.end,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _, out("r12") _, out("lr") _,
            );
        }
    }
    #[cfg(not(dsp))]
    for lane in 0..8 {
        let outputs = |[a, b, c, d]: [i32; 4]| [a.wrapping_add(b).wrapping_add(c), b.wrapping_sub(c).wrapping_add(d)];
        let columns: [[i32; 2]; 4] = core::array::from_fn(|x| outputs(core::array::from_fn(|y| sums[4 * y + x][lane])));
        let [[a, b], [c, d]] = core::array::from_fn(|y| outputs(columns.map(|column| column[y])));
        let values = if pool { [a.max(b).max(c.max(d)); 4] } else { [a, b, c, d] };
        for (sums, value) in sums.iter_mut().zip(values) {
            sums[lane] = value >> 2;
        }
    }
}
