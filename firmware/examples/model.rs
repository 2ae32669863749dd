//! A model in a firmware, from the files that `host export` writes: its memory is that of its constants, so that a model
//! that does not fit does not link. `cargo run -p firmware --example model` runs it here.

use firmware::{argmax, model::Model, plan::Interpreter};

#[path = "../../models/mnist-cnn/mnist-cnn.rs"]
#[allow(dead_code, reason = "not every program asks for the scale")]
mod digits;

/// Sections of a container are aligned to 16 bytes, as they are in flash.
#[repr(align(16))]
struct Aligned<T>(T);

static CONTAINER: Aligned<[u8; include_bytes!("../../models/mnist-cnn/mnist-cnn.thm").len()]> =
    Aligned(*include_bytes!("../../models/mnist-cnn/mnist-cnn.thm"));

fn main() -> Result<(), firmware::model::Error> {
    let (mut arena, mut scratch) = ([0; digits::ARENA_BYTES / 4], [0; digits::SCRATCH_BYTES / 4]);
    let mut interpreter = Interpreter::new(Model::parse(&CONTAINER.0)?, &mut arena, &mut scratch)?;
    // A blank page: pixels of 0, which the integer −128 stands for.
    interpreter.input_mut().fill(digits::INPUT_ZERO_POINT);
    interpreter.run()?;
    println!("{:?} values in, most like a {}", digits::INPUT_SHAPE, digits::LABELS[argmax(interpreter.output_i32())]);
    Ok(())
}
