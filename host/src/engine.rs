//! The places where a model can run, behind one verb: samples in, outputs out.

use crate::artifacts::{Artifacts, read};
use crate::dataset::{Images, Samples};
use crate::device::{self, Board, Session};
use crate::export::pack_for;
use crate::inference::{self, Rows};
use crate::quantize::Affine;
use crate::recipe::Text;
use crate::runtime::Inference;
use crate::twin::{self, Twin, integers};
use anyhow::{Result, anyhow, ensure};
use indicatif::ProgressBar;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Mutex;

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

/// Runs every sample on `on` and returns its outputs; texts are read as `text` says. On a board, every one is also compared
/// with the twin's.
///
/// # Errors
/// Missing artifacts, a board that does not answer, or a board that differs from the twin.
pub fn outputs(
    on: On,
    artifacts: &Artifacts,
    samples: &Samples,
    text: Option<&Text>,
    progress: &ProgressBar,
) -> Result<Rows> {
    let onnx = |path: &Path| -> Result<Rows> {
        let mut model = Inference::from_bytes(&read(path)?)?;
        inference::rows(&mut model, samples, text, 0..samples.len(), |count| progress.inc(count as u64))
    };
    match on {
        On::Float => onnx(&artifacts.float_onnx()),
        On::Qdq => onnx(&artifacts.int8_onnx()),
        On::Int8 => {
            let container = read(&artifacts.container())?;
            let integers = twin::evaluate(&container, samples.images()?)?;
            progress.inc(samples.len() as u64);
            real(&container, &integers)
        }
        On::Board(board) => {
            let container = read(&artifacts.container())?;
            let images = samples.images()?;
            let integers = board_outputs(board, &container, images, progress)?;
            compare(board, &twin::evaluate(&container, images)?, &integers)?;
            real(&container, &integers)
        }
    }
}

/// Every image on the board; an emulated one is started once a core of this machine.
fn board_outputs(
    board: &'static Board,
    container: &[u8],
    images: &Images,
    progress: &ProgressBar,
) -> Result<Vec<Vec<i32>>> {
    let packed = pack_for(container, board.core.packing())?;
    let element = Twin::new(container)?.model().output().element;
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
                        let row = integers(&session.infer(&images.int8(index))?.output, element);
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

/// Integer outputs as the real numbers that they stand for.
fn real(container: &[u8], integers: &[Vec<i32>]) -> Result<Rows> {
    let output = Twin::new(container)?.model().output();
    let affine = Affine { scale: output.scale, zero_point: output.zero_point };
    let real = |row: &Vec<i32>| row.iter().map(|&value| affine.dequantize(value).into()).collect();
    Ok(integers.iter().map(real).collect())
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
