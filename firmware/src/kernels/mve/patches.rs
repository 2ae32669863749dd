//! Copies what lies under four places of a convolution.

use super::Tile;
use crate::kernels::dsp::Runs;
#[cfg(mve)]
use core::arch::asm;

/// Longest distance between the first and the last value of a patch that [`gather_tiles`] reads.
pub const REACH: usize = 255;

/// Puts the runs from each of `starts` on one behind the other into patches of so many bytes; what lies behind the runs in a
/// patch stays.
///
/// # Panics
/// If the runs leave `input` or a patch, or there are fewer than four patches.
#[inline(always)]
pub fn copy_patches(input: &[i8], starts: [usize; 4], runs: Runs, patches: &mut [i8], patch_bytes: usize) {
    let Runs { count, length, step } = runs;
    let extent = count.saturating_sub(1) * step + length;
    assert!(starts.into_iter().all(|start| start + extent <= input.len()));
    assert!(count * length <= patch_bytes && 4 * patch_bytes <= patches.len());
    #[cfg(mve)]
    {
        if count == 0 {
            return;
        }
        let sources = starts.map(|start| input.as_ptr().wrapping_add(start));
        // SAFETY: reads `length` bytes from each of `count` places, `step` apart, from each source on, which the assertions
        // have found to lie in `input`, and writes them one behind the other to one of four patches.
        unsafe {
            asm!(
                "push {{r12}}",
                "3:",
                "ldr r2, [r0], #4",
                "mov r3, r1",
                "mov r4, r8",
                "4:",
                "mov r5, r2",
                "mov r12, r3",
                "wlstp.8 lr, r9, 5f",
                "2:",
                "vldrb.u8 q0, [r5], #16",
                "vstrb.8 q0, [r12], #16",
                "letp lr, 2b",
                "5:",
                "add r2, r10",
                "add r3, r9",
                "subs r4, #1",
                "bne 4b",
                "add r1, r11",
                "ldr r12, [sp]",
                "cmp r0, r12",
                "bne 3b",
                "add sp, #4",
                inout("r0") sources.as_ptr() => _,
                inout("r1") patches.as_mut_ptr() => _,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                in("r8") count, in("r9") length, in("r10") step, in("r11") patch_bytes,
                inout("r12") sources.as_ptr_range().end => _,
                out("lr") _, out("q0") _,
            );
        }
    }
    #[cfg(not(mve))]
    for (start, patch) in starts.into_iter().zip(patches.chunks_exact_mut(patch_bytes)) {
        for run in 0..count {
            patch[run * length..][..length].copy_from_slice(&input[start + run * step..][..length]);
        }
    }
}

/// As [`copy_patches`], of patches that fit a tile, by one gathering load each; zeros fill up the tiles.
///
/// # Panics
/// If the runs leave `input`, do not fit a tile or reach further than [`REACH`].
#[inline(always)]
pub fn gather_tiles(input: &[i8], starts: [usize; 4], runs: Runs, tiles: &mut [Tile; 4]) {
    let Runs { count, length, step } = runs;
    let last = (count - 1) * step + length - 1;
    assert!(count * length <= size_of::<Tile>() && last <= REACH && length <= step);
    assert!(starts.into_iter().all(|start| start + last < input.len()));
    #[cfg(mve)]
    {
        let [a, b, c, d] = starts.map(|start| input.as_ptr().wrapping_add(start));
        // SAFETY: q1 becomes the distance from the start of each value of a patch: its number, and for each run that ends
        // before it the way from there to the next one. The loads read as many values as the patch has, none further than
        // `last` from a start, which the assertions have found to lie in `input`.
        unsafe {
            asm!(
                "mov r4, #0",
                "vidup.u8 q1, r4, #1",
                "vmov q0, q1",
                "mov r4, r9",
                "wls lr, r8, 3f",
                "2:",
                "vpt.u8 cs, q0, r4",
                "vaddt.i8 q1, q1, r10",
                "add r4, r9",
                "le lr, 2b",
                "3:",
                "vctp.8 r11",
                "vpstttt",
                "vldrbt.u8 q0, [r0, q1]",
                "vldrbt.u8 q2, [r1, q1]",
                "vldrbt.u8 q3, [r2, q1]",
                "vldrbt.u8 q4, [r3, q1]",
                "vstrb.8 q0, [r12]",
                "vstrb.8 q2, [r12, #16]",
                "vstrb.8 q3, [r12, #32]",
                "vstrb.8 q4, [r12, #48]",
                in("r0") a, in("r1") b, in("r2") c, in("r3") d,
                out("r4") _,
                in("r8") count - 1, in("r9") length, in("r10") step - length, in("r11") count * length,
                in("r12") tiles.as_mut_ptr(),
                out("lr") _, out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _,
                options(nostack),
            );
        }
    }
    #[cfg(not(mve))]
    for (start, tile) in starts.into_iter().zip(tiles) {
        *tile = [0; size_of::<Tile>()];
        for run in 0..count {
            tile[run * length..][..length].copy_from_slice(&input[start + run * step..][..length]);
        }
    }
}

/// Whether [`gather_tiles`] can read such a patch.
pub fn fits_tile(runs: Runs) -> bool {
    runs.count * runs.length <= size_of::<Tile>() && (runs.count - 1) * runs.step + runs.length <= REACH + 1
}
