//! Which operators this build has: a feature of the crate each. What is left out is refused by the parser, and costs nothing.

use crate::model::format::{
    OP_ADD, OP_AVERAGE_POOL2D, OP_CONCAT, OP_CONV_TRANSPOSE2D, OP_CONV2D, OP_DENSE, OP_DEPTHWISE_CONV2D, OP_EMBEDDING,
    OP_LOOKUP, OP_LSTM, OP_MAX_POOL2D, OP_MULTIPLY, OP_SLICE,
};

/// Whether this build has the operator, one of `OP_…`. With a constant it is one, so that no code is left of an arm of `match`
/// with this guard.
// Only a build with every feature looks like `matches!`.
#[allow(clippy::match_like_matches_macro)]
#[inline(always)]
pub(crate) const fn built(operator: u8) -> bool {
    match operator {
        OP_CONV2D => cfg!(feature = "conv2d"),
        OP_DEPTHWISE_CONV2D => cfg!(feature = "depthwise-conv2d"),
        OP_CONV_TRANSPOSE2D => cfg!(feature = "conv-transpose2d"),
        OP_ADD => cfg!(feature = "add"),
        OP_MULTIPLY => cfg!(feature = "multiply"),
        OP_CONCAT => cfg!(feature = "concat"),
        OP_SLICE => cfg!(feature = "slice"),
        OP_MAX_POOL2D => cfg!(feature = "max-pool2d"),
        OP_AVERAGE_POOL2D => cfg!(feature = "average-pool2d"),
        OP_DENSE => cfg!(feature = "dense"),
        OP_LOOKUP => cfg!(feature = "lookup"),
        OP_EMBEDDING => cfg!(feature = "embedding"),
        OP_LSTM => cfg!(feature = "lstm"),
        _ => false,
    }
}
