//! What a layer's output is clamped to: ReLU and its like.

use super::affine::Affine;

/// The values that an output may take; infinite ends for none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub min: f32,
    pub max: f32,
}

impl Bounds {
    /// Every value.
    pub const NONE: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };
    /// ReLU.
    pub const RELU: Self = Self { min: 0.0, max: f32::INFINITY };

    /// Whether every value is allowed.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// These bounds, and `other` applied to what they leave.
    pub fn then(self, other: Self) -> Self {
        Self { min: self.min.clamp(other.min, other.max), max: self.max.clamp(other.min, other.max) }
    }

    /// The nearest value that is allowed.
    pub fn apply(self, value: f32) -> f32 {
        value.clamp(self.min, self.max)
    }

    /// The bounds of an int8 output.
    pub fn int8(self, affine: Affine) -> [i8; 2] {
        // Casts of what lies outside, infinity among it, saturate.
        [self.min, self.max].map(|end| affine.quantize(end))
    }

    /// For names of layers: `+relu`, `+relu6`, `+clip`, or nothing.
    pub fn describe(self) -> &'static str {
        match (self.min, self.max) {
            _ if self.is_none() => "",
            (0.0, f32::INFINITY) => "+relu",
            (0.0, 6.0) => "+relu6",
            _ => "+clip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_nest() {
        let relu6 = Bounds { min: 0.0, max: 6.0 };
        assert_eq!(Bounds::RELU.then(relu6), relu6);
        assert_eq!(relu6.then(Bounds::RELU), relu6);
        // What has been cut off below at 2 and then above at 1 is 1.
        let narrow = Bounds { min: 2.0, max: f32::INFINITY }.then(Bounds { min: -1.0, max: 1.0 });
        assert_eq!(narrow, Bounds { min: 1.0, max: 1.0 });
        assert_eq!([relu6, Bounds::RELU, Bounds::NONE, narrow].map(Bounds::describe), ["+relu6", "+relu", "", "+clip"]);
    }

    #[test]
    fn int8_bounds_are_those_of_the_values() {
        let affine = Affine { scale: 0.1, zero_point: -20 };
        assert_eq!(Bounds::NONE.int8(affine), [-128, 127]);
        assert_eq!(Bounds::RELU.int8(affine), [-20, 127]);
        assert_eq!(Bounds { min: -1.0, max: 6.0 }.int8(affine), [-30, 40]);
    }
}
