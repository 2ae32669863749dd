//! The places where a model can run, behind one verb: samples in, outputs out.

use crate::artifacts::{Artifacts, read};
use crate::dataset::Samples;
use crate::device::{self, Board, Session};
use crate::export::pack_for;
use crate::frames::{Glance, Look, Picture};
use crate::inference::{self, Rows};
use crate::quantize::Affine;
use crate::recipe::Text;
use crate::runtime::Inference;
use crate::twin::{self, Reading, Twin, integers};
use anyhow::{Result, anyhow, bail, ensure};
use firmware::model::Tensor;
use indicatif::ProgressBar;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

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
            let output = output(&container)?;
            let rows = match samples {
                Samples::Images(images) => real(output, &twin::evaluate(&container, images)?),
                Samples::Texts(texts) => probabilities(output, &twin::read(&container, &texts.texts)?),
                Samples::Vectors(_) => bail!("vectors are trained on, not evaluated"),
            };
            progress.inc(samples.len() as u64);
            Ok(rows)
        }
        On::Board(board) => {
            let container = read(&artifacts.container())?;
            let output = output(&container)?;
            match samples {
                Samples::Images(images) => {
                    let infer = |session: &mut Session, index: usize| {
                        Ok(integers(&session.infer(&images.int8(index))?.output, output.element))
                    };
                    let answers = on_board(board, &container, samples.len(), infer, progress)?;
                    compare(board, &twin::evaluate(&container, images)?, &answers)?;
                    Ok(real(output, &answers))
                }
                Samples::Texts(texts) => {
                    let read = |session: &mut Session, index: usize| session.read_text(texts.texts[index].as_bytes());
                    let answers = on_board(board, &container, samples.len(), read, progress)?;
                    compare(board, &twin::read(&container, &texts.texts)?, &answers)?;
                    Ok(probabilities(output, &answers))
                }
                Samples::Vectors(_) => bail!("vectors are trained on, not evaluated"),
            }
        }
    }
}

/// What was seen in frames.
#[derive(Debug)]
pub struct Looks<L> {
    /// One a picture.
    pub looks: Vec<L>,
    /// Executed instructions from each frame to its answer, on an emulated board.
    pub instructions: Option<Vec<u64>>,
}

/// What is seen in each of `pictures`, of which up to `most` regions are read; on a board, also compared with the twin, down to
/// the memory in which it was looked at.
///
/// # Errors
/// As [`outputs`]; a place that knows no frames.
pub fn looks(on: On, container: &[u8], pictures: &[Picture], most: u8, progress: &ProgressBar) -> Result<Looks<Look>> {
    let look = |session: &mut Session, index: usize| {
        let (look, ticks) = session.look(&pictures[index], most)?;
        Ok((look, vec![session.instructions(ticks)]))
    };
    seen(on, container, twin::look(container, pictures, most)?, look, progress)
}

/// What a camera's reader sees in each of `times` frames that are all one of `pictures`; on a board, also compared with the twin.
///
/// # Errors
/// As [`looks`].
pub fn watches(
    on: On,
    container: &[u8],
    pictures: &[Picture],
    times: usize,
    progress: &ProgressBar,
) -> Result<Looks<Vec<Glance>>> {
    let watch = |session: &mut Session, index: usize| {
        let glances = session.watch(&pictures[index], times)?;
        Ok(glances.into_iter().map(|(glance, ticks)| (glance, session.instructions(ticks))).unzip())
    };
    seen(on, container, twin::watch(container, pictures, times)?, watch, progress)
}

/// What the `twin` has seen, after a comparison with what a board sees.
fn seen<L: PartialEq + fmt::Debug + Send>(
    on: On,
    container: &[u8],
    twin: Vec<L>,
    look: impl Fn(&mut Session, usize) -> Result<(L, Vec<Option<u64>>)> + Sync,
    progress: &ProgressBar,
) -> Result<Looks<L>> {
    match on {
        On::Float | On::Qdq => bail!("frames are read in int8: with `--on int8` or on a board"),
        On::Int8 => Ok(Looks { looks: twin, instructions: None }),
        On::Board(board) => {
            let looks = on_board(board, container, twin.len(), look, progress)?;
            let (looks, instructions): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
            compare(board, &twin, &looks)?;
            Ok(Looks { looks, instructions: instructions.into_iter().flatten().collect() })
        }
    }
}

/// `answer` for each of `0..count` on the board; an emulated one is started once a core of this machine.
fn on_board<A: Send>(
    board: &'static Board,
    container: &[u8],
    count: usize,
    answer: impl Fn(&mut Session, usize) -> Result<A> + Sync,
    progress: &ProgressBar,
) -> Result<Vec<A>> {
    let packed = pack_for(container, board.core.packing())?;
    let workers = if board.is_emulated() { rayon::current_num_threads().min(count.div_ceil(64)) } else { 1 };
    let share = count.div_ceil(workers.max(1)).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .step_by(share)
            .map(|start| {
                let (packed, answer) = (&packed, &answer);
                scope.spawn(move || -> Result<Vec<A>> {
                    let mut session = Session::open(board, packed)?;
                    let range = start..count.min(start + share);
                    range.map(|index| answer(&mut session, index).inspect(|_| progress.inc(1))).collect()
                })
            })
            .collect();
        let mut answers = Vec::with_capacity(count);
        for thread in threads {
            // A worker that panics is a bug of ours; its message is already on stderr.
            answers.extend(thread.join().expect("a worker panicked")?);
        }
        Ok(answers)
    })
}

fn compare<A: PartialEq + fmt::Debug>(board: &Board, twin: &[A], device: &[A]) -> Result<()> {
    for (sample, (expected, seen)) in twin.iter().zip(device).enumerate() {
        ensure!(
            expected == seen,
            "{} differs from the twin at sample {sample}: {seen:?} instead of {expected:?}; \
             `host verify --on {}` names the first layer",
            board.name,
            board.name
        );
    }
    Ok(())
}

/// The probability of the second class, of a model that reads text and answers with one logit.
pub fn probabilities(output: Tensor, readings: &[Reading]) -> Rows {
    let integers: Vec<_> = readings.iter().map(|reading| reading.output.clone()).collect();
    let logits = real(output, &integers);
    logits.into_iter().map(|row| row.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()).collect()
}

/// The tensor that holds a model's answer.
pub fn output(container: &[u8]) -> Result<Tensor> {
    Ok(Twin::new(container)?.model().output())
}

/// Integer outputs as the real numbers that they stand for.
fn real(output: Tensor, integers: &[Vec<i32>]) -> Rows {
    let affine = Affine { scale: output.scale, zero_point: output.zero_point };
    let real = |row: &Vec<i32>| row.iter().map(|&value| affine.dequantize(value).into()).collect();
    integers.iter().map(real).collect()
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
