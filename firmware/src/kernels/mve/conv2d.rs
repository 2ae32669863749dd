//! Loops of convolutions: rows of weights in pairs, times four places.
//!
//! A pair of rows and four places have eight sums, which take every even register. The odd ones hold where weights and
//! patches are read and count the turns; whatever else a loop needs waits in memory, in a [`Pass`].

use super::Tile;
#[cfg(not(mve))]
use super::{scaled, vmladava};
#[cfg(mve)]
use core::arch::asm;
#[cfg(mve)]
use core::mem::{MaybeUninit, offset_of};

/// Output stage of rows, four by four, see [`OutputStage`](crate::kernels::OutputStage).
#[derive(Clone, Copy, Debug)]
pub struct FourStage<'a> {
    /// Of each row.
    pub bias: &'a [[i32; 4]],
    /// Of each row.
    pub multipliers: &'a [[i32; 4]],
    /// 0 to 31.
    pub left_shift: u8,
    /// Of the output.
    pub zero_point: i8,
}

/// One pair of rows: the sums of the first in r0, r2, r4 and r6, one a place, those of the second in r8, r10, r12 and lr.
/// Weights from r1 on, patches from r3, r5, r7 and r9 on, as many turns as r11 says. Entered at the address in the stack's
/// second word.
#[cfg(mve)]
macro_rules! pass {
    () => {
        "ldr pc, [sp, #4]
        .p2align 2
        2:
        .rept 8
        vldrb.u8 q4, [r1], #32
        vldrb.u8 q5, [r1, #-16]
        vldrb.u8 q0, [r3], #16
        vmladava.s8 r0, q0, q4
        vmladava.s8 r8, q0, q5
        vldrb.u8 q1, [r5], #16
        vmladava.s8 r2, q1, q4
        vmladava.s8 r10, q1, q5
        vldrb.u8 q2, [r7], #16
        vmladava.s8 r4, q2, q4
        vmladava.s8 r12, q2, q5
        vldrb.u8 q3, [r9], #16
        vmladava.s8 r6, q3, q4
        vmladava.s8 lr, q3, q5
        .endr
        subs r11, #1
        bne 2b"
    };
}

/// Four outputs from the sums of four rows at r3, `[row][place]`: the largest of each row, requantized. The zero point in
/// r0, the left shift in r2; biases at r5, multipliers at r9, outputs at r7, which move on.
#[cfg(mve)]
macro_rules! pool {
    () => {
        "vld40.32 {{q4, q5, q6, q7}}, [r3]
        vld41.32 {{q4, q5, q6, q7}}, [r3]
        vld42.32 {{q4, q5, q6, q7}}, [r3]
        vld43.32 {{q4, q5, q6, q7}}, [r3]
        vmax.s32 q4, q4, q5
        vmax.s32 q6, q6, q7
        vmax.s32 q4, q4, q6
        vldrw.u32 q5, [r5], #16
        vadd.i32 q4, q4, q5
        vshl.s32 q4, r2
        vldrw.u32 q5, [r9], #16
        vrmulh.s32 q4, q4, q5
        vadd.i32 q4, q4, r0
        vqmovnb.s32 q4, q4
        vqmovnb.s16 q4, q4
        vstrb.32 q4, [r7], #4"
    };
}

/// The core's registers r0 to r12 and lr as a pass starts.
#[cfg(mve)]
#[repr(C)]
struct Pass {
    registers: [usize; 14],
}

#[cfg(mve)]
impl Pass {
    /// Tiles that the loop is unrolled to.
    const UNROLLED: usize = 8;
    /// Bytes of the instructions for one tile.
    const TILE_CODE: usize = 14 * 4;

    /// Sums from zero, over the first `tiles` tiles of each patch.
    fn new(weights: &[[Tile; 2]], [a, b, c, d]: [&[Tile]; 4], tiles: usize) -> Self {
        let [a, b, c, d] = [a, b, c, d].map(|patch| patch.as_ptr() as usize);
        let turns = tiles.div_ceil(Self::UNROLLED);
        Self { registers: [0, weights.as_ptr() as usize, 0, a, 0, b, 0, c, 0, d, 0, turns, 0, 0] }
    }

    /// Bytes from the start of the loop to where it is entered.
    fn entry(tiles: usize) -> usize {
        tiles.wrapping_neg() % Self::UNROLLED * Self::TILE_CODE
    }
}

/// Sums of the products of a pair of rows with four patches: `[row][place]`, over the shortest of the slices.
#[inline(always)]
pub fn multiply_2x4(weights: &[[Tile; 2]], patches: [&[Tile]; 4]) -> [[i32; 4]; 2] {
    let tiles = patches.iter().fold(weights.len(), |tiles, patch| tiles.min(patch.len()));
    let mut sums = [[0; 4]; 2];
    #[cfg(mve)]
    {
        if tiles == 0 {
            return sums;
        }
        let pass = Pass::new(weights, patches, tiles);
        // SAFETY: reads `tiles` tiles of weights (32 bytes each) and of each patch (16), which the slices have: the loop is
        // entered `-tiles mod 8` tiles after its start and takes a whole number of turns from there. Writes `sums` and its
        // stack, where it keeps the place of entry, an address with the bit of Thumb code. Restores r6 and r7, which it may
        // not name as operands.
        unsafe {
            asm!(
                "push {{r6, r7}}",
                "adr.w r3, 2f",
                "adds r3, #1",
                "add r3, r2",
                "push {{r0, r3}}",
                "ldm r1, {{r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
                pass!(),
                "pop {{r1, r3}}",
                "stm r1, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
                "pop {{r6, r7}}",
                inout("r0") sums.as_mut_ptr() => _,
                inout("r1") &raw const pass => _,
                inout("r2") Pass::entry(tiles) => _,
                out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
                out("lr") _, out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _,
            );
        }
    }
    #[cfg(not(mve))]
    for (tile, rows) in weights[..tiles].iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            for (sum, patch) in sums.iter_mut().zip(patches) {
                *sum = vmladava(*sum, row, &patch[tile]);
            }
        }
    }
    sums
}

/// Outputs of rows for a window of four places, over the shortest of `outputs` and the stage's slices: the largest of a
/// row's four sums, requantized and saturated to 8 bits. The pairs of `weights` lie one behind the other, as long as the
/// first patch.
///
/// # Panics
/// If there are fewer weights, or another patch is shorter.
#[inline(always)]
pub fn pool_4x4(patches: [&[Tile]; 4], weights: &[[Tile; 2]], stage: FourStage<'_>, outputs: &mut [[i8; 4]]) {
    let tiles = patches[0].len();
    let fours = outputs.len().min(stage.bias.len()).min(stage.multipliers.len());
    let (weights, patches) = (&weights[..2 * fours * tiles], patches.map(|patch| &patch[..tiles]));
    let outputs = &mut outputs[..fours];
    if tiles == 0 || fours == 0 {
        return;
    }
    #[cfg(mve)]
    if tiles == 1 {
        pool_tiles(patches, weights, stage, outputs)
    } else {
        pool_patches(patches, weights, stage, outputs)
    }
    #[cfg(not(mve))]
    for (four, output) in outputs.iter_mut().enumerate() {
        for (row, output) in output.iter_mut().enumerate() {
            let [first, second] = multiply_2x4(&weights[(2 * four + row / 2) * tiles..][..tiles], patches);
            let [a, b, c, d] = if row % 2 == 0 { first } else { second };
            let accumulator = a.max(b).max(c).max(d).wrapping_add(stage.bias[four][row]);
            let scaled = scaled(accumulator, stage.left_shift, stage.multipliers[four][row]);
            *output = (scaled + i32::from(stage.zero_point)).clamp(-128, 127) as i8;
        }
    }
}

/// [`pool_4x4`] of patches of at least one tile, for as many outputs as there are.
#[cfg(mve)]
#[inline(always)]
fn pool_patches(patches: [&[Tile]; 4], weights: &[[Tile; 2]], stage: FourStage<'_>, outputs: &mut [[i8; 4]]) {
    /// What the loop keeps in memory: the start of the next pass, the sums of four rows, where the next pair of them goes
    /// and where they end; then what is read for each four rows, of which three pointers move on.
    #[repr(C)]
    struct Block {
        pass: Pass,
        sums: MaybeUninit<[[i32; 4]; 4]>,
        next_sums: *mut [i32; 4],
        sums_end: *mut [i32; 4],
        zero_point: i32,
        left_shift: u32,
        bias: *const [i32; 4],
        output: *mut [i8; 4],
        multipliers: *const [i32; 4],
        output_end: *mut [i8; 4],
    }
    let tiles = patches[0].len();
    let outputs = outputs.as_mut_ptr_range();
    let mut block = Block {
        pass: Pass::new(weights, patches, tiles),
        sums: MaybeUninit::uninit(),
        next_sums: core::ptr::null_mut(),
        sums_end: core::ptr::null_mut(),
        zero_point: stage.zero_point.into(),
        left_shift: stage.left_shift.into(),
        bias: stage.bias.as_ptr(),
        output: outputs.start,
        multipliers: stage.multipliers.as_ptr(),
        output_end: outputs.end,
    };
    let block = &raw mut block;
    // SAFETY: the block's own fields.
    unsafe {
        (*block).next_sums = (&raw mut (*block).sums).cast();
        (*block).sums_end = (*block).next_sums.add(4);
    }
    // SAFETY: for each of the outputs, reads two pairs of weights, the patches, four biases and four multipliers, which the
    // slices have, as `multiply_2x4` does, and writes the four outputs; ends when the outputs do. Writes nothing else but the
    // block and its stack, where it keeps the block's address and the place of entry. Restores r6 and r7, which it may not
    // name as operands.
    unsafe {
        asm!(
            "push {{r6, r7}}",
            "adr.w r3, 2f",
            "adds r3, #1",
            "add r3, r2",
            "push {{r1, r3}}",
            "3:",
            "ldr r1, [sp]",
            "ldm r1, {{r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
            pass!(),
            "ldr r3, [sp]",
            "str r1, [r3, #4]",
            "ldrd r5, r7, [r3, #{next_sums}]",
            "stm r5!, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
            "str r5, [r3, #{next_sums}]",
            "cmp r5, r7",
            "bne 3b",
            "add r1, r3, #{next_sums}",
            "sub r3, r5, #64",
            "str r3, [r1], #{to_stage}",
            "ldm r1!, {{r0, r2}}",
            "ldm r1, {{r5, r7, r9, r11}}",
            pool!(),
            "stm r1, {{r5, r7, r9}}",
            "cmp r7, r11",
            "bne 3b",
            "add sp, #8",
            "pop {{r6, r7}}",
            next_sums = const offset_of!(Block, next_sums),
            to_stage = const offset_of!(Block, zero_point) - offset_of!(Block, next_sums),
            inout("r1") block => _,
            inout("r2") Pass::entry(tiles) => _,
            out("r0") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("r12") _, out("lr") _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _, out("q6") _, out("q7") _,
        );
    }
}

/// [`pool_4x4`] of patches of one tile, which stay in registers, for as many outputs as there are.
#[cfg(mve)]
#[inline(always)]
fn pool_tiles([a, b, c, d]: [&[Tile]; 4], weights: &[[Tile; 2]], stage: FourStage<'_>, outputs: &mut [[i8; 4]]) {
    /// What the loop keeps in memory: the sums of four rows, and what is read for each four rows.
    #[repr(C)]
    struct Block {
        sums: MaybeUninit<[[i32; 4]; 4]>,
        zero_point: i32,
        left_shift: u32,
    }
    let mut block =
        Block { sums: MaybeUninit::uninit(), zero_point: stage.zero_point.into(), left_shift: stage.left_shift.into() };
    let outputs = outputs.as_mut_ptr_range();
    // SAFETY: reads a tile of each patch; for each of the outputs, reads four tiles of weights, four biases and four
    // multipliers, which the slices have, and writes the four outputs; ends when the outputs do. Writes nothing else but the
    // block and its stack. Restores r6 and r7, which it may not name as operands.
    unsafe {
        asm!(
            "push {{r6, r7}}",
            "mov r7, r12",
            "vldrb.u8 q0, [r2]",
            "vldrb.u8 q1, [r4]",
            "vldrb.u8 q2, [r8]",
            "vldrb.u8 q3, [r10]",
            "3:",
            ".rept 2",
            "vldrb.u8 q4, [r1], #32",
            "vldrb.u8 q5, [r1, #-16]",
            "vmladav.s8 r0, q0, q4",
            "vmladav.s8 r8, q0, q5",
            "vmladav.s8 r2, q1, q4",
            "vmladav.s8 r10, q1, q5",
            "vmladav.s8 r4, q2, q4",
            "vmladav.s8 r12, q2, q5",
            "vmladav.s8 r6, q3, q4",
            "vmladav.s8 lr, q3, q5",
            "stm r3!, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
            ".endr",
            "ldrd r0, r2, [r3], #-64",
            pool!(),
            "cmp r11, r7",
            "bne 3b",
            "pop {{r6, r7}}",
            inout("r1") weights.as_ptr() => _,
            inout("r2") a.as_ptr() => _,
            inout("r4") b.as_ptr() => _,
            inout("r8") c.as_ptr() => _,
            inout("r10") d.as_ptr() => _,
            inout("r3") &raw mut block => _,
            inout("r5") stage.bias.as_ptr() => _,
            inout("r9") stage.multipliers.as_ptr() => _,
            in("r11") outputs.end,
            inout("r12") outputs.start => _,
            out("r0") _, out("lr") _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _, out("q6") _, out("q7") _,
        );
    }
}
