//! A net whose convolutions come from elsewhere and stay as they are: only what stands behind them is trained, on what they make
//! of the images, which is computed once.
//!
//! ```text
//! weights ──pretrained──▶ convolutions ──▶ features of all images, kept in runs/<name>/features-…
//!                              │                    └──▶ head, trained in runs/<name>/head
//!                              └──────────── both joined ────────────┘ ──▶ runs/<name>/<name>.onnx
//! ```

use super::checkpoint::write_atomically;
use super::{Options, Summary, init, pretrained};
use crate::dataset::{Dataset, Images, Samples, Vectors};
use crate::graph::{Input, Layer, Network};
use crate::inference::rows;
use crate::recipe::{Augmentation, Recipe};
use crate::runtime::Inference;
use crate::setup;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Trains what stands behind the convolutions, whose weights are in `path`.
///
/// # Errors
/// Those of [`pretrained::load`] and of training; a recipe without convolutions in front of its first dense layer.
pub fn run(options: &Options<'_>, path: &Path) -> Result<Summary> {
    let (recipe, data) = (options.recipe, options.dataset);
    let images = data.train.images()?;
    let input = Input::Image([images.channels, images.height, images.width]);
    let (stack, head) = split(recipe)?;
    let network = Network::new(&stack, input)?;
    let weights = pretrained::load(path, &stack, &network)?;
    std::fs::create_dir_all(options.directory)
        .with_context(|| format!("cannot make the folder {}", options.directory.display()))?;
    let model = network.inference(&slices(&weights))?;
    let features = features(options.directory, &model, images, network.outputs())?;

    let size = network.outputs();
    let of_head =
        Recipe { layers: head.clone(), stages: Vec::new(), augmentation: Augmentation::default(), ..recipe.clone() };
    let nothing = Samples::Vectors(Vectors { size, values: Vec::new(), labels: Vec::new() });
    let train = Samples::Vectors(Vectors { size, values: features, labels: images.labels.clone() });
    let vectors = Dataset { train, test: nothing, classes: data.classes.clone(), words: Vec::new() };
    let directory = options.directory.join("head");
    let mut summary = super::stages_of(&Options {
        recipe: &of_head,
        dataset: &vectors,
        init: None,
        directory: &directory,
        ..*options
    })?;
    let Some(trained) = &summary.model else { return Ok(summary) };

    let head_network = Network::new(&head, vector(size))?;
    let of_head = init::load(trained, &head_network)?;
    // The stack's vector needs no flatten layer.
    let whole = Network::new(&[stack.as_slice(), &head[1..]].concat(), input)?;
    let own = network.parameters().iter().zip(&weights).map(|(parameter, values)| (&parameter.name, values));
    let all: Vec<Vec<f32>> = whole
        .parameters()
        .iter()
        .map(|parameter| {
            let frozen = own.clone().find(|(name, _)| **name == parameter.name).map(|(_, values)| values);
            frozen.or_else(|| of_head.get(&parameter.name)).cloned()
        })
        .collect::<Option<_>>()
        .context("a parameter is neither frozen nor trained")?;
    let path = options.directory.join(format!("{}.onnx", recipe.name));
    write_atomically(&path, &whole.inference(&slices(&all))?)?;
    summary.model = Some(path);
    Ok(summary)
}

/// A vector as the head reads it: an image of one place.
pub fn vector(size: usize) -> Input {
    Input::Image([size, 1, 1])
}

/// The layers in front of the first dense one, without what belongs to training, and the head: all from there on. What the stack
/// gives is a vector.
fn split(recipe: &Recipe) -> Result<(Vec<Layer>, Vec<Layer>)> {
    let first = recipe.layers.iter().position(|layer| matches!(layer, Layer::Dense { .. }));
    let (stack, head) = recipe.layers.split_at(first.unwrap_or(recipe.layers.len()));
    let mut stack = stack.to_vec();
    stack.retain(|layer| !matches!(layer, Layer::Dropout { .. }));
    for layer in &mut stack {
        if let Layer::Conv2d { batch_norm, .. } = layer {
            *batch_norm = false;
        }
    }
    let has_convolutions = stack.iter().any(|layer| matches!(layer, Layer::Conv2d { .. }));
    ensure!(has_convolutions, "`freeze` keeps convolutions as they are, but none stands before the first dense layer");
    Ok((stack, [&[Layer::Flatten], head].concat()))
}

/// What `model` makes of `images`: `size` values each, from `directory` if they were computed before.
fn features(directory: &Path, model: &[u8], images: &Images, size: usize) -> Result<Vec<f32>> {
    let mut hash = Sha256::new();
    [model, &images.pixels, &images.labels].iter().for_each(|part| hash.update(part));
    let path = directory.join(format!("features-{}", setup::hex(&hash.finalize()[..8])));
    let expected = images.len() * size * size_of::<f32>();
    if let Ok(bytes) = std::fs::read(&path)
        && bytes.len() == expected
    {
        return Ok(bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect());
    }
    eprintln!("computing what the frozen layers make of {} images, once", images.len());
    let samples = Samples::Images(images.clone());
    let rows = rows(&mut Inference::from_bytes(model)?, &samples, None, 0..images.len(), |_| {})?;
    let values: Vec<f32> = rows.into_iter().flatten().map(|value| value as f32).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    write_atomically(&path, &bytes)?;
    Ok(values)
}

fn slices(weights: &[Vec<f32>]) -> Vec<&[f32]> {
    weights.iter().map(Vec::as_slice).collect()
}
