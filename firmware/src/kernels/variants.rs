//! The table of kernel forms.

use super::optimized::{self, Form};
use super::{Conv2d, Dense, Lookup, Lstm, Shape, Window, reference};
use crate::model::built;
use crate::model::format::{self, OP_CONV2D, OP_DENSE, OP_LOOKUP, OP_LSTM};

/// One form of every op that has weights, for one packing of them, and of those without that gain by it.
pub struct Variant {
    /// Name in reports.
    pub name: &'static str,
    /// The packing that its weights must have.
    pub packing: u8,
    /// Convolution.
    pub conv2d: for<'a> fn(&Conv2d<'a>, &[i8], &mut [i8], &mut [u32]),
    /// Bytes of scratch, a multiple of 4, that `conv2d` needs for an input, a window and a fused pool.
    pub conv2d_scratch_bytes: fn(Shape, Window, [usize; 2]) -> usize,
    /// Dense layer with `i8` outputs; needs no scratch, and uses what there is.
    pub dense: for<'a> fn(&Dense<'a>, &[i8], &mut [i8], &mut [u32]),
    /// Dense layer with `i32` outputs; needs no scratch, and uses what there is.
    pub dense_logits: for<'a> fn(&Dense<'a>, &[i8], &mut [i32], &mut [u32]),
    /// Lookup.
    pub lookup: for<'a> fn(&Lookup<'a>, &[i8], &mut [i8]),
    /// LSTM: input, cell state, hidden state.
    pub lstm: LstmKernel,
    /// Bytes of scratch, a multiple of 4, that `lstm` needs for the lengths of input and states.
    pub lstm_scratch_bytes: fn(usize, usize) -> usize,
}

/// One step of an LSTM.
pub type LstmKernel = for<'a> fn(&Lstm<'a>, &[i8], &mut [i16], &mut [i8], &mut [u32]);

/// The table's row for the form `F`.
pub(super) const fn row<F: Form<N>, const N: usize>(name: &'static str, packing: u8) -> Variant {
    Variant {
        name,
        packing,
        // What the parser refuses is never called.
        conv2d: if built(OP_CONV2D) { optimized::conv2d::<F, N> } else { |_, _, _, _| () },
        conv2d_scratch_bytes: if built(OP_CONV2D) { optimized::scratch_bytes::<F, N> } else { |_, _, _| 0 },
        dense: if built(OP_DENSE) { optimized::dense::<F, N> } else { |_, _, _, _| () },
        dense_logits: if built(OP_DENSE) { optimized::dense_logits::<F, N> } else { |_, _, _, _| () },
        lookup: if built(OP_LOOKUP) { reference::lookup } else { |_, _, _| () },
        lstm: if built(OP_LSTM) { optimized::lstm::<F, N> } else { |_, _, _, _, _| () },
        lstm_scratch_bytes: if built(OP_LSTM) { optimized::lstm_scratch_bytes::<F, N> } else { |_, _| 0 },
    }
}

/// Every form that this build has, one a packing. A Cortex-M0 has the form for it, a core with the DSP
/// extension those for it, or Helium's beside them, any other the portable form; the host has them all.
pub static VARIANTS: &[Variant] = &[
    #[cfg(any(not(any(dsp, thumb1)), feature = "std"))]
    row::<optimized::portable::Portable, 1>("portable", format::PACKING_PORTABLE),
    #[cfg(any(thumb1, feature = "std"))]
    row::<optimized::fours::Fours, 1>("fours", format::PACKING_FOURS),
    #[cfg(any(dsp, feature = "std"))]
    row::<optimized::smlad::Smlad, 2>("dsp", format::PACKING_DSP),
    #[cfg(all(feature = "winograd", any(dsp, feature = "std")))]
    Variant {
        conv2d: optimized::winograd::conv2d,
        conv2d_scratch_bytes: optimized::winograd::scratch_bytes,
        ..row::<optimized::smlad::Smlad, 2>("dsp-winograd", format::PACKING_DSP_WINOGRAD)
    },
    #[cfg(all(feature = "places", any(dsp, feature = "std")))]
    Variant {
        conv2d: optimized::place::conv2d,
        conv2d_scratch_bytes: optimized::place::scratch_bytes,
        ..row::<optimized::smlad::Smlad, 2>("dsp-places", format::PACKING_DSP_PLACES)
    },
    #[cfg(any(mve, feature = "std"))]
    optimized::helium::VARIANT,
];

/// The form for a packing; `None` where this build has none.
pub fn variant(packing: u8) -> Option<&'static Variant> {
    VARIANTS.iter().find(|variant| variant.packing == packing)
}
