//! Faster forms of the ops, equal to [`super::reference`] bit for bit.
//!
//! One algorithm serves every geometry. A convolution gathers the inputs under four output places into *patches* in
//! scratch, then walks the output channels over them; a dense layer is the same product over one patch, its input. What
//! differs between cores is how a patch lies and how it is multiplied: a [`Form`]. Cores with DSP have two more ways to
//! convolve, [`winograd`] with fewer products and [`place`] with less scratch.
//!
//! With a fused pool the places are those of one pool window, their maximum is taken before the requantization, and a
//! window of more than four places takes several blocks of four. The last place fills up a block: a repeated value
//! changes no maximum.

mod add;
mod average_pool;
mod conv2d;
mod conv_transpose;
mod dense;
mod depthwise;
pub mod fours;
mod gather;
pub mod helium;
mod lstm;
mod multiply;
pub mod place;
mod pool;
pub mod portable;
pub mod smlad;
pub mod winograd;

pub use add::add;
pub use average_pool::average_pool2d;
pub use conv_transpose::{conv_transpose2d, conv_transpose2d_scratch_bytes};
pub use conv2d::{conv2d, scratch_bytes};
pub use dense::{dense, dense_logits};
pub use depthwise::{depthwise_conv2d, depthwise_scratch_bytes};
pub use lstm::{lstm, lstm_scratch_bytes};
pub use multiply::multiply;
pub use pool::max_pool2d;

use super::{Conv2d, Dense, OutputStage};

/// Output places that are computed together.
const PLACES: usize = 4;

/// How patches lie in scratch and how `CHANNELS` rows of weights are multiplied with them.
pub trait Form<const CHANNELS: usize> {
    /// Takes the values of one patch.
    type Patch<'b>: Patch;

    /// Words of scratch for one block of four patches of `taps` values; at least one.
    fn block_words(taps: usize) -> usize;

    /// Patch number `place` of a block.
    fn patch(block: &mut [u32], taps: usize, place: usize) -> Self::Patch<'_>;

    /// Hands the inputs under four places to a block.
    #[inline(always)]
    fn gather(conv: &Conv2d<'_>, input: &[i8], places: [[usize; 2]; PLACES], block: &mut [u32]) {
        for (number, place) in places.into_iter().enumerate() {
            gather::gather(conv, input, place, Self::patch(block, conv.taps(), number));
        }
    }

    /// Outputs of a pool window, one a channel, whose places are in `blocks`.
    #[inline(always)]
    fn pool_window(conv: &Conv2d<'_>, blocks: &[u32], output: &mut [i8])
    where
        Self: Sized,
    {
        conv2d::pool_channels::<Self, CHANNELS>(conv, blocks, 0, output);
    }

    /// Bytes of weights for `CHANNELS` rows of `taps` columns; at least one.
    fn group_bytes(taps: usize) -> usize;

    /// `Σ w·x` of each row in a group's weights, for the four places of a block.
    fn multiply(weights: &[i8], taps: usize, block: &[u32]) -> [[i32; PLACES]; CHANNELS];

    /// `i8` outputs of the channels from `first` on, for their sums of products without bias.
    fn activations(stage: &OutputStage<'_>, first: usize, sums: &[i32], outputs: &mut [i8]) {
        stage.activations(first, sums, outputs);
    }

    /// `i32` outputs of the channels from `first` on, for their sums of products without bias.
    fn logits(stage: &OutputStage<'_>, first: usize, sums: &[i32], outputs: &mut [i32]) {
        stage.logits(first, sums, outputs);
    }

    /// Hands `Σ w·x` of the rows of a dense layer's weights to `store`, four by four or several fours at once, in ascending
    /// order, with the number of the first; the last time, what is left. `widened` may have any length; the longer, the
    /// quicker, up to `widened_words`.
    ///
    /// `store` is called by address, so that the loop exists once and not once for each op that is made of it.
    fn rows(dense: &Dense<'_>, input: &[i8], widened: &mut [u32], store: &mut dyn FnMut(usize, &[i32]));

    /// Words of scratch that `fours_of_rows` wants for so many inputs.
    fn widened_words(inputs: usize) -> usize;

    /// As `rows` where their number is a multiple of four, quicker where there are many.
    #[inline(always)]
    fn fours_of_rows(dense: &Dense<'_>, input: &[i8], widened: &mut [u32], mut store: impl FnMut([i32; 4])) {
        Self::rows(dense, input, widened, &mut |_, sums| sums.as_chunks().0.iter().for_each(|sums| store(*sums)));
    }
}

/// The first four values; zeros stand for those that are missing.
#[inline(always)]
fn first_four(values: &[i8]) -> [i8; 4] {
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut four = [0; 4];
        four.iter_mut().zip(values).for_each(|(place, value)| *place = *value);
        four
    })
}

/// One patch on its way into scratch.
pub trait Patch {
    /// The next four values, the first one in the lowest byte; zeros stand for those behind the last one.
    fn push(&mut self, four: u32);

    /// Ends the patch.
    fn finish(self);
}
