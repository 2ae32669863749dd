//! Activations: where they lie in the arena and what their integers mean.

use super::format::{ELEMENT_I8, ELEMENT_I16, ELEMENT_I32, TensorRecord};
use super::{Error, format};
use crate::kernels::Shape;

/// Type of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// An activation.
    I8,
    /// Logits, which keep the accumulator's resolution.
    I32,
    /// The cell state of an LSTM, token numbers.
    I16,
}

impl Element {
    /// Bytes of one value.
    pub const fn bytes(self) -> usize {
        match self {
            Element::I8 => 1,
            Element::I16 => 2,
            Element::I32 => 4,
        }
    }

    /// The number that stands for it in a container.
    pub const fn code(self) -> u8 {
        match self {
            Element::I8 => format::ELEMENT_I8,
            Element::I32 => format::ELEMENT_I32,
            Element::I16 => format::ELEMENT_I16,
        }
    }
}

/// One activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    /// Bytes from the start of the arena, a multiple of 4.
    pub offset: usize,
    /// NHWC with N = 1.
    pub shape: Shape,
    /// Type of the values.
    pub element: Element,
    /// The integer that stands for 0.0.
    pub zero_point: i8,
    /// `real = scale · (integer − zero_point)`.
    pub scale: f32,
}

impl Tensor {
    /// Bytes that the values take; saturates where they do not fit.
    pub const fn bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.element.bytes())
    }

    /// First byte of the arena behind the tensor; saturates where it does not fit.
    pub const fn end(&self) -> usize {
        self.offset.saturating_add(self.bytes())
    }

    /// Whether the two share a byte of the arena.
    pub const fn overlaps(&self, other: &Tensor) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }

    /// Reads record number `index` and checks it against an arena of `arena_bytes`.
    // Called from many places, none of which is in a hurry: one copy of it saves kilobytes.
    #[inline(never)]
    pub(super) fn decode(records: &[TensorRecord], index: u16, arena_bytes: usize) -> Result<Self, Error> {
        let record = records.get(usize::from(index)).ok_or(Error::NoSuchTensor { tensor: index })?;
        let element = match record.element {
            ELEMENT_I8 => Element::I8,
            ELEMENT_I32 => Element::I32,
            ELEMENT_I16 => Element::I16,
            _ => return Err(Error::UnknownElement { tensor: index }),
        };
        let [height, width, channels] = record.shape.map(|side| usize::from(side.get()));
        let tensor = Tensor {
            offset: record.offset.get() as usize,
            shape: Shape { height, width, channels },
            element,
            zero_point: record.zero_point,
            scale: record.scale.get(),
        };
        if record.reserved.iter().any(|word| word.get() != 0) {
            return Err(Error::ReservedNotZero);
        }
        // Positive and finite, told by the bits: a core without FPU need not link floating-point code for it.
        let scale_is_usable = (1..f32::INFINITY.to_bits()).contains(&tensor.scale.to_bits());
        if tensor.shape.elements() == 0 || !scale_is_usable {
            return Err(Error::TensorMalformed { tensor: index });
        }
        if !tensor.offset.is_multiple_of(4) || tensor.end() > arena_bytes {
            return Err(Error::TensorOutOfBounds { tensor: index });
        }
        Ok(tensor)
    }
}
