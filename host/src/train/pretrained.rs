//! Weights of convolutions that somebody else has trained, by the names that are usual for them.
//!
//! | names | of the first convolution of the second block | trained on |
//! |---|---|---|
//! | this tool's | `conv3.weight`, `conv3.bias` | pixels in 0…1 |
//! | torchvision's | `features.5.weight`, `features.5.bias` | pixels less ImageNet's mean, over its deviation |
//! | Keras' | whatever holds `block2_conv1`: four dimensions are weights, one is the bias | blue, green, red in 0…255, less their mean |
//!
//! What the images went through is put into the first convolution, so that the net reads plain pixels. At the border, where zeros
//! are added, that is not quite the same: a zero was a mean grey, and now is black.

use crate::graph::{Layer, Network, Role};
use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};

/// Which names a file uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Own,
    Torchvision,
    Keras,
}

/// How one convolution is called.
struct Names {
    own: String,
    torchvision: String,
    keras: String,
}

/// A stored tensor.
struct Tensor {
    shape: Vec<usize>,
    /// None where it is not float32.
    values: Option<Vec<f32>>,
}

/// Values of all parameters of `network`, whose `layers` are convolutions without batch norm, pools and a mean over all places,
/// from a safetensors or ONNX file.
///
/// # Errors
/// A file that is neither; a tensor that is missing, misshapen or not float32: it is named.
pub fn load(path: &Path, layers: &[Layer], network: &Network) -> Result<Vec<Vec<f32>>> {
    let names = names(layers);
    let file = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the pretrained weights {file}"))?;
    let tensors = tensors(&bytes, &names).with_context(|| file.to_string())?;
    let first = names.first().context("there are no convolutions to load weights for")?;
    let schemes = [Scheme::Own, Scheme::Torchvision, Scheme::Keras].into_iter();
    let Some(scheme) = schemes.clone().find(|scheme| find(&tensors, first, *scheme, 4).is_some()) else {
        bail!("{file} holds no weights of the first convolution, neither {}", wanted(first, schemes));
    };
    let mut weights = Vec::with_capacity(network.parameters().len());
    for (index, parameter) in network.parameters().iter().enumerate() {
        // Weights and bias alternate.
        let (names, rank) = (&names[index / 2], if parameter.role == Role::Bias { 1 } else { 4 });
        let Some((name, tensor)) = find(&tensors, names, scheme, rank) else {
            let what = if rank == 1 { "bias" } else { "weights" };
            bail!("{file} holds no {what} called {}", names.stem(scheme));
        };
        let values = tensor.values.as_ref().with_context(|| format!("{file}: {name} is not of type float32"))?;
        let [shape, wanted] = [&tensor.shape, &parameter.shape];
        if shape == wanted {
            weights.push(values.clone());
        } else if scheme == Scheme::Keras && rank == 4 && shape[..] == [wanted[2], wanted[3], wanted[1], wanted[0]] {
            weights.push(oihw(values, wanted));
        } else {
            bail!("{file}: {name} has the shape {shape:?}, the recipe's net {wanted:?}");
        }
    }
    let (first, rest) = weights.split_at_mut(1);
    if let Some(pixels) = scheme.pixels()
        && network.parameters()[0].shape[1] == pixels.len()
    {
        read_plain_pixels(&mut first[0], &mut rest[0], &pixels);
    }
    Ok(weights)
}

impl Names {
    /// What a tensor's name is, or holds, but for the ending that says whether it is weights or a bias.
    fn stem(&self, scheme: Scheme) -> &str {
        match scheme {
            Scheme::Own => &self.own,
            Scheme::Torchvision => &self.torchvision,
            Scheme::Keras => &self.keras,
        }
    }
}

impl Scheme {
    /// What the pixels became before the first convolution: for each of its inputs the colour, a factor and a shift.
    fn pixels(self) -> Option<[(usize, f32, f32); 3]> {
        let torchvision = |colour: usize, mean: f32, deviation: f32| (colour, 1.0 / deviation, -mean / deviation);
        match self {
            Self::Own => None,
            Self::Torchvision => {
                Some([torchvision(0, 0.485, 0.229), torchvision(1, 0.456, 0.224), torchvision(2, 0.406, 0.225)])
            }
            Self::Keras => Some([(2, 255.0, -103.939), (1, 255.0, -116.779), (0, 255.0, -123.68)]),
        }
    }
}

/// How the convolutions among `layers` are called. Torchvision counts every layer, activations among them; Keras counts blocks,
/// which pools end.
fn names(layers: &[Layer]) -> Vec<Names> {
    let (mut counted, mut block, mut in_block) = (0, 1, 0);
    let mut names = Vec::new();
    for layer in layers {
        match layer {
            Layer::Conv2d { .. } => {
                in_block += 1;
                names.push(Names {
                    own: format!("conv{}", names.len() + 1),
                    torchvision: format!("features.{counted}"),
                    keras: format!("block{block}_conv{in_block}"),
                });
                counted += 2;
            }
            Layer::MaxPool2d { .. } => {
                counted += 1;
                (block, in_block) = (block + 1, 0);
            }
            _ => {}
        }
    }
    names
}

/// The tensor of `rank` dimensions that belongs to `names`: weights have four, a bias one.
fn find<'t>(
    tensors: &'t BTreeMap<String, Tensor>,
    names: &Names,
    scheme: Scheme,
    rank: usize,
) -> Option<(&'t str, &'t Tensor)> {
    let stem = names.stem(scheme);
    let exact = format!("{stem}.{}", if rank == 1 { "bias" } else { "weight" });
    let is_meant = |name: &str, tensor: &Tensor| match scheme {
        // The same name with another number of dimensions is found, and refused for its shape.
        Scheme::Own | Scheme::Torchvision => name == exact,
        Scheme::Keras => holds(name, stem) && tensor.shape.len() == rank,
    };
    tensors.iter().find(|(name, tensor)| is_meant(name, tensor)).map(|(name, tensor)| (name.as_str(), tensor))
}

/// Whether `name` holds `stem`, with no further digit behind it.
fn holds(name: &str, stem: &str) -> bool {
    name.match_indices(stem).any(|(at, _)| !name[at + stem.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

fn wanted(names: &Names, schemes: impl Iterator<Item = Scheme>) -> String {
    schemes.map(|scheme| names.stem(scheme).to_owned()).collect::<Vec<_>>().join(" nor ")
}

/// The tensors of a safetensors or ONNX file that belong to one of `names`.
fn tensors(bytes: &[u8], names: &[Names]) -> Result<BTreeMap<String, Tensor>> {
    let is_of = |name: &str, stem: &str| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'));
    let is_wanted = |name: &str| {
        let mut names = names.iter();
        names.any(|known| is_of(name, &known.own) || is_of(name, &known.torchvision) || holds(name, &known.keras))
    };
    if let Ok(file) = SafeTensors::deserialize(bytes) {
        let tensors = file.iter().filter(|(name, _)| is_wanted(name));
        let read = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let values = (view.dtype() == Dtype::F32).then(|| words(view.data()));
            (name.to_owned(), Tensor { shape: view.shape().to_vec(), values })
        };
        return Ok(tensors.map(read).collect());
    }
    let graph = ModelProto::decode(bytes).ok().and_then(|model| model.graph);
    let graph = graph.context("this is neither a safetensors nor an ONNX file")?;
    let tensors = graph.initializer.iter().filter(|tensor| is_wanted(&tensor.name));
    tensors.map(|tensor| Ok((tensor.name.clone(), of_onnx(tensor)?))).collect()
}

fn of_onnx(tensor: &TensorProto) -> Result<Tensor> {
    let shape =
        tensor.dims.iter().map(|&size| usize::try_from(size).context("a negative size")).collect::<Result<Vec<_>>>();
    let shape = shape.with_context(|| tensor.name.clone())?;
    let is_float = tensor.data_type == DataType::Float as i32;
    let values =
        is_float.then(|| if tensor.raw_data.is_empty() { tensor.float_data.clone() } else { words(&tensor.raw_data) });
    let size = shape.iter().try_fold(1_usize, |size, &side| size.checked_mul(side));
    let fits = values.as_ref().is_none_or(|values| Some(values.len()) == size);
    ensure!(fits, "{} does not fill its shape {shape:?}", tensor.name);
    Ok(Tensor { shape, values })
}

fn words(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

/// `[h, w, I, O]` → `[O, I, h, w]`, which is `shape`.
fn oihw(hwio: &[f32], shape: &[usize]) -> Vec<f32> {
    let [outputs, inputs, area] = [shape[0], shape[1], shape[2] * shape[3]];
    let value = |o: usize, i: usize, place: usize| hwio[(place * inputs + i) * outputs + o];
    (0..outputs * inputs * area).map(|at| value(at / (inputs * area), at / area % inputs, at % area)).collect()
}

/// Changes a convolution, weights [O, 3, h, w] and bias, that read `factor · colour + shift` so that it reads the colours:
/// `w·(f·x + s) + b = (f·w)·x + (b + Σ w·s)`.
fn read_plain_pixels(weights: &mut [f32], bias: &mut [f32], pixels: &[(usize, f32, f32); 3]) {
    let filter = weights.len() / bias.len();
    let area = filter / pixels.len();
    for (weights, bias) in weights.chunks_exact_mut(filter).zip(bias) {
        let given = weights.to_vec();
        for (plane, &(colour, factor, shift)) in given.chunks_exact(area).zip(pixels) {
            *bias += shift * plane.iter().sum::<f32>();
            let scaled = plane.iter().map(|weight| factor * weight);
            weights[colour * area..][..area].iter_mut().zip(scaled).for_each(|(weight, scaled)| *weight = scaled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Padding};

    #[test]
    fn vgg16_has_the_names_that_are_usual() {
        let conv = Layer::Conv2d {
            filters: 1,
            kernel: 3,
            stride: 1,
            padding: Padding::Same,
            batch_norm: false,
            activation: Activation::Relu,
        };
        let blocks = [2, 2, 3, 3, 3];
        let block = |&count: &usize| vec![conv.clone(); count].into_iter().chain([Layer::MaxPool2d { size: 2 }]);
        let layers: Vec<Layer> = blocks.iter().flat_map(block).collect();
        let names = names(&layers);
        let torchvision = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28].map(|index| format!("features.{index}"));
        assert!(names.iter().map(|names| &names.torchvision).eq(&torchvision));
        assert_eq!((names[12].own.as_str(), names[12].keras.as_str()), ("conv13", "block5_conv3"));
        assert!(holds("vgg16/block1_conv1/Conv2D", "block1_conv1") && !holds("block1_conv10", "block1_conv1"));
    }

    #[test]
    fn plain_pixels_give_what_prepared_ones_gave() {
        // One filter of one place: blue, green, red.
        let pixels = Scheme::Keras.pixels().unwrap();
        let (weights, bias) = ([0.5_f32, -1.0, 2.0], 3.0_f32);
        let colours = [0.2_f32, 0.4, 0.9];
        let prepared = [255.0 * 0.9 - 103.939, 255.0 * 0.4 - 116.779, 255.0 * 0.2 - 123.68];
        let expected = bias + weights.iter().zip(prepared).map(|(w, x)| w * x).sum::<f32>();
        let (mut plain, mut moved) = (weights.to_vec(), vec![bias]);
        read_plain_pixels(&mut plain, &mut moved, &pixels);
        let found = moved[0] + plain.iter().zip(colours).map(|(w, x)| w * x).sum::<f32>();
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }

    #[test]
    fn kernels_are_turned_round() {
        // 1×2 places, 2 inputs, 3 outputs.
        let hwio: Vec<f32> = (0..12).map(|value| value as f32).collect();
        assert_eq!(oihw(&hwio, &[3, 2, 1, 2]), [0.0, 6.0, 3.0, 9.0, 1.0, 7.0, 4.0, 10.0, 2.0, 8.0, 5.0, 11.0]);
    }
}
