//! Scale and zero point of an activation; multiplier and left shift of a layer.

use anyhow::{Result, bail, ensure};
use firmware::kernels::Add;

/// `real = scale · (integer − zero_point)`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Real value of one step, above 0.
    pub scale: f32,
    /// The integer that stands for 0.0, in `-128..=127`; 0 for int32.
    pub zero_point: i8,
}

impl Affine {
    /// An 8-bit image: `integer = pixel − 128` stands for `pixel / 255`, exactly.
    pub const PIXEL: Self = Self { scale: 1.0 / 255.0, zero_point: -128 };

    /// Spreads `-128..=127` over `[min, max]`, widened where needed so that 0 lies inside and is hit exactly.
    pub fn over(min: f32, max: f32) -> Self {
        let (min, max) = (f64::from(min.min(0.0)), f64::from(max.max(0.0)));
        let scale = ((max - min) / 255.0) as f32;
        // Nothing but zeros (a dead layer), or so little that its reciprocal overflows: any scale is right.
        if scale < f32::MIN_POSITIVE {
            return Self { scale: 1.0, zero_point: -128 };
        }
        let zero_point = (-128.0 - min / f64::from(scale)).round_ties_even().clamp(-128.0, 127.0);
        Self { scale, zero_point: zero_point as i8 }
    }

    /// Nearest integer to `real / scale`, plus the zero point, saturated; ties go to the even quotient, as in ONNX's QuantizeLinear.
    pub fn quantize(self, real: f32) -> i8 {
        let quotient = (f64::from(real) / f64::from(self.scale)).round_ties_even();
        (quotient + f64::from(self.zero_point)).clamp(-128.0, 127.0) as i8
    }

    /// The real value of `integer`.
    pub fn dequantize(self, integer: i32) -> f32 {
        self.scale * (integer - i32::from(self.zero_point)) as f32
    }
}

/// Smallest left shift with which each of `scales` has a multiplier below 2³¹: 0 where all are below ½.
pub fn left_shift(scales: &[f64]) -> u8 {
    (0..=31).find(|&shift| scales.iter().all(|&scale| multiplier(scale, shift).is_ok())).unwrap_or(31)
}

/// `round(scale · 2^(32 − left_shift))`, which must lie in `0..2³¹`.
pub fn multiplier(scale: f64, left_shift: u8) -> Result<i32> {
    let multiplier = (scale * f64::from(32 - i32::from(left_shift)).exp2()).round();
    ensure!(
        (0.0..f64::from(1u32 << 31)).contains(&multiplier),
        "the scale {scale:e} with a left shift of {left_shift} needs a multiplier of {multiplier}, outside 0..2³¹"
    );
    Ok(multiplier as i32)
}

/// Multipliers and shift of a sum of two activations: the most bits behind the point with which no sum leaves int32.
pub fn sum(inputs: [Affine; 2], output: Affine, subtract: bool) -> Result<([i32; 2], u8)> {
    let ratio = |input: Affine| f64::from(input.scale) / f64::from(output.scale);
    let ratios = [ratio(inputs[0]), ratio(inputs[1]) * if subtract { -1.0 } else { 1.0 }];
    let fitting = (0..=30u8).rev().find_map(|shift| {
        let multipliers = ratios.map(|ratio| (ratio * f64::from(shift).exp2()).round());
        let sum = Add {
            // Casts saturate; what does not fit then is found.
            multipliers: multipliers.map(|multiplier| multiplier as i32),
            zero_points: inputs.map(|input| input.zero_point),
            zero_point: output.zero_point,
            shift,
            output_min: i8::MIN,
            output_max: i8::MAX,
        };
        let is_exact = multipliers.iter().all(|multiplier| multiplier.abs() < f64::from(i32::MAX));
        (is_exact && sum.fits()).then_some((sum.multipliers, shift))
    });
    let Some((multipliers, shift)) = fitting else {
        bail!(
            "a sum's inputs have {:.0} and {:.0} times the range of its output; calibrate on more varied inputs",
            ratios[0],
            ratios[1]
        )
    };
    Ok((multipliers, shift))
}

/// Multiplier and left shift of the products of two activations.
pub fn product(inputs: [Affine; 2], output: Affine) -> Result<(i32, u8)> {
    let ratio = f64::from(inputs[0].scale) * f64::from(inputs[1].scale) / f64::from(output.scale);
    let shift = left_shift(&[ratio]);
    ensure!(
        (255 * 255i64) << shift <= i32::MAX.into(),
        "a product's steps are {ratio:.0} times those of its output; calibrate on more varied inputs"
    );
    Ok((multiplier(ratio, shift)?, shift))
}

/// Multipliers and left shift of means over up to `places` places: `counts` are the numbers of places to divide by.
pub fn mean(input: Affine, output: Affine, counts: &[usize]) -> Result<(Vec<i32>, u8)> {
    let ratio = f64::from(input.scale) / f64::from(output.scale);
    let scales: Vec<f64> = counts.iter().map(|&count| ratio / count as f64).collect();
    let shift = left_shift(&scales);
    let longest = 255 * counts.iter().max().copied().unwrap_or(1) as i64;
    ensure!(
        longest << shift <= i32::MAX.into(),
        "a mean's input has {ratio:.0} times the range of its output; calibrate on more varied inputs"
    );
    Ok((scales.iter().map(|&scale| multiplier(scale, shift)).collect::<Result<_>>()?, shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `value = mantissa · 2^exponent`, exactly.
    fn parts(value: f32) -> (i128, i32) {
        let bits = value.to_bits();
        let exponent = (bits >> 23 & 0xff) as i32;
        assert!(exponent > 0 && value > 0.0, "normal positive numbers only");
        (i128::from(bits & 0x7f_ffff | 0x80_0000), exponent - 150)
    }

    /// `round(input · weight / output · 2^(32 − shift))` in integers, half up.
    fn exact(input: f32, weight: f32, output: f32, shift: u8) -> i128 {
        let ((a, ea), (b, eb), (c, ec)) = (parts(input), parts(weight), parts(output));
        let exponent = ea + eb - ec + 32 - i32::from(shift);
        let (numerator, denominator) = if exponent >= 0 { ((a * b) << exponent, c) } else { (a * b, c << -exponent) };
        (2 * numerator + denominator) / (2 * denominator)
    }

    proptest! {
        #[test]
        fn multipliers_are_the_nearest_integers(input in 1e-4f32..1.0, weight in 1e-4f32..0.1, output in 1e-3f32..1.0) {
            let scale = f64::from(input) * f64::from(weight) / f64::from(output);
            let shift = left_shift(&[scale]);
            let m = multiplier(scale, shift).unwrap();
            prop_assert_eq!(i128::from(m), exact(input, weight, output, shift));
            // The smallest shift that fits: one less would not.
            prop_assert!(shift == 0 || multiplier(scale, shift - 1).is_err());
        }

        #[test]
        fn zero_is_hit_exactly_and_the_ends_lie_within_a_step(a in -10f32..10.0, b in -10f32..10.0) {
            let (min, max) = (a.min(b), a.max(b));
            let affine = Affine::over(min, max);
            prop_assert_eq!(affine.dequantize(affine.quantize(0.0).into()), 0.0);
            for end in [min, max] {
                let back = affine.dequantize(affine.quantize(end).into());
                prop_assert!((back - end).abs() <= affine.scale, "{} became {}", end, back);
            }
        }
    }

    #[test]
    fn pixels_are_exact() {
        for pixel in 0..=255u8 {
            let integer = i32::from(pixel) - 128;
            assert_eq!(i32::from(Affine::PIXEL.quantize(f32::from(pixel) / 255.0)), integer);
        }
        assert_eq!(Affine::over(0.0, 1.0), Affine::PIXEL);
    }

    #[test]
    fn a_scale_of_a_half_needs_a_shift() {
        assert_eq!(left_shift(&[0.499_999_999]), 0);
        assert_eq!(left_shift(&[0.5]), 1);
        assert_eq!(left_shift(&[0.1, 3.0]), 3);
        assert!(multiplier(0.5, 0).is_err());
    }

    #[test]
    fn a_dead_layer_has_a_scale() {
        assert_eq!(Affine::over(0.0, 0.0), Affine { scale: 1.0, zero_point: -128 });
    }
}
