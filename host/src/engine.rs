//! The places where a model can run, behind one verb: images in, logits out.

use crate::artifacts::{Artifacts, read};
use crate::dataset::Images;
use crate::device::{self, Board, Session};
use crate::export::pack_for;
use crate::runtime::Inference;
use crate::twin::{self, Twin};
use anyhow::{Context, Result, anyhow, ensure};
use indicatif::ProgressBar;
use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

/// Images that the float model takes at once.
const FLOAT_BATCH: usize = 256;

/// What `--on` names.
#[derive(Clone, Copy, Debug)]
pub enum On {
    /// The float model, in ONNX Runtime.
    Float,
    /// The int8 model on the twin: the firmware's arithmetic, on this machine.
    Int8,
    /// The int8 model in ONNX Runtime (QDQ).
    Qdq,
    /// The int8 model on a board.
    Board(&'static Board),
}

impl FromStr for On {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "float" => Self::Float,
            "int8" => Self::Int8,
            "qdq" => Self::Qdq,
            // One sentence: the command line shows no chain of causes.
            name => Self::Board(device::board(name).map_err(|error| anyhow!("{error}; or float, int8, qdq"))?),
        })
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float => f.write_str("float"),
            Self::Int8 => f.write_str("int8"),
            Self::Qdq => f.write_str("qdq"),
            Self::Board(board) => f.write_str(board.name),
        }
    }
}

/// One row of logits an image, as real numbers.
pub type Logits = Vec<Vec<f64>>;

/// Runs every image on `on` and returns its logits. On a board, every logit is also compared with the
/// twin's.
///
/// # Errors
/// Missing artifacts, a board that does not answer, or a board that differs from the twin.
pub fn logits(on: On, artifacts: &Artifacts, images: &Images, progress: &ProgressBar) -> Result<Logits> {
    match on {
        On::Float => onnx_logits(&read(&artifacts.float_onnx())?, images, progress),
        On::Qdq => onnx_logits(&read(&artifacts.int8_onnx())?, images, progress),
        On::Int8 => {
            let container = read(&artifacts.container())?;
            let integers = twin::evaluate(&container, images)?;
            progress.inc(images.len() as u64);
            real(&container, &integers)
        }
        On::Board(board) => {
            let container = read(&artifacts.container())?;
            let integers = board_logits(board, &container, images, progress)?;
            compare(board, &twin::evaluate(&container, images)?, &integers)?;
            real(&container, &integers)
        }
    }
}

/// Batches through ONNX Runtime; pixels become `pixel / 255`, NCHW.
fn onnx_logits(model: &[u8], images: &Images, progress: &ProgressBar) -> Result<Logits> {
    let mut inference = Inference::from_bytes(model)?;
    let mut rows = Vec::with_capacity(images.len());
    for start in (0..images.len()).step_by(FLOAT_BATCH) {
        let count = FLOAT_BATCH.min(images.len() - start);
        let input = images.nchw(start..start + count);
        let shape = [count, images.channels, images.height, images.width];
        let outputs = inference.run(&[("input", &shape, &input)])?;
        let (_, shape, values) = outputs.first().context("the model has no output")?;
        ensure!(shape.first() == Some(&count), "the model answered {shape:?} to a batch of {count}");
        rows.extend(values.chunks_exact(values.len() / count).map(|row| row.iter().map(|&v| f64::from(v)).collect()));
        progress.inc(count as u64);
    }
    Ok(rows)
}

/// Every image on the board; an emulated one is started once a core of this machine.
fn board_logits(
    board: &'static Board,
    container: &[u8],
    images: &Images,
    progress: &ProgressBar,
) -> Result<Vec<Vec<i32>>> {
    let packed = pack_for(container, board.core.packing())?;
    let workers = if board.is_emulated() { rayon::current_num_threads().min(images.len().div_ceil(64)) } else { 1 };
    let share = images.len().div_ceil(workers.max(1)).max(1);
    let rows = Mutex::new(vec![Vec::new(); images.len()]);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..images.len())
            .step_by(share)
            .map(|start| {
                let (packed, rows) = (&packed, &rows);
                scope.spawn(move || -> Result<()> {
                    let mut session = Session::open(board, packed)?;
                    for index in start..images.len().min(start + share) {
                        let row = words(&session.infer(&images.int8(index))?.output);
                        rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[index] = row;
                        progress.inc(1);
                    }
                    Ok(())
                })
            })
            .collect();
        // A worker that panics is a bug of ours; its message is already on stderr.
        threads.into_iter().try_for_each(|thread| thread.join().expect("a worker panicked"))
    })?;
    Ok(rows.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

fn compare(board: &Board, twin: &[Vec<i32>], device: &[Vec<i32>]) -> Result<()> {
    for (image, (expected, seen)) in twin.iter().zip(device).enumerate() {
        ensure!(
            expected == seen,
            "{} differs from the twin at image {image}: {seen:?} instead of {expected:?}; \
             `host verify --on {}` names the first layer",
            board.name,
            board.name
        );
    }
    Ok(())
}

/// An `i32` output tensor as the link carries it.
pub fn words(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks().0.iter().map(|&word| i32::from_le_bytes(word)).collect()
}

/// Integer logits times the container's scale.
fn real(container: &[u8], integers: &[Vec<i32>]) -> Result<Logits> {
    let scale = f64::from(Twin::new(container)?.model().output().scale);
    Ok(integers.iter().map(|row| row.iter().map(|&v| f64::from(v) * scale).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_place_lists_the_choices() {
        let error = format!("{:#}", "toaster".parse::<On>().unwrap_err());
        assert!(error.contains("int8") && error.contains("mps2-an386"), "{error}");
    }
}
