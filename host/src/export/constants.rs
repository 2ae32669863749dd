//! What a firmware wants to know of a model when it is compiled, as a Rust file.

use crate::twin::Twin;
use anyhow::Result;
use firmware::model::Element;
use std::fmt::Write;

/// `<name>.rs` for the portable `container`; `packed` are its forms for each core, of which the most demanding one counts.
pub fn constants(container: &[u8], packed: &[(String, Vec<u8>)]) -> Result<String> {
    let twin = Twin::new(container)?;
    let model = twin.model();
    let mut scratch_bytes = model.scratch_bytes();
    for (_, packed) in packed {
        scratch_bytes = scratch_bytes.max(Twin::new(packed)?.model().scratch_bytes());
    }
    let shape = |tensor: firmware::model::Tensor| {
        let shape = tensor.shape;
        format!("[{}, {}, {}]", shape.height, shape.width, shape.channels)
    };
    let (input, output) = (model.input(), model.output());
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut constant = |what: &str, name: &str, kind: &str, value: &str| {
        _ = write!(text, "\n/// {what}\npub const {name}: {kind} = {value};\n");
    };
    constant("Bytes of the arena, for `Interpreter::new`.", "ARENA_BYTES", "usize", &model.arena_bytes().to_string());
    constant(
        "Bytes of the scratch, on the core that needs most.",
        "SCRATCH_BYTES",
        "usize",
        &scratch_bytes.to_string(),
    );
    let input_shape = match input.element {
        Element::I16 => "Rows, columns and channels of the input, a token, for `Interpreter::set_token`.",
        _ => "Rows, columns and channels of the input.",
    };
    constant(input_shape, "INPUT_SHAPE", "[usize; 3]", &shape(input));
    constant("Real value of one step of the input.", "INPUT_SCALE", "f32", &format!("{:?}", input.scale));
    constant("The input's integer that stands for 0.", "INPUT_ZERO_POINT", "i8", &input.zero_point.to_string());
    constant("Rows, columns and channels of the answer.", "OUTPUT_SHAPE", "[usize; 3]", &shape(output));
    let labels: Vec<&str> = model.labels().collect();
    constant("Names of the answer's values.", "LABELS", &format!("[&str; {}]", labels.len()), &format!("{labels:?}"));
    Ok(format!("//! Model `{}`, as `host export` wrote it: what a firmware takes its memory by.\n{text}", model.name()))
}
