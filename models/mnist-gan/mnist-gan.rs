//! Model `mnist-gan`, as `host export` wrote it: what a firmware takes its memory by.

/// Bytes of the arena, for `Interpreter::new`.
pub const ARENA_BYTES: usize = 125440;

/// Bytes of the scratch, on the core that needs most.
pub const SCRATCH_BYTES: usize = 50192;

/// Rows, columns and channels of the input.
pub const INPUT_SHAPE: [usize; 3] = [1, 1, 128];

/// Real value of one step of the input.
pub const INPUT_SCALE: f32 = 0.03125;

/// The input's integer that stands for 0.
pub const INPUT_ZERO_POINT: i8 = 0;

/// Rows, columns and channels of the answer.
pub const OUTPUT_SHAPE: [usize; 3] = [28, 28, 1];

/// Names of the answer's values.
pub const LABELS: [&str; 0] = [];
