//! The one check of a container.

use super::format::{CRC32, Header, MAGIC, MAX_OPS, Span, VERSION};
use super::sections::{self, Order};
use super::{Element, Error, Model, Tensor};
use core::str;
use zerocopy::FromBytes;

/// With its table of 1 KiB, which pays: without, a start would take eight steps a byte of the model.
static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&CRC32);

impl<'m> Model<'m> {
    /// Checks a container and gives a view of it. Bytes behind the container's own length are not looked at, so the
    /// slice may be a whole flash region.
    ///
    /// # Errors
    /// The first thing found wrong; an accepted model can be run without any further error.
    pub fn parse(bytes: &'m [u8]) -> Result<Self, Error> {
        let (header, bytes) = checked_header(bytes)?;
        let mut order = Order::after(size_of::<Header>());
        let tensors = sections::exactly(bytes, header.tensors, header.tensor_count.get().into())?;
        order.next(header.tensors)?;
        if header.op_count.get() > MAX_OPS {
            return Err(Error::TooManyOps { ops: header.op_count.get() });
        }
        let ops = sections::exactly(bytes, header.ops, header.op_count.get().into())?;
        order.next(header.ops)?;
        let arena_bytes = header.arena_bytes.get() as usize;
        let scratch_bytes = header.scratch_bytes.get() as usize;
        if !arena_bytes.is_multiple_of(4) || !scratch_bytes.is_multiple_of(4) {
            return Err(Error::Misaligned);
        }
        let tensor = |index: u16| Ok((index, Tensor::decode(tensors, index, arena_bytes)?));
        let mut model = Model {
            bytes,
            tensors,
            ops,
            name: text(bytes, header.name)?,
            labels: text(bytes, header.labels)?,
            crc32: header.crc32.get(),
            input: tensor(header.input.get())?,
            output: tensor(header.output.get())?,
            text: None,
            arena_bytes,
            scratch_bytes,
        };
        for index in 0..model.tensor_count() {
            model.tensor(index)?;
        }
        model.text = model.decode_text(header)?;
        model.check_sections(header, order)?;
        model.check_flow()?;
        model.check_states()?;
        model.check_labels()?;
        Ok(model)
    }

    /// Parameter records follow the ops, the texts follow them, and what the records span follows the texts.
    fn check_sections(&self, header: &Header, mut order: Order) -> Result<(), Error> {
        for op in self.ops {
            order.next(op.parameters)?;
        }
        order.next(header.name)?;
        order.next(header.labels)?;
        order.next(header.text)?;
        for index in 0..self.op_count() {
            let op = self.op(index)?;
            for span in op.data {
                order.next(span)?;
            }
            op.check_values(index)?;
            let needed_bytes = op.scratch_bytes;
            if needed_bytes > self.scratch_bytes {
                return Err(Error::ScratchTooSmall {
                    needed_bytes: needed_bytes as u32,
                    available_bytes: self.scratch_bytes as u32,
                });
            }
        }
        self.check_text_sections(header, &mut order)?;
        if order.end() > self.bytes.len() {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Every tensor holds its values when it is read: an op wrote it (or the application filled it) and no other wrote
    /// over it since. No op writes over its own input.
    fn check_flow(&self) -> Result<(), Error> {
        if self.input().element == Element::I32 {
            return Err(Error::UnknownElement { tensor: self.input_index() });
        }
        for index in 0..self.op_count() {
            let op = self.op(index)?;
            for input in op.inputs() {
                self.check_holds(input, index)?;
                if self.tensor(input)?.overlaps(&self.tensor(op.output)?) {
                    return Err(Error::InputOverwritten { op: index });
                }
            }
        }
        self.check_holds(self.output_index(), self.op_count())
    }

    /// Looks back from op `reader` for the op that wrote `tensor` and refuses any other that touched its bytes.
    fn check_holds(&self, tensor: u16, reader: u16) -> Result<(), Error> {
        let bytes = self.tensor(tensor)?;
        for op in self.ops[..usize::from(reader)].iter().rev() {
            let output = op.output.get();
            if output == tensor {
                return Ok(());
            }
            if self.tensor(output)?.overlaps(&bytes) {
                return Err(Error::TensorNotWritten { tensor });
            }
        }
        if tensor == self.input_index() { Ok(()) } else { Err(Error::TensorNotWritten { tensor }) }
    }

    /// What lasts from run to run lies apart from every other tensor, and one op alone uses it.
    fn check_states(&self) -> Result<(), Error> {
        for index in 0..self.op_count() {
            for state in self.op(index)?.states() {
                self.check_apart(state)?;
                let mut shared = state == self.input_index();
                for other in (0..self.op_count()).filter(|other| *other != index) {
                    let other = self.op(other)?;
                    shared |= other.output == state || other.cell == Some(state);
                }
                if shared {
                    return Err(Error::StateShared { tensor: state });
                }
            }
        }
        Ok(())
    }

    /// No other tensor shares a byte with this one.
    pub(super) fn check_apart(&self, index: u16) -> Result<(), Error> {
        let tensor = self.tensor(index)?;
        for other in (0..self.tensor_count()).filter(|other| *other != index) {
            if self.tensor(other)?.overlaps(&tensor) {
                return Err(Error::StateShared { tensor: index });
            }
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), Error> {
        if !self.labels.is_empty() && !self.labels.ends_with('\0') {
            return Err(Error::Text);
        }
        let count = self.labels().count();
        if count != 0 && count != self.output().shape.elements() { Err(Error::LabelCount) } else { Ok(()) }
    }
}

/// The header, and the bytes cut to the container's length.
fn checked_header(bytes: &[u8]) -> Result<(&Header, &[u8]), Error> {
    if bytes.len() < size_of::<Header>() {
        return Err(Error::Truncated);
    }
    if !bytes.as_ptr().addr().is_multiple_of(4) {
        return Err(Error::Misaligned);
    }
    let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| Error::Misaligned)?;
    if header.magic != MAGIC {
        return Err(Error::Magic);
    }
    if header.version.get() != VERSION {
        return Err(Error::Version { found: header.version.get() });
    }
    let bytes = bytes.get(..header.length.get() as usize).ok_or(Error::Truncated)?;
    // A length below that of the header would leave the CRC without its bytes.
    let (Some(magic), Some(rest)) = (bytes.get(..4), bytes.get(8..)) else { return Err(Error::Truncated) };
    let mut digest = CRC.digest();
    digest.update(magic);
    digest.update(rest);
    let computed = digest.finalize();
    if computed != header.crc32.get() {
        return Err(Error::Crc { expected: header.crc32.get(), computed });
    }
    if header.reserved.get() != 0 || header.reserved2.iter().any(|word| word.get() != 0) {
        return Err(Error::ReservedNotZero);
    }
    Ok((header, bytes))
}

fn text(bytes: &[u8], span: Span) -> Result<&str, Error> {
    str::from_utf8(sections::view(bytes, span)?).map_err(|_| Error::Text)
}
