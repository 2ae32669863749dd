//! The states of an LSTM, four units at a time.

#[cfg(mve)]
use crate::kernels::gates::SIGMOID_Q15;
#[cfg(not(mve))]
use crate::kernels::gates::step;
#[cfg(mve)]
use core::arch::asm;

/// Absolute values of the logits in `$k`, limited to what the table of the sigmoid holds (it no longer rises there), and the
/// entries for them in `$entry`. The most negative logit is its own absolute value, which is a large one without a sign.
#[cfg(mve)]
#[rustfmt::skip]
macro_rules! look_up {
    ($k:literal, $entry:literal) => {
        concat!(
            "vabs.s32 q4, ", $k, "\n",
            "vmin.u32 q4, q4, q7\n",
            "vldrh.u32 ", $entry, ", [r3, q4, uxtw #1]\n",
        )
    };
}

/// `2¹⁵·σ(k/128)` in `$sigmoid`, since `σ(−x) = 1 − σ(x)`.
#[cfg(mve)]
#[rustfmt::skip]
macro_rules! sigmoid {
    ($k:literal, $sigmoid:literal) => {
        concat!(
            look_up!($k, $sigmoid),
            "vptt.s32 lt, ", $k, ", zr\n",
            "vnegt.s32 ", $sigmoid, ", ", $sigmoid, "\n",
            "vaddt.i32 ", $sigmoid, ", ", $sigmoid, ", r4\n",
        )
    };
}

/// `2¹⁵·tanh(k/256)` in `$tanh`: twice the sigmoid less one, with the sign of `k`.
#[cfg(mve)]
#[rustfmt::skip]
macro_rules! tanh {
    ($k:literal, $tanh:literal) => {
        concat!(
            look_up!($k, $tanh),
            "vshl.i32 ", $tanh, ", ", $tanh, ", #1\n",
            "vsub.i32 ", $tanh, ", ", $tanh, ", r4\n",
            "vpt.s32 lt, ", $k, ", zr\n",
            "vnegt.s32 ", $tanh, ", ", $tanh, "\n",
        )
    };
}

/// Takes units one step on, each by the four logits of its gates, as [`step`](crate::kernels::gates::step) does, over the
/// shortest of the slices. `cell_shift` is 8 to 15.
#[inline(always)]
pub fn step_units(logits: &[[i32; 4]], cell: &mut [i16], hidden: &mut [i8], cell_shift: u8) {
    let count = logits.len().min(cell.len()).min(hidden.len());
    #[cfg(mve)]
    // SAFETY: of the first `count` units, reads the logits, changes the cell states and writes the hidden states, which the
    // slices have; reads the table at places up to 1,023. The lanes of q6 are the addresses of four units' logits, less the
    // 64 bytes that the first load adds.
    unsafe {
        asm!(
            "vdup.32 q7, r9",
            "mov r4, #0",
            "vidup.u32 q6, r4, #8",
            "vshl.i32 q6, q6, #1",
            "vadd.i32 q6, q6, r10",
            "mov r4, #32768",
            "wlstp.32 lr, r2, 3f",
            "2:",
            "vldrw.u32 q0, [q6, #64]!",
            "vldrw.u32 q1, [q6, #4]",
            "vldrw.u32 q2, [q6, #8]",
            "vldrw.u32 q3, [q6, #12]",
            sigmoid!("q0", "q5"),
            sigmoid!("q1", "q0"),
            sigmoid!("q2", "q1"),
            tanh!("q3", "q2"),
            // Input gate in q5, output gate in q0, forget gate in q1, candidate in q2.
            "vldrh.s32 q3, [r0]",
            "vmul.i32 q3, q1, q3",
            "vmul.i32 q5, q5, q2",
            "vshl.s32 q5, r5",
            "vadd.i32 q3, q3, q5",
            "vrshr.s32 q3, q3, #15",
            "vqmovnb.s32 q3, q3",
            "vmovlb.s16 q3, q3",
            "vstrh.32 q3, [r0], #8",
            "vrshl.s32 q3, r8",
            tanh!("q3", "q5"),
            "vmul.i32 q0, q0, q5",
            "vrshr.s32 q0, q0, #23",
            "vqmovnb.s32 q0, q0",
            "vqmovnb.s16 q0, q0",
            "vstrb.32 q0, [r1], #4",
            "letp lr, 2b",
            "3:",
            inout("r0") cell.as_mut_ptr() => _,
            inout("r1") hidden.as_mut_ptr() => _,
            in("r2") count,
            in("r3") SIGMOID_Q15.as_ptr(),
            out("r4") _,
            in("r5") i32::from(cell_shift) - 15,
            in("r8") 8 - i32::from(cell_shift),
            in("r9") 1023,
            in("r10") logits.as_ptr().wrapping_byte_sub(64),
            out("lr") _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _, out("q6") _, out("q7") _,
            options(nostack),
        );
    }
    #[cfg(not(mve))]
    for (unit, logits) in logits[..count].iter().enumerate() {
        hidden[unit] = step(*logits, &mut cell[unit], cell_shift);
    }
}
