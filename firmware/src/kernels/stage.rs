//! From accumulators to outputs.

use super::dsp;

/// How accumulators become outputs:
/// `y = clamp(zero_point + (((acc << left_shift) · multiplier[o] + 2³¹) >> 32), output_min, output_max)`,
/// where `acc` includes `bias[o]`. An `i32` output has neither zero point nor clamp.
///
/// Multipliers are not negative, so `y` never falls when `acc` rises: the maximum of outputs is the output of the
/// maximum, and a pool needs one requantization a window.
#[derive(Clone, Copy, Debug)]
pub struct OutputStage<'a> {
    /// One per output channel, the input's zero point folded in.
    pub bias: &'a [i32],
    /// One per output channel, in `0..2³¹`.
    pub multipliers: &'a [i32],
    /// Bits that an accumulator is shifted left before the multiplication, 0 to 31.
    pub left_shift: u8,
    /// The integer that stands for 0.0 in the output.
    pub zero_point: i8,
    /// Lower bound of an `i8` output.
    pub output_min: i8,
    /// Upper bound of an `i8` output, not below the lower one.
    pub output_max: i8,
}

impl OutputStage<'_> {
    /// `i32` outputs of the channels from `first` on, for their sums of products without bias.
    #[inline(always)]
    pub(super) fn logits(&self, first: usize, sums: &[i32], outputs: &mut [i32]) {
        let channels = self.bias[first..].iter().zip(&self.multipliers[first..]);
        for ((output, sum), (bias, multiplier)) in outputs.iter_mut().zip(sums).zip(channels) {
            *output = self.logit(*sum, *bias, *multiplier);
        }
    }

    /// `i32` output for a channel's sum of products, bias and multiplier.
    #[inline(always)]
    pub(super) fn logit(&self, sum: i32, bias: i32, multiplier: i32) -> i32 {
        dsp::smmulr(sum.wrapping_add(bias).wrapping_shl(self.left_shift.into()), multiplier)
    }

    /// `i8` output for a channel's sum of products, bias and multiplier.
    #[inline(always)]
    pub(super) fn activation(&self, sum: i32, bias: i32, multiplier: i32) -> i8 {
        let [zero_point, min, max] = [self.zero_point, self.output_min, self.output_max].map(i32::from);
        (self.logit(sum, bias, multiplier) + zero_point).max(min).min(max) as i8
    }

    /// `i8` outputs of the channels from `first` on, for their sums of products without bias.
    // Stands apart: its loop is as quick there, and it is called from several places.
    #[inline(never)]
    pub(super) fn activations(&self, first: usize, sums: &[i32], outputs: &mut [i8]) {
        let channels = self.bias[first..].iter().zip(&self.multipliers[first..]);
        for ((output, sum), (bias, multiplier)) in outputs.iter_mut().zip(sums).zip(channels) {
            *output = self.activation(*sum, *bias, *multiplier);
        }
    }
}
