//! From a float network to int8: ranges, scales, weights, and the proof that no accumulator overflows.
//!
//! ```text
//! Network<Float> ──calibrate──▶ Vec<Affine> ──weights──▶ Quantized (Network<Int8> + Vec<Affine>)
//! ```
//!
//! | module | knows |
//! |---|---|
//! | [`network`] | the intermediate form: operators in NHWC, generic over their parameters |
//! | [`float`] | evaluates the float form, in an order of additions that is the same on every machine |
//! | [`calibrate`] | which range each activation takes over a set of images |
//! | [`affine`] | scale and zero point of an activation; multiplier and left shift of a layer |
//! | [`bounds`] | what an output is clamped to |
//! | [`equalize`] | channels of one tensor brought to one size, before ranges are taken |
//! | [`bias`] | what rounding adds on average, taken off |
//! | [`weights`] | int8 weights, int32 biases, accumulator bounds |
//! | [`lstm`] | a recurrence in float and in int8 |
//! | [`codebook`] | a table of vectors as bytes that stand for parts of them |
//! | [`four_bit`] | a table of vectors as four bits a value and a multiplier a row |

pub mod affine;
pub mod bias;
pub mod bounds;
pub mod calibrate;
pub mod codebook;
pub mod equalize;
pub mod float;
pub mod four_bit;
pub mod gate_basis;
pub mod lstm;
pub mod network;
pub mod weights;

pub use affine::Affine;
pub use bounds::Bounds;
pub use calibrate::{Calibration, Method};
pub use codebook::{Codebook, product_quantize};
pub use four_bit::four_bit_rows;
pub use network::{Float, Function, Kind, Network, Op, Pool, Shape, Tensor, Window};
pub use weights::{Int8, Quantized, quantize};
