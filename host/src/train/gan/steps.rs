//! The two step graphs of a GAN.

use super::Prior;
use crate::graph::{Graph, Input, Network, Range, Value, loss};
use crate::recipe::{Loss, Training};
use crate::train::step::{Draft, Step};
use anyhow::{Result, bail};

/// Images that the generator draws: an output of its step and an input of the discriminator's.
pub const FAKES: &str = "fakes";

/// What the names of the discriminator's tensors start with, in both graphs.
const DISCRIMINATOR: &str = "discriminator.";

/// The generator's step and the discriminator's.
///
/// | step | reads | gives beside the next state |
/// |---|---|---|
/// | generator | its state, `latents` [N, L], the discriminator's masks [N, …] and parameters | `fakes` [N, C, H, W] in −1…1; `loss` −ln D(fake); `measure`, how many are taken for real |
/// | discriminator | its state, `inputs` [N, C, H, W] in 0…1, its masks [2N, …], `labels` [N, K] if it tells K classes, `fakes` | `loss`, binary cross-entropy; `measure`, how many of the N real and N drawn images it tells rightly, halved |
///
/// D is the sigmoid of the discriminator's first logit; both losses are means. Where it tells classes, the cross-entropy of the
/// other logits is added: the generator's with the class that was to be drawn, its own with that of the real images. The averages,
/// where the recipe keeps some, are of the generator's parameters alone: they are what is exported. The discriminator learns
/// `rate` times as fast.
pub fn build(
    generator: &Network,
    judge: &Network,
    shape: [usize; 3],
    training: &Training,
    rate: f32,
) -> Result<[Step; 2]> {
    Ok([generators(generator, judge, training)?, discriminators(judge, shape, training, rate)?])
}

fn generators(generator: &Network, judge: &Network, training: &Training) -> Result<Step> {
    let Input::Latent(latent) = generator.input() else { bail!("a generator reads latent values") };
    let mut graph = Graph::new();
    let mut draft = Draft::new(&mut graph, generator, training, "", training.ema)?;
    let frozen = judge.parameters().iter();
    let frozen = frozen.map(|parameter| graph.input(&format!("{DISCRIMINATOR}{}", parameter.name), &parameter.shape));
    let frozen = frozen.collect::<Result<Vec<_>>>()?;
    let mut batch = vec![("latents".to_owned(), vec![training.batch, latent])];
    batch.extend(masks(judge, training.batch));
    let inputs = batch.iter().map(|(name, shape)| graph.input(name, shape)).collect::<Result<Vec<_>>>()?;
    let fakes = draft.forward(&mut graph, inputs[0], &[])?;
    graph.output(FAKES, fakes)?;
    let outputs = judge.forward_training(&mut graph, fakes, &frozen, &inputs[1..])?.outputs;
    let logits = columns(&mut graph, outputs, 0..1)?;
    let real = graph.constant(&[training.batch, 1], &vec![1.0; training.batch]);
    let (mut loss, measure) = judged(&mut graph, logits, real)?;
    let classes = classes(judge);
    if classes > 0 {
        let chosen = columns(&mut graph, inputs[0], 0..classes)?;
        let chosen = graph.scale(chosen, 1.0 / Prior::CHOSEN)?;
        loss = with_classes(&mut graph, loss, outputs, chosen)?;
    }
    draft.finish(graph, batch, loss, measure)
}

fn discriminators(judge: &Network, shape: [usize; 3], training: &Training, rate: f32) -> Result<Step> {
    let Loss::Adversarial { real } = training.loss else { bail!("a GAN learns by the adversarial loss") };
    let mut graph = Graph::new();
    let mut draft = Draft::new(&mut graph, judge, training, DISCRIMINATOR, None)?.paced(rate.into());
    let shape = [&[training.batch], shape.as_slice()].concat();
    let mut batch = vec![("inputs".to_owned(), shape.clone())];
    batch.extend(masks(judge, 2 * training.batch));
    let classes = classes(judge);
    if classes > 0 {
        batch.push(("labels".to_owned(), vec![training.batch, classes]));
    }
    // Behind what the batch gives, since the generator's step gives it.
    batch.push((FAKES.to_owned(), shape));
    let inputs = batch.iter().map(|(name, shape)| graph.input(name, shape)).collect::<Result<Vec<_>>>()?;
    // 0…1 as −1…1, which is what the generator's tanh gives.
    let doubled = graph.scale(inputs[0], 2.0)?;
    let one = graph.scalar(1.0);
    let images = graph.sub(doubled, one)?;
    let [_, others @ .., fakes] = inputs.as_slice() else { bail!("a discriminator sees images and drawings") };
    let (masks, labels) = others.split_at(judge.masks().len());
    let n = training.batch;
    // Each kind passes alone: a batch norm over both would tell them apart by what else is in the batch.
    let judged_half = |draft: &mut Draft<'_>, graph: &mut Graph, x: Value, start: usize| {
        let rows = Range { axis: 0, start, end: start + n, step: 1 };
        let masks = masks.iter().map(|&mask| graph.slice(mask, &[rows])).collect::<Result<Vec<_>>>()?;
        draft.forward(graph, x, &masks)
    };
    let of_fakes = judged_half(&mut draft, &mut graph, *fakes, n)?;
    let of_images = judged_half(&mut draft, &mut graph, images, 0)?;
    let outputs = graph.concat(&[of_images, of_fakes], 0)?;
    let logits = columns(&mut graph, outputs, 0..1)?;
    let targets = graph.constant(&[2 * n, 1], &[vec![real; n], vec![0.0; n]].concat());
    let (mut loss, measure) = judged(&mut graph, logits, targets)?;
    if let [labels] = labels {
        loss = with_classes(&mut graph, loss, of_images, *labels)?;
    }
    let share = graph.scale(measure, 0.5)?;
    draft.finish(graph, batch, loss, share)
}

/// Names and shapes of the dropout masks of `judge` for `rows` images.
fn masks(judge: &Network, rows: usize) -> impl Iterator<Item = (String, Vec<usize>)> {
    judge.masks().iter().map(move |mask| (mask.name.clone(), [&[rows], mask.shape.as_slice()].concat()))
}

/// How many classes a discriminator tells: it has a logit for each behind the one for real or drawn.
pub fn classes(judge: &Network) -> usize {
    judge.outputs() - 1
}

/// `loss` and the cross-entropy of a discriminator's `outputs` [N, 1 + K], but for the first column, with `targets` [N, K].
fn with_classes(graph: &mut Graph, loss: Value, outputs: Value, targets: Value) -> Result<Value> {
    let classes = graph.dimensions::<2>(outputs, "what a discriminator gives")?[1];
    let logits = columns(graph, outputs, 1..classes)?;
    let missed = loss::cross_entropy(graph, logits, targets, 0.0)?;
    graph.add(loss, missed)
}

/// Columns of a matrix.
fn columns(graph: &mut Graph, matrix: Value, range: std::ops::Range<usize>) -> Result<Value> {
    graph.slice(matrix, &[Range { axis: 1, start: range.start, end: range.end, step: 1 }])
}

/// Binary cross-entropy of `logits` [N, 1] with `targets`, and how many have the right sign.
fn judged(graph: &mut Graph, logits: Value, targets: Value) -> Result<(Value, Value)> {
    Ok((loss::binary_cross_entropy(graph, logits, targets)?, loss::correct_sides(graph, logits, targets)?))
}
