//! From accumulators to outputs, four at a time, and from values to what a table has for them, 16 at a time.

#[cfg(not(mve))]
use super::scaled;
#[cfg(mve)]
use core::arch::asm;

/// How the sums of products of some rows become outputs, see [`OutputStage`](crate::kernels::OutputStage).
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Of each row.
    pub bias: &'a [i32],
    /// Of each row.
    pub multipliers: &'a [i32],
    /// 0 to 31.
    pub left_shift: u8,
}

/// Outputs for the rows' sums, with a zero point and saturated to 8 bits, over the shortest of the slices.
#[inline(always)]
pub fn activations(rows: Rows<'_>, zero_point: i8, sums: &[i32], outputs: &mut [i8]) {
    let count = sums.len().min(outputs.len()).min(rows.bias.len()).min(rows.multipliers.len());
    #[cfg(mve)]
    // SAFETY: reads the first `count` words of sums, biases and multipliers, and writes as many outputs, which the slices
    // have.
    unsafe {
        asm!(
            "wlstp.32 lr, {count}, 3f",
            "2:",
            "vldrw.u32 q0, [{sums}], #16",
            "vldrw.u32 q1, [{bias}], #16",
            "vadd.i32 q0, q0, q1",
            "vshl.s32 q0, {left_shift}",
            "vldrw.u32 q1, [{multipliers}], #16",
            "vrmulh.s32 q0, q0, q1",
            "vadd.i32 q0, q0, {zero_point}",
            "vqmovnb.s32 q0, q0",
            "vqmovnb.s16 q0, q0",
            // A narrowing store takes one of the first eight registers.
            "vstrb.32 q0, [r0], #4",
            "letp lr, 2b",
            "3:",
            count = in(reg) count,
            sums = inout(reg) sums.as_ptr() => _,
            bias = inout(reg) rows.bias.as_ptr() => _,
            multipliers = inout(reg) rows.multipliers.as_ptr() => _,
            inout("r0") outputs.as_mut_ptr() => _,
            left_shift = in(reg) u32::from(rows.left_shift),
            zero_point = in(reg) i32::from(zero_point),
            out("lr") _, out("q0") _, out("q1") _,
            options(nostack),
        );
    }
    #[cfg(not(mve))]
    for (row, output) in outputs[..count].iter_mut().enumerate() {
        let accumulator = sums[row].wrapping_add(rows.bias[row]);
        let value = scaled(accumulator, rows.left_shift, rows.multipliers[row]) + i32::from(zero_point);
        *output = value.clamp(-128, 127) as i8;
    }
}

/// Makes logits of the rows' sums, over the shortest of the slices.
#[inline(always)]
pub fn logits(rows: Rows<'_>, sums: &mut [i32]) {
    let count = sums.len().min(rows.bias.len()).min(rows.multipliers.len());
    #[cfg(mve)]
    // SAFETY: reads the first `count` words of biases and multipliers, and changes as many sums, which the slices have.
    unsafe {
        asm!(
            "wlstp.32 lr, {count}, 3f",
            "2:",
            "vldrw.u32 q0, [{sums}]",
            "vldrw.u32 q1, [{bias}], #16",
            "vadd.i32 q0, q0, q1",
            "vshl.s32 q0, {left_shift}",
            "vldrw.u32 q1, [{multipliers}], #16",
            "vrmulh.s32 q0, q0, q1",
            "vstrw.32 q0, [{sums}], #16",
            "letp lr, 2b",
            "3:",
            count = in(reg) count,
            sums = inout(reg) sums.as_mut_ptr() => _,
            bias = inout(reg) rows.bias.as_ptr() => _,
            multipliers = inout(reg) rows.multipliers.as_ptr() => _,
            left_shift = in(reg) u32::from(rows.left_shift),
            out("lr") _, out("q0") _, out("q1") _,
            options(nostack),
        );
    }
    #[cfg(not(mve))]
    for (row, sum) in sums[..count].iter_mut().enumerate() {
        *sum = scaled(sum.wrapping_add(rows.bias[row]), rows.left_shift, rows.multipliers[row]);
    }
}

/// `table[x + 128]` for each value, over the shorter of the slices.
#[inline(always)]
pub fn lookup(table: &[i8; 256], values: &[i8], outputs: &mut [i8]) {
    let count = values.len().min(outputs.len());
    #[cfg(mve)]
    // SAFETY: reads the first `count` values and writes as many outputs, which the slices have; the table has an entry for
    // every byte. Adding 128 takes a value to the number of its entry, modulo 256.
    unsafe {
        asm!(
            "wlstp.8 lr, {count}, 3f",
            "2:",
            "vldrb.u8 q0, [{values}], #16",
            "vadd.i8 q0, q0, {half}",
            "vldrb.u8 q1, [{table}, q0]",
            "vstrb.8 q1, [{outputs}], #16",
            "letp lr, 2b",
            "3:",
            count = in(reg) count,
            values = inout(reg) values.as_ptr() => _,
            outputs = inout(reg) outputs.as_mut_ptr() => _,
            table = in(reg) table.as_ptr(),
            half = in(reg) 128,
            out("lr") _, out("q0") _, out("q1") _,
            options(nostack),
        );
    }
    #[cfg(not(mve))]
    for (output, value) in outputs[..count].iter_mut().zip(values) {
        *output = table[(i16::from(*value) + 128) as usize];
    }
}
