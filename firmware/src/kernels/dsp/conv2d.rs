//! Loops of convolutions on cores with DSP.

#[cfg(not(dsp))]
use super::{smlad, smmulr, sxtb16, sxtb16_ror8};
#[cfg(dsp)]
use core::arch::asm;

/// One in each halfword: SMLAD with it adds the halfwords up.
pub const ONES: u32 = 0x0001_0001;

/// Runs of values, as they lie under a place of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// Their number.
    pub count: usize,
    /// Values in one.
    pub length: usize,
    /// Values from the start of one to the start of the next.
    pub step: usize,
}

impl Runs {
    /// Values from the start of the first to the end of the last, whose length is rounded up to a multiple of four.
    fn extent(&self) -> usize {
        self.count.saturating_sub(1) * self.step + self.length.next_multiple_of(4)
    }
}

/// Longest line that [`copy_lines`] can fill.
pub const LINE: usize = 32;

/// Puts the runs from each of `starts` on one behind the other, by fours: what stands behind a run is copied too, and what
/// stands behind the last one stays in the line.
///
/// # Panics
/// If fours of the runs leave `input` or a line.
#[inline(always)]
pub fn copy_lines(input: &[i8], starts: [usize; 4], runs: Runs, lines: &mut [[i8; LINE]; 4]) {
    let copied = Runs { step: runs.length, ..runs }.extent();
    assert!(copied <= LINE && starts.into_iter().all(|start| start + runs.extent() <= input.len()));
    #[cfg(dsp)]
    {
        if copied == 0 {
            return;
        }
        let behind = runs.length.next_multiple_of(4);
        let [a, b, c, d] = starts.map(|start| input[start..].as_ptr());
        // SAFETY: reads from each start on what the assertion has found to lie in `input`, and writes as much of each
        // line, 32 bytes apart. The register r5 counts down the values of a run, r9 the runs.
        unsafe {
            asm!(
                "2:",
                "mov r5, r8",
                "3:",
                "ldr r12, [r0], #4",
                "str r12, [r4]",
                "ldr r12, [r1], #4",
                "str r12, [r4, #32]",
                "ldr r12, [r2], #4",
                "str r12, [r4, #64]",
                "ldr r12, [r3], #4",
                "str r12, [r4, #96]",
                "add r4, #4",
                "subs r5, #4",
                "bgt 3b",
                "add r4, r5",
                "add r0, r10",
                "add r1, r10",
                "add r2, r10",
                "add r3, r10",
                "subs r9, #1",
                "bne 2b",
                inout("r0") a => _, inout("r1") b => _, inout("r2") c => _, inout("r3") d => _,
                inout("r4") lines.as_mut_ptr() => _,
                out("r5") _,
                in("r8") runs.length,
                inout("r9") runs.count => _,
                in("r10") runs.step.wrapping_sub(behind),
                out("r12") _,
                options(nostack),
            );
        }
    }
    #[cfg(not(dsp))]
    for (line, start) in lines.iter_mut().zip(starts) {
        for run in 0..runs.count {
            for four in (0..runs.length).step_by(4) {
                let source = &input[start + run * runs.step + four..][..4];
                line[run * runs.length + four..][..4].copy_from_slice(source);
            }
        }
    }
}

/// Widens the runs from each of `starts` on side by side, `sxtb16` and `sxtb16_ror8` of each four. Their length is a multiple
/// of four. Gives the sums of the values.
///
/// # Panics
/// If the runs leave `input`, or `words` is too short.
#[inline(always)]
pub fn widen_lines(input: &[i8], starts: [usize; 4], runs: Runs, words: &mut [[[u32; 4]; 2]]) -> [i32; 4] {
    let fours = runs.length / 4;
    let words = &mut words[..runs.count * fours];
    assert!(starts.into_iter().all(|start| start + runs.extent() <= input.len()));
    let mut sums = [0; 4];
    #[cfg(dsp)]
    {
        if words.is_empty() {
            return sums;
        }
        let words = words.as_mut_ptr_range();
        let sources = starts.map(|start| input[start..].as_ptr());
        let [a, b, c, d] = &mut sums;
        // From the end of a run to the next start, bytes of words that a run becomes, and where the last one ends.
        let between = [runs.step.wrapping_sub(4 * fours), 32 * fours, words.end as usize];
        // SAFETY: reads from each start on what the assertion has found to lie in `input`, by whole fours, and writes
        // `words`. Beyond these, reads `between` and uses its stack, where the end of the present run is kept. Restores
        // r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r6, r7, r12, lr}}",
                "2:",
                "ldr r6, [r0], #4",
                "ldr r7, [r1], #4",
                "sxtb16 r12, r6, ror #8",
                "sxtb16 lr, r7, ror #8",
                "sxtb16 r6, r6",
                "sxtb16 r7, r7",
                "smlad r5, r6, r11, r5",
                "smlad r8, r7, r11, r8",
                "smlad r5, r12, r11, r5",
                "smlad r8, lr, r11, r8",
                "strd r12, lr, [r4, #16]",
                "strd r6, r7, [r4], #8",
                "ldr r6, [r2], #4",
                "ldr r7, [r3], #4",
                "sxtb16 r12, r6, ror #8",
                "sxtb16 lr, r7, ror #8",
                "sxtb16 r6, r6",
                "sxtb16 r7, r7",
                "smlad r9, r6, r11, r9",
                "smlad r10, r7, r11, r10",
                "smlad r9, r12, r11, r9",
                "smlad r10, lr, r11, r10",
                "strd r12, lr, [r4, #16]",
                "strd r6, r7, [r4], #24",
                "ldr r12, [sp, #8]",
                "cmp r4, r12",
                "bne 2b",
                "ldr r12, [sp, #12]",
                "ldm r12, {{r6, r7, r12}}",
                "add r0, r6",
                "add r1, r6",
                "add r2, r6",
                "add r3, r6",
                "add r7, r4",
                "str r7, [sp, #8]",
                "cmp r4, r12",
                "bne 2b",
                "pop {{r6, r7, r12, lr}}",
                inout("r0") sources[0] => _,
                inout("r1") sources[1] => _,
                inout("r2") sources[2] => _,
                inout("r3") sources[3] => _,
                inout("r4") words.start => _,
                inout("r5") 0 => *a, inout("r8") 0 => *b, inout("r9") 0 => *c, inout("r10") 0 => *d,
                in("r11") ONES,
                inout("r12") words.start.wrapping_byte_add(32 * fours) => _,
                in("lr") &between,
            );
        }
    }
    #[cfg(not(dsp))]
    for (index, words) in words.iter_mut().enumerate() {
        for (place, start) in starts.into_iter().enumerate() {
            let from = start + index / fours * runs.step + index % fours * 4;
            let four = core::array::from_fn(|offset| input[from + offset] as u8);
            let four = u32::from_le_bytes(four);
            for (word, halfwords) in words.iter_mut().zip([sxtb16(four), sxtb16_ror8(four)]) {
                word[place] = halfwords;
                sums[place] = smlad(halfwords, ONES, sums[place]);
            }
        }
    }
    sums
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

/// What [`pool_2x4`] needs beside its weights and taps: the output stage of its rows, two by two.
#[derive(Clone, Copy, Debug)]
pub struct PairStage<'a> {
    /// Of each row.
    pub bias: &'a [[i32; 2]],
    /// Of each row.
    pub multipliers: &'a [[i32; 2]],
    /// As in [`OutputStage`](super::OutputStage), 0 to 31.
    pub left_shift: u8,
    /// Of the output.
    pub zero_point: i8,
}

/// Outputs of row pairs for a window of four places, over the shortest of `outputs` and the stage's slices: the largest of
/// a row's four sums (as [`multiply_2x4`] makes them), requantized and saturated to 8 bits. `block` is the sums' offsets,
/// then the taps; the pairs of `weights` lie one behind the other, as long as the taps are.
///
/// # Panics
/// If there are fewer weights.
#[inline(always)]
pub fn pool_2x4(block: &[[u32; 4]], weights: &[[i8; 4]], stage: PairStage<'_>, outputs: &mut [[i8; 2]]) {
    let taps = block.get(1..).unwrap_or_default();
    let pairs = outputs.len().min(stage.bias.len()).min(stage.multipliers.len());
    let weights = &weights[..pairs * taps.len()];
    #[cfg(dsp)]
    {
        /// What is read once a row pair. The first three move on.
        #[repr(C)]
        struct Pair {
            bias: *const [i32; 2],
            multipliers: *const [i32; 2],
            output: *mut [i8; 2],
            zero_point: i32,
            block: *const [u32; 4],
            left_shift: u32,
            entry: usize,
            output_end: *mut [i8; 2],
        }
        if pairs == 0 || taps.is_empty() {
            return;
        }
        let outputs = outputs[..pairs].as_mut_ptr_range();
        let mut pair = Pair {
            bias: stage.bias.as_ptr(),
            multipliers: stage.multipliers.as_ptr(),
            output: outputs.start,
            zero_point: stage.zero_point.into(),
            block: block.as_ptr(),
            left_shift: stage.left_shift.into(),
            entry: taps.len().wrapping_neg() % 16 * 48,
            output_end: outputs.end,
        };
        // SAFETY: for each of `pairs` row pairs, reads `taps.len()` words of weights (4 bytes each), the block, two biases and two multipliers, and writes two outputs, all of which the slices have: the
        // loop over words is entered `-taps.len() mod 16` words after its start, takes a whole number of turns from there
        // and ends when the taps do; the loop over pairs ends when the outputs do. Writes nothing else but `pair` and its
        // stack, and restores r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r6, r7, r12, lr}}",
                "ldr r6, [r12, #16]",
                "ldr r9, [r12, #24]",
                "3:",
                "mov r12, r9",
                "ldm r6!, {{r2, r3, r4, r5}}",
                "mov r8, #0",
                "mov r9, #0",
                "mov r10, #0",
                "mov r11, #0",
                "add pc, r12",
                "nop",
                "2:",
                ".rept 16",
                "ldr r12, [r0], #4",
                "ldrd r1, r7, [r6], #8",
                "sxtb16 lr, r12, ror #8",
                "smlad r2, r12, r1, r2",
                "smlad r3, r12, r7, r3",
                "smlad r8, lr, r1, r8",
                "smlad r9, lr, r7, r9",
                "ldrd r1, r7, [r6], #8",
                "smlad r4, r12, r1, r4",
                "smlad r5, r12, r7, r5",
                "smlad r10, lr, r1, r10",
                "smlad r11, lr, r7, r11",
                ".endr",
                "ldr r12, [sp, #12]",
                "cmp r6, r12",
                "bne 2b",
                // The first row's sums, then the largest of each row's in r2 and r8.
                "sub r2, r2, r8, lsl #8",
                "sub r3, r3, r9, lsl #8",
                "sub r4, r4, r10, lsl #8",
                "sub r5, r5, r11, lsl #8",
                "cmp r2, r3",
                "it lt",
                "movlt r2, r3",
                "cmp r4, r5",
                "it lt",
                "movlt r4, r5",
                "cmp r2, r4",
                "it lt",
                "movlt r2, r4",
                "cmp r8, r9",
                "it lt",
                "movlt r8, r9",
                "cmp r10, r11",
                "it lt",
                "movlt r10, r11",
                "cmp r8, r10",
                "it lt",
                "movlt r8, r10",
                // Requantization; SMMLAR adds the zero point.
                "ldr r12, [sp, #8]",
                "ldm r12, {{r1, r3, r4, r5, r6, r7, r9, r10}}",
                "ldrd r11, lr, [r1], #8",
                "add r2, r11",
                "add r8, lr",
                "ldrd r11, lr, [r3], #8",
                "lsl r2, r7",
                "lsl r8, r7",
                "smmlar r2, r2, r11, r5",
                "smmlar r8, r8, lr, r5",
                "ssat r2, #8, r2",
                "ssat r8, #8, r8",
                "strb r2, [r4], #1",
                "strb r8, [r4], #1",
                "stm r12, {{r1, r3, r4}}",
                "cmp r4, r10",
                "bne 3b",
                "pop {{r6, r7, r12, lr}}",
                inout("r0") weights.as_ptr() => _,
                inout("r12") &raw mut pair => _,
                inout("lr") block.as_ptr_range().end => _,
                out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
    }
    #[cfg(not(dsp))]
    {
        let offsets = block.first().unwrap_or(&[0; 4]).map(|offset| offset as i32);
        for (index, output) in outputs[..pairs].iter_mut().enumerate() {
            let weights = &weights[index * taps.len()..][..taps.len()];
            let [first, second] = multiply_2x4(offsets, weights, taps);
            let first = core::array::from_fn(|place| first[place].wrapping_sub(second[place] << 8));
            for (row, [a, b, c, d]) in [first, second].into_iter().enumerate() {
                let accumulator = a.max(b).max(c).max(d).wrapping_add(stage.bias[index][row]);
                let shifted = accumulator.wrapping_shl(stage.left_shift.into());
                let value = smmulr(shifted, stage.multipliers[index][row]) + i32::from(stage.zero_point);
                output[row] = value.clamp(-128, 127) as i8;
            }
        }
    }
}
