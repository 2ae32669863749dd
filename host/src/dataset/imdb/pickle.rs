//! Python's pickles, as far as NumPy's arrays of lists of whole numbers need them.
//!
//! A pickle is a program for a stack machine. Whatever is neither a number nor a list of them (the names of NumPy's
//! functions, what they are called with, what they return) has no value here; nothing is ever called. Crates that read
//! pickles leave out the state of objects that they do not know, and the lists are the state of the array.

use anyhow::{Context, Result, bail, ensure};

enum Value {
    /// Not of use: a name, a string, `None`, an object.
    Other,
    Number(u32),
    /// A list of whole numbers, maybe empty.
    Numbers(Vec<u32>),
    /// A list of at least one list.
    Lists(Vec<Vec<u32>>),
}

/// The one list of lists of whole numbers, 0 to 2³² − 1, that `bytes` describe; protocols 2 to 5.
pub fn lists(bytes: &[u8]) -> Result<Vec<Vec<u32>>> {
    let mut machine = Machine { bytes, stack: Vec::new(), marks: Vec::new() };
    loop {
        let position = bytes.len() - machine.bytes.len();
        match machine.step().with_context(|| format!("the pickle's byte {position}"))? {
            None => {}
            Some(Value::Lists(lists)) => return Ok(lists),
            Some(_) => bail!("the pickle holds no lists of whole numbers"),
        }
    }
}

struct Machine<'a> {
    /// What is still to be read.
    bytes: &'a [u8],
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
}

impl Machine<'_> {
    /// Runs one instruction; the last one gives the result. Names are those of Python's `pickletools`.
    fn step(&mut self) -> Result<Option<Value>> {
        let [code] = self.take()?;
        match code {
            b'.' => return self.pop().map(Some), // STOP
            // MARK
            b'(' => self.marks.push(self.stack.len()),
            // BININT1, BININT2, BININT
            b'K' => self.take::<1>().map(|[byte]| self.stack.push(Value::Number(byte.into())))?,
            b'M' => self.take().map(|bytes| self.stack.push(Value::Number(u16::from_le_bytes(bytes).into())))?,
            b'J' => {
                // Below 0 only in what describes the array.
                let number = u32::try_from(i32::from_le_bytes(self.take()?));
                self.stack.push(number.map_or(Value::Other, Value::Number));
            }
            b']' => self.stack.push(Value::Numbers(Vec::new())), // EMPTY_LIST
            // APPEND, APPENDS
            b'a' => self.below(1).and_then(|height| self.append(height))?,
            b'e' => self.mark().and_then(|height| self.append(height))?,
            // TUPLE, TUPLE1, TUPLE2, TUPLE3
            b't' => self.mark().and_then(|height| self.tuple(height))?,
            b'\x85'..=b'\x87' => self.below((code - 0x84).into()).and_then(|height| self.tuple(height))?,
            // REDUCE, NEWOBJ and STACK_GLOBAL make something of two values.
            b'R' | b'\x81' | b'\x93' => self.below(2).and_then(|height| self.tuple(height))?,
            // BUILD: an object takes on its state.
            b'b' => self.below(2).and_then(|height| self.tuple(height))?,
            // EMPTY_TUPLE, EMPTY_DICT, NONE, NEWTRUE, NEWFALSE
            b')' | b'}' | b'N' | b'\x88' | b'\x89' => self.stack.push(Value::Other),
            // GLOBAL: two lines.
            b'c' => {
                self.line()?;
                self.line()?;
                self.stack.push(Value::Other);
            }
            // BINGET, LONG_BINGET
            b'h' => self.skip(1).map(|()| self.stack.push(Value::Other))?,
            b'j' => self.skip(4).map(|()| self.stack.push(Value::Other))?,
            // Strings and bytes behind their lengths.
            b'U' | b'C' | b'\x8c' => self.take::<1>().and_then(|[length]| self.string(length.into()))?,
            b'T' | b'X' | b'B' => self.take().and_then(|length| self.string(u32::from_le_bytes(length).into()))?,
            // PROTO, BINPUT, LONG_BINPUT, MEMOIZE, FRAME
            b'\x80' | b'q' => self.skip(1)?,
            b'r' => self.skip(4)?,
            b'\x94' => {}
            b'\x95' => self.skip(8)?,
            _ => bail!("the instruction {code:#04x} is not one that arrays of lists need"),
        }
        Ok(None)
    }

    /// Puts everything above `height` into the list that stands there.
    fn append(&mut self, height: usize) -> Result<()> {
        ensure!((1..=self.stack.len()).contains(&height), "the stack is too low");
        let (lists, items) = self.stack.split_at_mut(height);
        let list = &mut lists[height - 1];
        for item in items {
            match (&mut *list, std::mem::replace(item, Value::Other)) {
                (Value::Numbers(numbers), Value::Number(number)) => numbers.push(number),
                (Value::Lists(lists), Value::Numbers(numbers)) => lists.push(numbers),
                (Value::Numbers(empty), Value::Numbers(first)) if empty.is_empty() => *list = Value::Lists(vec![first]),
                _ => bail!("a list holds something else than whole numbers or lists of them"),
            }
        }
        self.stack.truncate(height);
        Ok(())
    }

    /// Makes one value of everything above `height`: the lists, if they are among it.
    fn tuple(&mut self, height: usize) -> Result<()> {
        ensure!(height <= self.stack.len(), "the stack is too low");
        let lists = self.stack.drain(height..).find(|value| matches!(value, Value::Lists(_)));
        self.stack.push(lists.unwrap_or(Value::Other));
        Ok(())
    }

    fn mark(&mut self) -> Result<usize> {
        self.marks.pop().context("there is no mark")
    }

    /// Height of the stack below its upper `count` values.
    fn below(&self, count: usize) -> Result<usize> {
        self.stack.len().checked_sub(count).context("the stack is too low")
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().context("the stack is empty")
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk().context("the pickle is truncated")?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn skip(&mut self, count: u64) -> Result<()> {
        let rest = usize::try_from(count).ok().and_then(|count| self.bytes.get(count..));
        self.bytes = rest.context("the pickle is truncated")?;
        Ok(())
    }

    fn string(&mut self, length: u64) -> Result<()> {
        self.skip(length)?;
        self.stack.push(Value::Other);
        Ok(())
    }

    fn line(&mut self) -> Result<()> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n').context("the pickle is truncated")?;
        self.skip(end as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[[1, 300, 70000], [5]]` by Python's `pickle.dumps` with protocol 2.
    const PLAIN: &[u8] = b"\x80\x02]q\0(]q\x01(K\x01M,\x01Jp\x11\x01\0e]q\x02K\x05ae.";

    #[test]
    fn numbers_of_every_size_are_read() {
        assert_eq!(lists(PLAIN).unwrap(), [vec![1, 300, 70_000], vec![5]]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        for length in 0..PLAIN.len() {
            assert!(lists(&PLAIN[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn damage_is_an_error_or_other_lists_and_never_a_panic() {
        for bit in 0..8 * PLAIN.len() {
            let mut damaged = PLAIN.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = lists(&damaged);
        }
    }

    #[test]
    fn what_is_not_a_list_of_lists_is_refused() {
        let refused = |bytes: &[u8], reason: &str| {
            let error = format!("{:#}", lists(bytes).unwrap_err());
            assert!(error.contains(reason), "{error}");
        };
        refused(b"\x80\x02K\x01.", "holds no lists of whole numbers");
        refused(b"\x80\x02](K\x01Ne.", "something else than whole numbers");
        refused(b"\x80\x02]e.", "byte 3: there is no mark");
        refused(b"\x80\x02\x85.", "stack is too low");
        refused(b"\x80\x02cos\nsystem\n\x8c\x02ls\x85R.", "holds no lists");
        refused(b"\x80\x02\x90.", "instruction 0x90");
    }
}
