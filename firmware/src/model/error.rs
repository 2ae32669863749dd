//! What can be wrong with a container.

use super::format::MAX_OPS;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a model is refused. Indices count from 0 in the order of the container's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The file does not start with the magic: no container, or an erased region.
    Magic,
    /// The container has a version that this crate does not read.
    Version {
        /// Version in the header.
        found: u16,
    },
    /// The bytes do not start on a multiple of 4 in memory, or the arena or scratch is not one long.
    Misaligned,
    /// Fewer bytes than the header names.
    Truncated,
    /// The bytes are not those that were written.
    Crc {
        /// Value in the header.
        expected: u32,
        /// Value of the bytes.
        computed: u32,
    },
    /// A section lies outside the file, is misaligned, overlaps the one before it or has the wrong length.
    Section {
        /// Byte of the file at which the section is said to start.
        offset: u32,
    },
    /// A field that must be zero is not.
    ReservedNotZero,
    /// Name or labels are not UTF-8, or a label has no end.
    Text,
    /// There are labels, but not one for each value of the output.
    LabelCount,
    /// The model needs more RAM than the arena has.
    ArenaTooSmall {
        /// Bytes that the model needs.
        needed_bytes: u32,
        /// Bytes at hand.
        available_bytes: u32,
    },
    /// The model needs more RAM than the scratch has.
    ScratchTooSmall {
        /// Bytes that the model needs.
        needed_bytes: u32,
        /// Bytes at hand.
        available_bytes: u32,
    },
    /// An index names no tensor.
    NoSuchTensor {
        /// The index.
        tensor: u16,
    },
    /// A tensor lies outside the arena or on a wrong multiple.
    TensorOutOfBounds {
        /// Index of the tensor.
        tensor: u16,
    },
    /// A tensor has elements of an unknown type.
    UnknownElement {
        /// Index of the tensor.
        tensor: u16,
    },
    /// A tensor is empty, or its scale is not a positive number.
    TensorMalformed {
        /// Index of the tensor.
        tensor: u16,
    },
    /// A tensor is read that no op wrote, or that another overwrote.
    TensorNotWritten {
        /// Index of the tensor.
        tensor: u16,
    },
    /// An op of a kind that this build does not have.
    UnknownOp {
        /// Index of the op.
        op: u16,
    },
    /// Weights packed in a way that this build has no kernel for.
    UnknownPacking {
        /// Index of the op.
        op: u16,
    },
    /// Shapes, element types or zero points of an op's tensors do not follow from its parameters.
    ShapeMismatch {
        /// Index of the op.
        op: u16,
    },
    /// Parameters of an op are out of range.
    Parameters {
        /// Index of the op.
        op: u16,
    },
    /// An op would write over what it reads.
    InputOverwritten {
        /// Index of the op.
        op: u16,
    },
    /// An index names no op.
    NoSuchOp {
        /// The index.
        op: u16,
    },
    /// A tensor that keeps a state from run to run, or the window of tokens, is touched by something else.
    StateShared {
        /// Index of the tensor.
        tensor: u16,
    },
    /// The vocabulary is empty, too large or without buckets.
    Vocabulary,
    /// There is a vocabulary, but the ops are no chain of an embedding, at least one LSTM and what follows.
    NotForText,
    /// The embedding does not have one row for each word and one for those that are unknown.
    VocabularySize {
        /// Words in the vocabulary.
        words: u32,
        /// Rows of the embedding.
        rows: u32,
    },
    /// More ops than [`MAX_OPS`].
    TooManyOps {
        /// Number of ops.
        ops: u16,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Magic => write!(f, "not a model: the magic \"THML\" is missing"),
            Error::Version { found } => write!(f, "the model has version {found}, this build reads version 1"),
            Error::Misaligned => {
                write!(f, "the model, its arena and its scratch must start and end on multiples of 4 bytes")
            }
            Error::Truncated => write!(f, "the model is shorter than its header says"),
            Error::Crc { expected, computed } => {
                write!(f, "the model is damaged: CRC-32 is {computed:08x}, its header says {expected:08x}")
            }
            Error::Section { offset } => {
                write!(f, "the section at byte {offset} is out of place or has a wrong length")
            }
            Error::ReservedNotZero => write!(f, "a reserved field of the model is not zero"),
            Error::Text => write!(f, "the model's name or labels are not UTF-8 text ended as they should be"),
            Error::LabelCount => write!(f, "the model does not have one label for each of its outputs"),
            Error::ArenaTooSmall { needed_bytes, available_bytes } => {
                write!(f, "the model needs an arena of {needed_bytes} bytes, there are {available_bytes}")
            }
            Error::ScratchTooSmall { needed_bytes, available_bytes } => {
                write!(f, "the model needs a scratch of {needed_bytes} bytes, there are {available_bytes}")
            }
            Error::NoSuchTensor { tensor } => write!(f, "there is no tensor {tensor}"),
            Error::TensorOutOfBounds { tensor } => write!(f, "tensor {tensor} does not lie inside the arena"),
            Error::UnknownElement { tensor } => write!(f, "tensor {tensor} has an unknown element type"),
            Error::TensorMalformed { tensor } => write!(f, "tensor {tensor} is empty or has no usable scale"),
            Error::TensorNotWritten { tensor } => write!(f, "tensor {tensor} is read when it does not hold its values"),
            Error::UnknownOp { op } => write!(f, "op {op} is of a kind that this build does not have"),
            Error::UnknownPacking { op } => write!(f, "op {op} has weights that this core has no kernel for"),
            Error::ShapeMismatch { op } => write!(f, "the tensors of op {op} do not fit its parameters"),
            Error::Parameters { op } => write!(f, "a parameter of op {op} is out of range"),
            Error::InputOverwritten { op } => write!(f, "op {op} would write over its own input"),
            Error::NoSuchOp { op } => write!(f, "there is no op {op}"),
            Error::StateShared { tensor } => write!(f, "tensor {tensor} keeps a state, but something else touches it"),
            Error::Vocabulary => write!(f, "the vocabulary must have 1 to 32,767 words and 1 to 65,535 buckets"),
            Error::NotForText => {
                write!(f, "a model with a vocabulary must be a chain of an embedding, an LSTM and what follows")
            }
            Error::VocabularySize { words, rows } => {
                write!(f, "the vocabulary has {words} words, but the embedding has {rows} rows; it must be one more")
            }
            Error::TooManyOps { ops } => write!(f, "the model has {ops} ops, at most {MAX_OPS} are read"),
        }
    }
}

impl core::error::Error for Error {}
