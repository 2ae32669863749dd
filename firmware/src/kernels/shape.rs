//! Shapes of activations and the geometry of windows that slide over them.

use core::ops::Range;

/// Height, width and channels of one activation (NHWC with N = 1); a vector is `1 × 1 × n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values a place; the innermost axis.
    pub channels: usize,
}

impl Shape {
    /// A vector of `length` values.
    pub const fn vector(length: usize) -> Self {
        Self { height: 1, width: 1, channels: length }
    }

    /// Number of values; saturates where it does not fit, so that a hostile shape never fits a span.
    pub const fn elements(&self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }
}

/// A window that slides over the rows and columns of its input: the kernel of a convolution or a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Padding at the top, left, bottom and right.
    pub padding: [usize; 4],
}

impl Window {
    /// Height and width of the output over `input`:
    /// `(input + padding − kernel) / stride + 1`, rounded down. `None` where the window does not fit once, is empty or
    /// has a stride of zero, and where some window would see padding alone (padding ≥ kernel).
    pub fn positions(&self, input: Shape) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.padding;
        Some([
            positions(input.height, self.kernel[0], self.stride[0], top, bottom)?,
            positions(input.width, self.kernel[1], self.stride[1], left, right)?,
        ])
    }

    /// Rows and columns of `input` that the window sees at row and column `place` of the output; padding is left out.
    #[inline(always)]
    pub(super) fn seen(&self, input: Shape, place: [usize; 2]) -> [Range<usize>; 2] {
        let [top, left, ..] = self.padding;
        let along = |axis: usize, before: usize, side: usize| {
            let first = place[axis] * self.stride[axis];
            first.max(before) - before..(first + self.kernel[axis]).min(before + side) - before
        };
        [along(0, top, input.height), along(1, left, input.width)]
    }
}

fn positions(input: usize, kernel: usize, stride: usize, before: usize, after: usize) -> Option<usize> {
    if input == 0 || kernel == 0 || before >= kernel || after >= kernel {
        return None;
    }
    let steps = input.checked_add(before)?.checked_add(after)?.checked_sub(kernel)?.checked_div(stride)?;
    steps.checked_add(1)
}
