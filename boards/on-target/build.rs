//! Links for the board that `BOARD` names, and computes on the host what the tests compare with.

#[path = "../../firmware/tests/common/mod.rs"]
mod common;
#[path = "../../firmware/tests/common/golden.rs"]
mod golden;

use common::{TEXT, bytes, embeddings, model, text_model};
use firmware::kernels::packing;
use firmware::kernels::variants::VARIANTS;
use firmware::model::Model;
use firmware::plan::Interpreter;
use firmware::text::Reader;
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::var("OUT_DIR")?);
    let board = std::env::var("BOARD").unwrap_or("mps2-an386".into());
    let memory = Path::new("..").join(board).join("memory.x");
    std::fs::write(folder.join("memory.x"), without_model(&std::fs::read_to_string(&memory)?))?;
    println!("cargo::rerun-if-env-changed=BOARD");
    println!("cargo::rerun-if-changed={}", memory.display());
    println!("cargo::rerun-if-changed=../../firmware/tests/common");
    // The macro of the tests asks for it.
    println!("cargo::rustc-check-cfg=cfg(rust_analyzer)");
    println!("cargo::rustc-link-search={}", folder.display());
    for argument in ["-Tlink.x", "-Tembedded-test.x", "--nmagic"] {
        println!("cargo::rustc-link-arg-tests={argument}");
    }
    for variant in VARIANTS {
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(folder.join(format!("{name}.{}", variant.packing)), bytes);
        let as_bytes = |values: Vec<i8>| values.into_iter().map(|value| value as u8).collect::<Vec<_>>();
        let weights = golden::conv2d_weights();
        let conv = golden::conv2d(&weights);
        let fits = packing::conv2d_bytes(variant.packing, conv.output.channels, conv.input, conv.window, conv.pool);
        let packed = fits.map(|_| packing::conv2d(variant.packing, &weights, golden::CONV2D_SHAPE));
        write("conv2d", &as_bytes(packed.unwrap_or_default()))?;
        write("dense", &as_bytes(packing::dense(variant.packing, &golden::dense_weights(), golden::DENSE_SHAPE)))?;
        let container = model(variant.packing).finish();
        write("container", &container)?;
        write("trace", &trace(&container)?)?;
        for (form, table) in embeddings().into_iter().enumerate() {
            let container = text_model(variant.packing, table, true).finish();
            write(&format!("text{form}"), &container)?;
            write(&format!("answers{form}"), &answers(&container)?)?;
        }
    }
    Ok(())
}

/// A board's `memory.x` with the model's flash added to the program's: the tests are larger than the firmware of
/// small boards, and bring their own models.
fn without_model(memory: &str) -> String {
    let length = |line: &str| line.split("LENGTH =").nth(1).unwrap_or_default().trim().to_owned();
    let model = memory.lines().find(|line| line.trim_start().starts_with("MODEL")).map(length).unwrap_or_default();
    let lines = memory.lines().filter(|line| !line.contains("MODEL"));
    lines
        .map(|line| match line.trim_start().starts_with("FLASH") {
            true => format!("{line} + {model}\n"),
            false => format!("{line}\n"),
        })
        .collect()
}

/// What each op writes, one behind the other, for the input `bytes(7, …)`.
fn trace(container: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut arena, mut scratch) = ([0; 1000], [0; 1000]);
    let refused = |error: firmware::model::Error| error.to_string();
    let mut interpreter =
        Interpreter::new(Model::parse(container).map_err(refused)?, &mut arena, &mut scratch).map_err(refused)?;
    let input = interpreter.input_mut();
    input.copy_from_slice(&bytes(7, input.len()));
    let mut trace = Vec::new();
    for index in 0..interpreter.model().op_count() {
        interpreter.run_op(index).map_err(refused)?;
        let output = interpreter.model().op(index).map_err(refused)?.output;
        trace.extend_from_slice(interpreter.tensor_bytes(output).map_err(refused)?);
    }
    Ok(trace)
}

/// The text model's logits after each byte of its text.
fn answers(container: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut arena, mut scratch) = ([0; 100], [0; 100]);
    let refused = |error: firmware::model::Error| error.to_string();
    let model = Model::parse(container).map_err(refused)?;
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch).map_err(refused)?;
    let mut reader = Reader::new(&model).ok_or("the model reads no text")?;
    let mut answers = Vec::new();
    for length in 0..=TEXT.len() {
        reader.restart(&mut interpreter).map_err(refused)?;
        reader.push(&mut interpreter, &TEXT[..length]).map_err(refused)?;
        reader.answer(&mut interpreter).map_err(refused)?;
        answers.extend_from_slice(interpreter.tensor_bytes(model.output_index()).map_err(refused)?);
    }
    Ok(answers)
}
