//! The firmware crate on this machine, with the portable kernels.

use anyhow::Result;
use firmware::model::Model;
use firmware::plan::Interpreter;

/// Every op's output, byte for byte, for one `input`.
pub fn outputs(container: &[u8], input: &[i8]) -> Result<Vec<Vec<u8>>> {
    // Containers are read in place, as words.
    let mut aligned = vec![0u128; container.len().div_ceil(16)];
    let bytes = zerocopy::IntoBytes::as_mut_bytes(aligned.as_mut_slice());
    bytes[..container.len()].copy_from_slice(container);
    let model = Model::parse(bytes)?;
    let (mut arena, mut scratch) = (vec![0; model.arena_bytes() / 4], vec![0; model.scratch_bytes().div_ceil(4)]);
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch)?;
    interpreter.input_mut().copy_from_slice(input);
    (0..model.op_count())
        .map(|op| {
            interpreter.run_op(op)?;
            Ok(interpreter.tensor_bytes(model.op(op)?.output)?.to_vec())
        })
        .collect()
}
