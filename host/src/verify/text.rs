//! A model that reads text, compared word by word.
//!
//! Ways are compared on the words that the model's window keeps, so that each step of one is a step of the other.

use super::difference::Sums;
use super::{Difference, Layer};
use crate::dataset::{Texts, tokens};
use crate::device::Session;
use crate::export::text::Sentiment;
use crate::quantize::Affine;
use crate::recipe::Text;
use crate::runtime::Inference;
use crate::twin::{Twin, integers, pieces};
use anyhow::{Context, Result, anyhow, ensure};
use firmware::text::{is_separator, words};
use tract_onnx::prelude::*;

/// What is compared after each word: the container's tensors from the word's vector on.
const LAYERS: [&str; 3] = ["embedding", "lstm cell", "lstm state"];

/// Texts, cut to what the model reads of them.
pub struct Cut {
    texts: Vec<Vec<u8>>,
    tokens: Vec<Vec<u16>>,
}

impl Cut {
    /// The last words of `texts`, as many as `text` says; texts without words are left out.
    pub fn new(texts: &Texts, text: &Text) -> Self {
        let mut cut = Cut { texts: Vec::new(), tokens: Vec::new() };
        for (content, ranks) in texts.texts.iter().zip(&texts.ranks) {
            let tokens = tokens(ranks, text.vocabulary, text.window);
            let spoken: Vec<&[u8]> =
                pieces(content.as_bytes()).filter(|piece| !piece.iter().copied().all(is_separator)).collect();
            if tokens.is_empty() || words(content.as_bytes()).count() != ranks.len() {
                continue;
            }
            cut.texts.push(spoken[spoken.len() - tokens.len()..].concat());
            cut.tokens.push(tokens);
        }
        cut
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The twin against the float recurrence after each word, and the logits at the end of each text.
    pub fn twin(&self, twin: &mut Twin, model: &Sentiment) -> Result<Vec<Layer>> {
        let float = model.float();
        let mut sums = [Sums::default(); LAYERS.len() + 1];
        for (text, tokens) in self.texts.iter().zip(&self.tokens) {
            let mut state = float.start();
            let (mut tokens, mut logit) = (tokens.iter(), Vec::new());
            twin.read_pieces(text, |_, _, interpreter| {
                let token = *tokens.next().context("the twin reads more words than the data set has")?;
                float.step(&mut state, model.row(token));
                let real = |index: u16| -> Result<Vec<f32>> {
                    let tensor = interpreter.model().tensor(index).map_err(|error| anyhow!("{error}"))?;
                    let bytes = interpreter.tensor_bytes(index).map_err(|error| anyhow!("{error}"))?;
                    let affine = Affine { scale: tensor.scale, zero_point: tensor.zero_point };
                    Ok(integers(bytes, tensor.element).into_iter().map(|value| affine.dequantize(value)).collect())
                };
                let float = [model.row(token), &state.cell, &state.hidden];
                for ((sums, reference), index) in sums.iter_mut().zip(float).zip(1..) {
                    sums.add(reference, &real(index)?);
                }
                logit = real(interpreter.model().output_index())?;
                Ok(())
            })?;
            sums[LAYERS.len()].add(&[model.logit(&state.hidden)], &logit);
        }
        let names = LAYERS.into_iter().chain(["logit"]);
        Ok(names.zip(sums).map(|(name, sums)| Layer { name: name.into(), difference: sums.difference() }).collect())
    }

    /// The logits of the ONNX model `onnx` in ONNX Runtime.
    pub fn onnx_runtime(&self, onnx: &[u8]) -> Result<Vec<f32>> {
        let mut model = Inference::from_bytes(onnx)?;
        let answer = |tokens: &Vec<u16>| {
            let tokens: Vec<i64> = tokens.iter().map(|&token| token.into()).collect();
            let outputs = model.run(&[("tokens", &[1, tokens.len()], &tokens)])?;
            logit(&outputs.first().context("the model has no output")?.2)
        };
        self.tokens.iter().map(answer).collect()
    }

    /// The logits of the float model `onnx` in tract.
    pub fn tract(&self, onnx: &[u8]) -> Result<Vec<f32>> {
        let model = tract_onnx::onnx().model_for_read(&mut &*onnx)?;
        let answer = |tokens: &Vec<u16>| {
            let fact = i64::fact([1, tokens.len()]);
            let model =
                model.clone().with_input_fact(0, fact.into())?.into_typed()?.into_decluttered()?.into_runnable()?;
            let tokens: Vec<i64> = tokens.iter().map(|&token| token.into()).collect();
            let tokens = tract_ndarray::Array2::from_shape_vec((1, tokens.len()), tokens)?;
            let answers = model.run(tvec!(Tensor::from(tokens).into()))?;
            logit(answers.first().context("the model has no output")?.view().as_slice::<f32>()?)
        };
        self.tokens.iter().map(answer).collect()
    }

    /// Reads every text on the board of `session` and stops at the first word after which a byte is not the twin's.
    pub fn board(&self, session: &mut Session, twin: &mut Twin) -> Result<()> {
        for (index, text) in self.texts.iter().enumerate() {
            session.restart_text()?;
            let board = session.board().name;
            let mut word = 0;
            twin.read_pieces(text, |piece, _, interpreter| {
                session.push_text(piece)?;
                session.answer_text()?;
                for tensor in 1..=interpreter.model().output_index() {
                    let expected = interpreter.tensor_bytes(tensor).map_err(|error| anyhow!("{error}"))?;
                    let seen = session.read(tensor, expected.len())?;
                    let differs = (0..expected.len()).find(|&byte| seen[byte] != expected[byte]);
                    if let Some(byte) = differs {
                        anyhow::bail!(
                            "{board} first differs from the twin at sample {index}, word {word}, tensor {tensor}, byte {byte}: {} \
                             instead of {}",
                            seen[byte],
                            expected[byte]
                        );
                    }
                }
                word += 1;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// How far logits lie from others.
pub fn difference(reference: &[f32], other: &[f32]) -> Difference {
    let mut sums = Sums::default();
    sums.add(reference, other);
    sums.difference()
}

/// From a probability back to its logarithmic odds.
fn logit(output: &[f32]) -> Result<f32> {
    ensure!(output.len() == 1, "the model answers with {} values instead of one", output.len());
    Ok((output[0] / (1.0 - output[0])).ln())
}
