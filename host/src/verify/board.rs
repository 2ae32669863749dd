//! The twin and a board, layer by layer.

use crate::device::{Board, Session};
use crate::export::pack_for;
use crate::twin::{Twin, integers};
use anyhow::{Result, anyhow};
use firmware::model::{Shape, Tensor};
use std::fmt;

/// A layer of which a board gave other values than the twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Row, column and channel of the first wrong value, what it is on the board, and what it should be.
    place: [usize; 3],
    seen: i32,
    expected: i32,
    wrong: usize,
    values: usize,
}

impl Deviation {
    /// Of the bytes that `tensor` consists of; none where all are as `expected`.
    pub fn of(tensor: &Tensor, seen: &[u8], expected: &[u8]) -> Option<Self> {
        let [seen, expected] = [seen, expected].map(|bytes| integers(bytes, tensor.element));
        let mut wrong = (0..expected.len()).filter(|&index| seen[index] != expected[index]);
        let first = wrong.next()?;
        let Shape { width, channels, .. } = tensor.shape;
        Some(Self {
            place: [first / channels / width, first / channels % width, first % channels],
            seen: seen[first],
            expected: expected[first],
            wrong: 1 + wrong.count(),
            values: expected.len(),
        })
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: [row, column, channel], seen, expected, wrong, values } = self;
        write!(
            f,
            "row {row}, column {column}, channel {channel}: {seen} instead of {expected}; {wrong} of {values} values differ"
        )
    }
}

/// Runs op after op on `board`, which has to give what the twin of `container` does for each of `inputs`.
///
/// # Errors
/// The first layer that differs, with its name out of `names`, one a tensor, and where in it; and what keeps the board from running.
pub fn equal(board: &'static Board, container: &[u8], inputs: &[Vec<i8>], names: &[&str]) -> Result<()> {
    let mut session = Session::open(board, &pack_for(container, board.core.packing())?)?;
    let mut twin = Twin::new(container)?;
    for (sample, input) in inputs.iter().enumerate() {
        let bytes = twin.trace(input)?;
        session.write_input(input)?;
        for op in 0..session.op_count() {
            session.run(op, 1)?;
            let number = twin.model().op(op).map_err(|error| anyhow!("{error}"))?.output;
            let output = usize::from(number);
            let (Some(tensor), expected) = (twin.model().tensors().nth(output), &bytes[output]) else { continue };
            let seen = session.read(number, expected.len())?;
            if let Some(deviation) = Deviation::of(&tensor, &seen, expected) {
                let layer = names.get(output).copied().unwrap_or("a layer");
                anyhow::bail!(
                    "{} first differs from the twin at sample {sample}, op {op} ({layer}), {deviation}",
                    board.name
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use firmware::model::Element;

    #[test]
    fn the_first_wrong_value_is_named_with_its_place() {
        let shape = Shape { height: 2, width: 3, channels: 4 };
        let tensor = Tensor { offset: 0, shape, element: Element::I8, zero_point: 0, scale: 1.0 };
        let expected: Vec<u8> = (0..24).collect();
        assert_eq!(Deviation::of(&tensor, &expected, &expected), None);
        let mut seen = expected.clone();
        (seen[18], seen[23]) = (0xff, 0);
        let deviation = Deviation::of(&tensor, &seen, &expected).unwrap();
        assert_eq!(deviation.to_string(), "row 1, column 1, channel 2: -1 instead of 18; 2 of 24 values differ");
        let logits = Tensor { element: Element::I32, shape: Shape { height: 1, width: 1, channels: 6 }, ..tensor };
        assert_eq!(Deviation::of(&logits, &seen, &expected).unwrap().place, [0, 0, 4]);
    }
}
