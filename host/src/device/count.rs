//! Executed instructions of an inference.
//!
//! The emulator lets virtual time pass by the instruction: each takes
//! [`INSTRUCTION_NS`](super::emulator::INSTRUCTION_NS), so a timer of the board counts instructions.
//! Two readings, floored to ticks of at most half an instruction, differ from the truth by less than
//! half an instruction, which rounding removes. Instructions are not cycles: QEMU models no pipeline.

use super::session::Session;
use anyhow::{Context, Result};

/// Executed instructions, the reading of the timer included (a few instructions each).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Of a whole inference.
    pub total: u64,
    /// Of each op run alone, in their order.
    pub ops: Vec<u64>,
}

impl Session {
    /// Counts the instructions of one inference on `input`, which are the same every time.
    ///
    /// Fails on a real board, whose clock counts time.
    pub fn count(&mut self, input: &[i8]) -> Result<Counts> {
        let board = self.board().name;
        let real = || format!("{board} is attached, and only an emulated board counts instructions");
        let answer = self.infer(input)?;
        let total = self.instructions(answer.ticks).with_context(real)?;
        self.write_input(input)?;
        let ops = (0..self.op_count())
            .map(|op| {
                let ticks = self.run(op, 1)?;
                self.instructions(ticks).with_context(real)
            })
            .collect::<Result<_>>()?;
        Ok(Counts { total, ops })
    }
}
