//! Products of depthwise convolutions: halfwords of a line with halfwords of a kernel row.

#[cfg(dsp)]
use core::arch::asm;

/// `Σ line·weights` over the length of `weights`, which is even, modulo 2³².
///
/// # Panics
/// If `line` is shorter.
#[inline(always)]
pub fn products(line: &[i16], weights: &[i16]) -> i32 {
    #[cfg(dsp)]
    {
        let word = |[low, high]: [i16; 2]| u32::from(low as u16) | u32::from(high as u16) << 16;
        let pairs = line[..weights.len()].as_chunks().0.iter().zip(weights.as_chunks().0);
        pairs.fold(0, |sum, (values, weights)| super::smlad(word(*values), word(*weights), sum))
    }
    #[cfg(not(dsp))]
    {
        let products =
            line[..weights.len()].iter().zip(weights).map(|(value, weight)| i32::from(*value) * i32::from(*weight));
        products.fold(0, i32::wrapping_add)
    }
}

/// `sums[x] = Σ weights[4·ky + kx] · lines[ky][x·stride + kx]` over 3×4 taps, modulo 2³²; the stride is 1 or 2.
///
/// # Panics
/// If a line is too short.
#[inline(always)]
pub fn lines_3x3(lines: [&[i16]; 3], weights: &[i16; 12], stride: usize, sums: &mut [i32]) {
    let Some(last) = sums.len().checked_sub(1) else { return };
    assert!(lines.into_iter().all(|line| last * stride + 4 <= line.len()));
    #[cfg(dsp)]
    match stride {
        1 => add_lines::<2>(lines, weights, sums),
        _ => add_lines::<4>(lines, weights, sums),
    }
    #[cfg(not(dsp))]
    for (x, sum) in sums.iter_mut().enumerate() {
        let rows = lines.into_iter().zip(weights.as_chunks::<4>().0);
        let products = rows.map(|(line, weights)| products(&line[x * stride..], weights));
        *sum = products.fold(0, i32::wrapping_add);
    }
}

/// As [`lines_3x3`], whose assertion holds, with `STEP` bytes from place to place: 14 instructions for nine products.
#[cfg(dsp)]
#[inline(never)]
fn add_lines<const STEP: usize>(lines: [&[i16]; 3], weights: &[i16; 12], sums: &mut [i32]) {
    let [a, b, c] = lines.map(<[i16]>::as_ptr);
    let sums = sums.as_mut_ptr_range();
    // SAFETY: reads the weights and, for each sum, four values of each line from the sum's place on, which the assertion
    // has found to lie there; writes the sums, of which there is one at least. Neither weights nor values need be
    // aligned to words. Restores r6 and r7, which it may not name as operands.
    unsafe {
        asm!(
            "push {{r6, r7}}",
            "ldr r4, [lr]",
            "ldr r5, [lr, #4]",
            "ldr r6, [lr, #8]",
            "ldr r7, [lr, #12]",
            "ldr r8, [lr, #16]",
            "ldr r9, [lr, #20]",
            "2:",
            "ldr r11, [r0, #4]",
            "ldr r10, [r0], #{step}",
            "smuad r11, r11, r5",
            "smlad r11, r10, r4, r11",
            "ldr lr, [r1, #4]",
            "ldr r10, [r1], #{step}",
            "smlad r11, lr, r7, r11",
            "smlad r11, r10, r6, r11",
            "ldr lr, [r2, #4]",
            "ldr r10, [r2], #{step}",
            "smlad r11, lr, r9, r11",
            "smlad r11, r10, r8, r11",
            "str r11, [r3], #4",
            "cmp r3, r12",
            "bne 2b",
            "pop {{r6, r7}}",
            step = const STEP,
            inout("r0") a => _, inout("r1") b => _, inout("r2") c => _,
            inout("r3") sums.start => _,
            in("r12") sums.end,
            inout("lr") weights.as_ptr() => _,
            out("r4") _, out("r5") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
}
