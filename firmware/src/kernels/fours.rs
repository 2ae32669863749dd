//! Loops of dense layers and LSTMs on a Cortex-M0: four rows of weights times one input, see
//! [`packing`](super::packing) for how the weights lie.
//!
//! A Cortex-M0 has eight registers that every instruction can use: four sums, an input, a weight and two addresses. It reads
//! a byte at an address and a constant only without its sign, which is why the weights are stored as `w + 128`. So a
//! product takes three instructions (LDRB, MULS, ADDS), and the input, which four rows share, one more; 3.4 instructions a
//! multiplication in all.
#![allow(unsafe_code)]

#[cfg(thumb1)]
use core::arch::asm;

/// Inputs that one turn of a loop takes.
pub const TURN: usize = 8;

/// Four rows of weights over [`TURN`] columns.
pub type Columns = [[u8; 4]; TURN];

/// Multiplies the input that `$input` leaves in r6 with the four weights from byte `$a` on. Written out and not repeated by the
/// assembler: the compiler counts lines to know how far its own branches and constants reach.
#[cfg(thumb1)]
macro_rules! column {
    ($input:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            $input,
            "\n",
            "ldrb r7, [r1, #",
            $a,
            "]\n",
            "muls r7, r6, r7\n",
            "adds r2, r2, r7\n",
            "ldrb r7, [r1, #",
            $b,
            "]\n",
            "muls r7, r6, r7\n",
            "adds r3, r3, r7\n",
            "ldrb r7, [r1, #",
            $c,
            "]\n",
            "muls r7, r6, r7\n",
            "adds r4, r4, r7\n",
            "ldrb r7, [r1, #",
            $d,
            "]\n",
            "muls r7, r6, r7\n",
            "adds r5, r5, r7\n",
        )
    };
}

/// The loop over `$weights` and `$inputs`, which are of one length and not empty: each of the eight `$input`s leaves one in r6,
/// `$next` goes on to the next eight. Gives `$sums` with the products added.
#[cfg(thumb1)]
macro_rules! four_rows {
    ($sums:expr, $weights:expr, $inputs:expr, [$($input:literal),*], $next:literal) => {
        four_rows!(@ $sums, $weights, $inputs, $($input),*, $next)
    };
    (@ $sums:expr, $weights:expr, $inputs:expr, $i0:literal, $i1:literal, $i2:literal, $i3:literal, $i4:literal, $i5:literal,
        $i6:literal, $i7:literal, $next:literal) => {{
        let [mut a, mut b, mut c, mut d] = $sums;
        let inputs = $inputs.as_ptr_range();
        let inputs = [inputs.start, inputs.end];
        // SAFETY: reads the inputs and as many columns of weights, and ends when the inputs do. Writes nothing but its stack,
        // and restores r6 and r7, which it may not name as operands.
        unsafe {
            asm!(
                "push {{r0, r6, r7}}",
                "ldm r0, {{r0, r6}}",
                "mov r12, r6",
                "2:",
                column!($i0, 0, 1, 2, 3),
                column!($i1, 4, 5, 6, 7),
                column!($i2, 8, 9, 10, 11),
                column!($i3, 12, 13, 14, 15),
                column!($i4, 16, 17, 18, 19),
                column!($i5, 20, 21, 22, 23),
                column!($i6, 24, 25, 26, 27),
                column!($i7, 28, 29, 30, 31),
                $next,
                "adds r1, #32",
                "cmp r0, r12",
                "bne 2b",
                "pop {{r0, r6, r7}}",
                in("r0") inputs.as_ptr(),
                inout("r1") $weights.as_ptr() => _,
                inout("r2") a,
                inout("r3") b,
                inout("r4") c,
                inout("r5") d,
                out("r12") _,
            );
        }
        [a, b, c, d]
    }};
}

/// Adds `Σ (w + 128)·x` of four rows to `sums`, modulo 2³², over the shorter of the slices.
///
/// Never inlined: the loop is as long as the reach of a Cortex-M0's loads of constants, which would lie behind it.
#[inline(never)]
pub fn multiply_words(weights: &[Columns], inputs: &[[i32; TURN]], sums: [i32; 4]) -> [i32; 4] {
    let length = inputs.len().min(weights.len());
    let (weights, inputs) = (&weights[..length], &inputs[..length]);
    #[cfg(thumb1)]
    {
        if length == 0 {
            return sums;
        }
        four_rows!(
            sums,
            weights,
            inputs,
            [
                "ldm r0!, {{r6}}",
                "ldm r0!, {{r6}}",
                "ldm r0!, {{r6}}",
                "ldm r0!, {{r6}}",
                "ldm r0!, {{r6}}",
                "ldm r0!, {{r6}}",
                "ldm r0!, {{r6}}",
                "ldm r0!, {{r6}}"
            ],
            ""
        )
    }
    #[cfg(not(thumb1))]
    multiply(weights.as_flattened(), inputs.as_flattened().iter().copied(), sums)
}

/// As [`multiply_words`], with inputs that have not been widened: a quarter of an instruction more a
/// multiplication.
#[inline(never)]
pub fn multiply_bytes(weights: &[Columns], inputs: &[[i8; TURN]], sums: [i32; 4]) -> [i32; 4] {
    let length = inputs.len().min(weights.len());
    let (weights, inputs) = (&weights[..length], &inputs[..length]);
    #[cfg(thumb1)]
    {
        if length == 0 {
            return sums;
        }
        four_rows!(
            sums,
            weights,
            inputs,
            [
                "ldrb r6, [r0]\nsxtb r6, r6",
                "ldrb r6, [r0, #1]\nsxtb r6, r6",
                "ldrb r6, [r0, #2]\nsxtb r6, r6",
                "ldrb r6, [r0, #3]\nsxtb r6, r6",
                "ldrb r6, [r0, #4]\nsxtb r6, r6",
                "ldrb r6, [r0, #5]\nsxtb r6, r6",
                "ldrb r6, [r0, #6]\nsxtb r6, r6",
                "ldrb r6, [r0, #7]\nsxtb r6, r6"
            ],
            "adds r0, #8"
        )
    }
    #[cfg(not(thumb1))]
    multiply(weights.as_flattened(), inputs.as_flattened().iter().map(|input| i32::from(*input)), sums)
}

/// As [`multiply_words`], over the shorter of both.
#[inline(always)]
pub fn multiply(weights: &[[u8; 4]], inputs: impl Iterator<Item = i32>, sums: [i32; 4]) -> [i32; 4] {
    weights.iter().zip(inputs).fold(sums, |sums, (weights, input)| {
        core::array::from_fn(|row| i32::wrapping_add(sums[row], i32::from(weights[row]).wrapping_mul(input)))
    })
}
