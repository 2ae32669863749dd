//! About how many instructions a convolution takes on a Cortex-M4, in each of two forms.
//!
//! What stands in the inner loops is counted in them: 12 instructions for 16 products of the ordinary form, 11 of Winograd's.
//! The other constants were fitted to twelve convolutions that an emulated core ran, inputs of 7×7 to 28×28 with 1 to 64
//! channels, with a pool and without, padded and not; each is met within 11 %.

use firmware::kernels::packing::dsp_row_words;
use firmware::kernels::packing::winograd::pairs;
use firmware::kernels::{Conv2d, Shape};

/// Longest patch whose odd rows are put one behind the other in one go.
const SHORT_PATCH: usize = 29;

/// The ordinary form.
pub fn ordinary(conv: &Conv2d<'_>) -> usize {
    let [taps, area] = [conv.taps(), conv.window.kernel[0] * conv.window.kernel[1]];
    let is_whole = (conv.window.kernel[1] * conv.input.channels).is_multiple_of(4);
    let gather = |places: &[[usize; 2]]| match places.iter().all(|place| is_inside(conv, *place, conv.window.kernel)) {
        true if is_whole => 7 * taps + 500,
        true if taps <= SHORT_PATCH => 700,
        true => 4 * 19 * taps,
        false => 4 * (15 * taps + 70 * area),
    };
    let row_pair = 12 * dsp_row_words(taps) + if conv.pool == [1, 1] { 200 } else { 46 };
    let rows = conv.output.channels.div_ceil(2) * row_pair;
    blocks(conv).iter().map(|places| gather(places) + rows).sum()
}

/// Winograd's form.
pub fn winograd(conv: &Conv2d<'_>) -> usize {
    let Shape { height, width, channels } = conv.output;
    let pooled = conv.pool != [1, 1];
    let [tile_rows, tile_columns] = [height, width].map(|side| if pooled { side } else { side.div_ceil(2) });
    let pairs = pairs(conv.input.channels);
    let transform = |place| match is_inside(conv, place, [4, 4]) && conv.input.channels.is_multiple_of(4) {
        true => 120 * pairs + 300,
        false => 580 * pairs,
    };
    let tiles = (0..tile_rows).flat_map(|y| (0..tile_columns).map(move |x| [2 * y, 2 * x]));
    let four_rows = 16 * (11 * pairs + 16) + if pooled { 780 } else { 1350 };
    let products = (tile_rows * tile_columns).div_ceil(2) * channels.div_ceil(4) * four_rows;
    products + tiles.map(transform).sum::<usize>()
}

/// The places that are computed together, four or fewer.
fn blocks(conv: &Conv2d<'_>) -> Vec<Vec<[usize; 2]>> {
    let Shape { height, width, .. } = conv.output;
    let [pool_height, pool_width] = conv.pool;
    let windows = (0..height).flat_map(|y| (0..width).map(move |x| [y * pool_height, x * pool_width]));
    let within = |[y, x]: [usize; 2]| {
        (0..pool_height * pool_width).map(move |index| [y + index / pool_width, x + index % pool_width])
    };
    if conv.pool == [1, 1] {
        return windows.collect::<Vec<_>>().chunks(4).map(<[_]>::to_vec).collect();
    }
    windows
        .flat_map(|corner| within(corner).collect::<Vec<_>>().chunks(4).map(<[_]>::to_vec).collect::<Vec<_>>())
        .collect()
}

/// Whether what lies under `size` places from the output `[y, x]` on is inside the input.
fn is_inside(conv: &Conv2d<'_>, [y, x]: [usize; 2], size: [usize; 2]) -> bool {
    let [top, left, ..] = conv.window.padding;
    let [row, column] = [y * conv.window.stride[0], x * conv.window.stride[1]];
    row >= top
        && column >= left
        && row + size[0] <= top + conv.input.height
        && column + size[1] <= left + conv.input.width
}
