//! From the accumulators of an LSTM's gates to its states.
//!
//! A gate's logit `a = ((((Σ w·[x‖h] + bias) << left_shift) · multiplier + 2³¹) >> 32)` is in units of 1/128, that of the
//! cell candidate in units of 1/256, which makes it the index into a table of the sigmoid: `tanh x = 2·σ(2x) − 1`.
//!
//! ```text
//! i, o, f = σ(a)          g = 2·σ(a) − 1                                  in 1/2¹⁵
//! c ← saturate((f·c + (i·g >> (15 − cell_shift)) + 2¹⁴) >> 15)           in 2^−cell_shift, 16 bits
//! h ← clamp((o·tanh(c) + 2²²) >> 23, −128, 127)                          in 1/128
//! ```

/// Entries of the table: the sigmoid of 0 to 8 in steps of 1/128.
const ENTRIES: usize = 1025;

/// `round(2¹⁵ · σ(k / 128))` for `k` from 0 on.
pub(super) static SIGMOID_Q15: [u16; ENTRIES] = sigmoid_table();

/// Computed by the compiler, in integers: `σ(x) = 1 / (1 + e^−x)`, and each `e^−(k/128)` is the one before times
/// `e^−(1/128)`.
const fn sigmoid_table() -> [u16; ENTRIES] {
    const ONE: u128 = 1 << 62;
    // e^−y as its series `1 − y·(1 − y/2·(1 − y/3·(…)))` for y = 1/128, of which nine terms are exact in 62 bits.
    let mut ratio = ONE;
    let mut divisor = 9;
    while divisor > 0 {
        ratio = ONE - ratio / (128 * divisor);
        divisor -= 1;
    }
    let mut table = [0; ENTRIES];
    let mut power = ONE;
    let mut k = 0;
    while k < ENTRIES {
        let sum = ONE + power;
        table[k] = (((ONE << 15) + sum / 2) / sum) as u16;
        power = (power * ratio) >> 62;
        k += 1;
    }
    table
}

/// `round(2¹⁵ · σ(k / 128))` with `k` limited to −1024..=1023, where it has come within 11 of 0 and of 2¹⁵.
#[inline(always)]
pub fn sigmoid_q15(k: i32) -> i32 {
    let k = k.clamp(-1024, 1023);
    // σ(−x) = 1 − σ(x).
    let half = i32::from(SIGMOID_Q15[k.unsigned_abs() as usize]);
    if k < 0 { (1 << 15) - half } else { half }
}

/// `2¹⁵ · tanh(k / 256)`, even.
#[inline(always)]
fn tanh_q15(k: i32) -> i32 {
    2 * sigmoid_q15(k) - (1 << 15)
}

/// Takes a unit's cell state one step on and gives its hidden state, for the logits of its gates: input, output, forget,
/// cell candidate. `cell_shift` is 8 to 15.
///
/// No sum leaves 32 bits: gates are at most 2¹⁵ − 11, so `f·c` and `i·g` together stay 1,400,000 below 2³¹.
#[inline(always)]
pub fn step(logits: [i32; 4], cell: &mut i16, cell_shift: u8) -> i8 {
    let [i, o, f] = [logits[0], logits[1], logits[2]].map(sigmoid_q15);
    let g = tanh_q15(logits[3]);
    let sum = f * i32::from(*cell) + ((i * g) >> (15 - cell_shift)) + (1 << 14);
    let c = (sum >> 15).clamp(i16::MIN.into(), i16::MAX.into());
    *cell = c as i16;
    // To units of 1/256, rounded half up.
    let shift = cell_shift - 8;
    let rounded = (c + ((1 << shift) >> 1)) >> shift;
    ((o * tanh_q15(rounded) + (1 << 22)) >> 23).clamp(-128, 127) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_sigmoid() {
        for k in -3000..3000 {
            let exact = 32_768.0 / (1.0 + (-f64::from(k.clamp(-1024, 1023)) / 128.0).exp());
            let difference = f64::from(sigmoid_q15(k)) - exact;
            assert!(difference.abs() <= 0.5 + 1e-9, "{difference} at {k}");
        }
        assert_eq!([i32::MIN, -1023, 0, 1023, i32::MAX].map(sigmoid_q15), [11, 11, 16_384, 32_757, 32_757]);
    }
}
