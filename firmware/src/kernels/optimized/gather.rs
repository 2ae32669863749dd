//! Reads the inputs under a place of a convolution's output, in the order of the weights.

use super::{PLACES, Patch};
use crate::kernels::{Conv2d, Shape};

/// Hands the inputs under the convolution output at `[y, x]` to `patch`; padded places hold the input's zero point.
///
/// Stands apart from its callers, whose registers it would crowd.
#[inline(never)]
pub(super) fn gather<P: Patch>(conv: &Conv2d<'_>, input: &[i8], [y, x]: [usize; 2], patch: P) {
    let Some(start) = start_inside(conv, [y, x]) else { return gather_at_edge(conv, input, [y, x], patch) };
    let [kernel_height, run, step] = runs(conv);
    if run.is_multiple_of(4) {
        gather_fours(&input[start..], [kernel_height, run, step], patch);
    } else {
        gather_bytes(&input[start..], [kernel_height, run, step], patch);
    }
}

/// How the inputs under a place lie: the number of runs, the values in one, and the values from one to the next.
#[inline(always)]
pub(super) fn runs(conv: &Conv2d<'_>) -> [usize; 3] {
    let [kernel_height, kernel_width] = conv.window.kernel;
    [kernel_height, kernel_width * conv.input.channels, conv.input.width * conv.input.channels]
}

/// Where the inputs under the place `[y, x]` begin; `None` where it reaches into the padding.
#[inline(always)]
pub(super) fn start_inside(conv: &Conv2d<'_>, [y, x]: [usize; 2]) -> Option<usize> {
    let Shape { height, width, channels } = conv.input;
    let [top, left, ..] = conv.window.padding;
    let [kernel_height, kernel_width] = conv.window.kernel;
    // Counted in the padded input, whose rows `top..top + height` and columns `left..left + width` are the input.
    let [row, column] = [y * conv.window.stride[0], x * conv.window.stride[1]];
    let inside =
        row >= top && column >= left && row + kernel_height <= top + height && column + kernel_width <= left + width;
    inside.then(|| ((row - top) * width + column - left) * channels)
}

/// Where the inputs under each place begin; `None` where one reaches into the padding.
#[inline(always)]
pub(super) fn starts_inside(conv: &Conv2d<'_>, places: [[usize; 2]; PLACES]) -> Option<[usize; PLACES]> {
    let Shape { width, channels, .. } = conv.input;
    let [stride_y, stride_x] = [conv.window.stride[0] * width * channels, conv.window.stride[1] * channels];
    let [top, left, bottom, right] = conv.window.padding;
    if top | left | bottom | right == 0 {
        return Some(places.map(|[y, x]| y * stride_y + x * stride_x));
    }
    let [Some(a), Some(b), Some(c), Some(d)] = places.map(|place| start_inside(conv, place)) else { return None };
    Some([a, b, c, d])
}

/// `rows` runs of `run` values each, a multiple of four, from every `step` on.
#[inline(always)]
fn gather_fours<P: Patch>(input: &[i8], [rows, run, step]: [usize; 3], mut patch: P) {
    for row in 0..rows {
        for four in input[row * step..][..run].as_chunks::<4>().0 {
            patch.push(u32::from_le_bytes(four.map(|value| value as u8)));
        }
    }
    patch.finish();
}

/// As [`gather_fours`], for runs of any length.
#[inline(always)]
fn gather_bytes<P: Patch>(input: &[i8], [rows, run, step]: [usize; 3], patch: P) {
    let mut bytes = Bytes::new(patch);
    for row in 0..rows {
        for value in &input[row * step..][..run] {
            bytes.push(*value);
        }
    }
    bytes.finish();
}

/// A patch that reaches into the padding: each row of it is a run of padding, one of inputs and one of padding again.
#[inline(never)]
fn gather_at_edge<P: Patch>(conv: &Conv2d<'_>, input: &[i8], [y, x]: [usize; 2], patch: P) {
    let Shape { height, width, channels } = conv.input;
    let [top, left, ..] = conv.window.padding;
    let [rows, columns] = conv.window.kernel;
    let [row, column] = [y * conv.window.stride[0], x * conv.window.stride[1]];
    // Columns of the window that lie before the input, and before its end.
    let [before, end] = [left, left + width].map(|edge| edge.saturating_sub(column).min(columns));
    let first = (column + before).saturating_sub(left).min(width);
    let mut bytes = Bytes::new(patch);
    for y in row..row + rows {
        let is_outside = y < top || y >= top + height;
        let [before, end] = if is_outside { [0, 0] } else { [before, end] };
        let start = if is_outside { 0 } else { ((y - top) * width + first) * channels };
        bytes.repeat(conv.input_zero_point, before * channels);
        input[start..][..(end - before) * channels].iter().for_each(|value| bytes.push(*value));
        bytes.repeat(conv.input_zero_point, (columns - end) * channels);
    }
    bytes.finish();
}

/// Collects bytes into fours.
struct Bytes<P> {
    patch: P,
    /// Bytes come in at the top and move down.
    four: u32,
    count: u32,
}

impl<P: Patch> Bytes<P> {
    fn new(patch: P) -> Self {
        Self { patch, four: 0, count: 0 }
    }

    #[inline(always)]
    fn push(&mut self, value: i8) {
        self.four = self.four >> 8 | u32::from(value as u8) << 24;
        self.count += 1;
        if self.count == 4 {
            self.patch.push(self.four);
            self.count = 0;
        }
    }

    fn repeat(&mut self, value: i8, count: usize) {
        (0..count).for_each(|_| self.push(value));
    }

    #[inline(always)]
    fn finish(mut self) {
        if self.count != 0 {
            self.patch.push(self.four >> (8 * (4 - self.count)));
        }
        self.patch.finish();
    }
}
