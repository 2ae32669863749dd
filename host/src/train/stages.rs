//! The stages of a run: the training proper, and what a recipe lets follow.

use super::initial;
use crate::dataset::word_vectors::word_vectors;
use crate::dataset::{Samples, token};
use crate::graph::{Layer, Network};
use crate::quantize::{gate_basis, product_quantize};
use crate::recipe::{Recipe, Storage, Text, Vectors};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Values of parameters by their names.
pub type Weights = HashMap<String, Vec<f32>>;

/// Where an embedding's table is found among the weights, and its codebooks.
const TABLE: &str = "embedding1.weight";
const CODEBOOKS: &str = "embedding1.codebooks";
/// Weights of the gates that read the embedding.
const GATES: &str = "lstm1.weight";

/// Standard deviation of the values of word vectors at the start. The smaller they are, the farther the optimizer's steps, whose
/// length does not depend on that, carry them from what they say: with 0.1, the net soon knows its training texts by heart.
const SPREAD: f32 = 1.0;

/// One stage.
pub struct Stage {
    /// The recipe with what the stage changes.
    pub recipe: Recipe,
    pub directory: PathBuf,
    /// Whether the embedding becomes, or is, codes.
    pub codes: bool,
}

impl Stage {
    pub fn checkpoint(&self) -> PathBuf {
        self.directory.join("checkpoint")
    }
}

/// The stages of `recipe`, at least one; the first lies in `directory`, the others in folders there.
pub fn of(recipe: &Recipe, directory: &Path) -> Vec<Stage> {
    // Not part of what a stage is: those that follow, and what is made of the finished net, may change without it.
    let mut next = Recipe { stages: Vec::new(), ..recipe.clone() };
    next.training.temperature = false;
    let mut stages = vec![Stage { recipe: next.clone(), directory: directory.to_owned(), codes: false }];
    for (index, stage) in recipe.stages.iter().enumerate() {
        next.training.epochs = stage.epochs;
        next.training.optimizer = next.training.optimizer.at(stage.rate);
        next.training.seed = recipe.training.seed.wrapping_add(index as u64 + 1);
        for layer in &mut next.layers {
            if let (Layer::Lstm { pooling, .. }, Some(new)) = (layer, stage.pooling) {
                *pooling = new;
            }
        }
        if let Some(text) = &mut next.text {
            text.span = stage.span.unwrap_or(text.span);
            text.part = stage.part.unwrap_or(text.part);
        }
        let codes = stage.codes || stages.iter().any(|stage| stage.codes);
        let directory = directory.join(format!("stage-{}", index + 2));
        stages.push(Stage { recipe: next.clone(), directory, codes });
    }
    stages
}

/// Removes what a run before has left of `stages`.
pub fn forget(stages: &[Stage]) -> Result<()> {
    for stage in stages.iter().filter(|stage| stage.directory.exists()) {
        std::fs::remove_dir_all(&stage.directory)
            .with_context(|| format!("cannot remove {}", stage.directory.display()))?;
    }
    Ok(())
}

/// What a stage starts from.
pub struct Start {
    /// Codes of the embedding [vocabulary][bytes], where it has some.
    pub codes: Option<Vec<u8>>,
    given: Weights,
}

impl Start {
    /// Values of all parameters: those given, the others drawn.
    pub fn parameters(&self, network: &Network, seed: u64) -> Vec<Vec<f32>> {
        let parameters = network.parameters().iter().zip(initial(network, seed));
        parameters.map(|(parameter, drawn)| self.given.get(&parameter.name).cloned().unwrap_or(drawn)).collect()
    }
}

/// What `stage` starts from, after a stage that ended with `weights`, or with those given from elsewhere.
pub fn start(stage: &Stage, data: &Samples, samples: usize, weights: Option<&Weights>) -> Result<Start> {
    let mut start = Start { codes: None, given: weights.cloned().unwrap_or_default() };
    let (Some(text), Samples::Texts(texts)) = (&stage.recipe.text, data) else { return Ok(start) };
    let tokens = texts.ranks[..samples].iter().map(|ranks| ranks.iter().map(|&rank| token(rank, text.vocabulary)));
    if weights.is_none() && text.vectors == Vectors::Ppmi {
        let tokens: Vec<Vec<u16>> = tokens.map(Iterator::collect).collect();
        let vectors = vectors(stage, text, &tokens);
        start.given.insert(TABLE.to_owned(), vectors);
    } else if let (true, Storage::Codes(bytes)) = (stage.codes, text.storage)
        && let Some(mut table) = start.given.remove(TABLE)
    {
        let mut counts = vec![0.0_f32; text.vocabulary];
        tokens.flatten().for_each(|token| counts[usize::from(token)] += 1.0);
        // Between all words alike and each as often as it is read: errors on rare words must stay small, too.
        let importance: Vec<f32> = counts.iter().map(|count| count.powf(0.75)).collect();
        let (rows, seed) = (text.vocabulary, stage.recipe.training.seed);
        let dimensions = table.len() / rows;
        // Codes that are there already, from a stage before, are found again without a change.
        let has_codes = start.given.contains_key(CODEBOOKS);
        if let (false, Some(gates)) = (has_codes, start.given.get_mut(GATES)) {
            gate_basis::change(&mut table, gates, dimensions, &importance, bytes);
        }
        let codebook = product_quantize(&table, rows, dimensions, bytes, &importance, seed);
        start.codes = Some(codebook.codes);
        start.given.insert(CODEBOOKS.to_owned(), codebook.centroids);
    }
    Ok(start)
}

fn vectors(stage: &Stage, text: &Text, tokens: &[Vec<u16>]) -> Vec<f32> {
    let dimensions = stage.recipe.embedding_dimensions().unwrap_or(1);
    let samples: Vec<&[u16]> = tokens.iter().map(Vec::as_slice).collect();
    let mut vectors = word_vectors(&samples, text.vocabulary, dimensions, stage.recipe.training.seed);
    let square = vectors.iter().map(|value| f64::from(value * value)).sum::<f64>() / vectors.len() as f64;
    let factor = if square > 0.0 { SPREAD / square.sqrt() as f32 } else { 0.0 };
    vectors.iter_mut().for_each(|value| *value *= factor);
    vectors
}
