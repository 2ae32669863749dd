//! Reads the digit before a camera, and says in the log what it is when that changes.

use crate::model_region;
use firmware::camera::reader::Reader;
use firmware::camera::{FrameSource, SIZE};
use firmware::model::Model;
use firmware::plan::Interpreter;
use firmware::vision::vote::Rule;
use firmware::vision::{Finder, Frame, scratch_words, suits};

/// Words of [`Memory::finder`].
pub const FINDER_WORDS: usize = scratch_words(SIZE[0], SIZE[1]);

/// What this needs beside the camera; what lies in it does not matter.
pub struct Memory<'m> {
    /// For a frame: [`firmware::camera::frame_words`].
    pub frame: &'m mut [u32],
    /// To look for digits in it: [`FINDER_WORDS`].
    pub finder: &'m mut [u32],
    /// For the model's activations.
    pub arena: &'m mut [u32],
    /// For what an op of the model needs beside them.
    pub scratch: &'m mut [u32],
}

/// Watches for ever, with the model in flash, and gives each frame to `show`, with the answer of all frames so far. Stops
/// where the model is none that reads digits.
pub fn watch<C: FrameSource<Error: defmt::Format>>(
    mut camera: C,
    memory: Memory<'_>,
    rule: Rule,
    mut show: impl FnMut(&Frame<'_>, Option<usize>),
) -> ! {
    let mut interpreter = Model::parse(model_region())
        .and_then(|model| Interpreter::new(model, memory.arena, memory.scratch))
        .unwrap_or_else(|error| defmt::panic!("no model: {}", error));
    if !suits(interpreter.model()) {
        defmt::panic!("the model does not read digits of 28×28 pixels");
    }
    let mut finder = Finder::new(memory.finder);
    let mut reader = Reader::new(rule);
    loop {
        let before = reader.vote().answer();
        let seen = camera.capture(memory.frame).map(|frame| {
            let answer = reader.see(&frame, &mut finder, &mut interpreter);
            show(&frame, reader.vote().answer());
            answer
        });
        match seen {
            Ok(Ok(answer)) if answer == before => (),
            Ok(Ok(Some(digit))) => defmt::info!("{=usize}, belief {=u32} of 65536", digit, reader.vote().belief(digit)),
            Ok(Ok(None)) => defmt::info!("no digit"),
            Ok(Err(error)) => defmt::error!("a frame without a vote: {}", error),
            Err(error) => defmt::warn!("no frame: {}", error),
        }
    }
}
