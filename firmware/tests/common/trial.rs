//! A container that may be anything.

use firmware::model::Model;
use firmware::plan::Interpreter;
use firmware::text::Reader;

/// Parses and, where that asks for no more memory and work than this, runs; says whether it ran.
pub fn parses_and_runs(container: &[u8], memory_bytes: usize, macs: u64) -> bool {
    let Ok(model) = Model::parse(container) else { return false };
    let ops = (0..model.op_count()).map(|index| model.op(index).unwrap());
    if model.arena_bytes() + model.scratch_bytes() > memory_bytes || ops.map(|op| op.macs()).sum::<u64>() > macs {
        return false;
    }
    let [mut arena, mut scratch] = [model.arena_bytes(), model.scratch_bytes()].map(|bytes| vec![0u32; bytes / 4]);
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch).unwrap();
    interpreter.run().unwrap();
    if let Some(mut reader) = Reader::new(&model) {
        reader.push(&mut interpreter, b"Not a good film").unwrap();
        reader.answer(&mut interpreter).unwrap();
    }
    true
}
