//! From a float ONNX model to what a board and ONNX Runtime run.
//!
//! ```text
//! .onnx ──lower──fuse──▶ Network<Float> ──quantize──▶ Quantized ──plan──container──▶ .thm ──pack──▶ .<core>.thm
//!                                                            └──qdq──▶ .int8.onnx
//! ```
//!
//! | module | knows |
//! |---|---|
//! | [`external`], [`inputs`] | files beside a model: weights, and inputs to take ranges from |
//! | [`lower`] | which ONNX operators are supported and what they become |
//! | [`fuse`] | which ops one kernel does in one pass |
//! | `order`, [`plan`] | when ops run, where activations lie in the arena |
//! | [`container`], [`pack`] | what a board reads; weights laid out for its core |
//! | [`prefer`], `cost` | which form of a convolution a core gets, and what it gains |
//! | [`qdq`] | the int8 model for ONNX Runtime |
//! | [`text`] | all of this for models that read text |
//! | [`sequence`] | and for models from elsewhere that take a sequence |
//! | [`sketch`] | small models with random weights, for tests and examples |
//! | [`golden`] | inputs and what follows from them, for tests elsewhere |
//! | [`budget`] | what it all costs |
//! | `constants` | what a firmware takes its memory by |
//! | [`trial`] | how far a file gets, for the fuzzer |
//! | [`write`] | the artifacts on disk: all of them, or none |

pub mod budget;
mod constants;
pub mod container;
#[cfg(test)]
mod correction_tests;
mod cost;
pub mod external;
pub mod fuse;
#[cfg(test)]
mod generator_tests;
pub mod golden;
pub mod inputs;
pub mod integer;
pub mod lower;
#[cfg(test)]
mod mutation_tests;
mod order;
pub mod pack;
pub mod plan;
pub mod prefer;
pub mod proto;
pub mod qdq;
pub mod sequence;
pub mod sketch;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod text;
pub mod trial;
pub mod write;

pub use pack::pack_for;
pub use prefer::Prefer;

use crate::dataset::Images;
use crate::quantize::{Affine, Float, Method, Network, bias, calibrate, equalize, quantize};
use anyhow::{Context, Result, ensure};
use budget::{Budget, CalibrationFacts};
use golden::Golden;
use inputs::Inputs;
use prost::Message;
use tract_onnx::pb::ModelProto;

/// How a model is exported.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the model.
    pub name: String,
    /// Names of the answer's values; empty where the model does not classify.
    pub labels: Vec<String>,
    pub ranges: Method,
    /// Whether channels between two layers are brought to one size first.
    pub equalize: bool,
    /// Whether biases take off what rounding adds on average.
    pub correct_bias: bool,
    /// Images to calibrate on, spread evenly over those given.
    pub calibration: usize,
    pub prefer: Prefer,
    /// Bytes that the container may take on a core with DSP, see [`prefer`](fn@prefer::prefer).
    pub flash_budget: Option<usize>,
    /// The command that does the same again, for the budget.
    pub command: String,
}

/// Everything that is written for a model.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The float model as it was read.
    pub float_onnx: Vec<u8>,
    /// The int8 model in QDQ form.
    pub int8_onnx: Vec<u8>,
    /// Packed portably.
    pub container: Vec<u8>,
    pub golden: Golden,
    pub budget: Budget,
}

/// The float network in the serialized ONNX model `onnx`, fused, its ops in the order in which a board runs them.
pub fn read(onnx: &[u8], name: &str) -> Result<Network<Float>> {
    let model = ModelProto::decode(onnx).context("the file is no ONNX model, or a broken one; export it again")?;
    let mut network = fuse::fuse(lower::lower(&model, name)?);
    order::reorder(&mut network);
    Ok(network)
}

/// Quantizes the serialized ONNX model `onnx`, calibrated on some of `images`, which must be training images.
pub fn export(onnx: &[u8], images: &Images, options: &Options) -> Result<Exported> {
    let network = read(onnx, &options.name)?;
    check_images(&network, images, options)?;
    let length = network.tensors[network.input].shape.elements();
    let input = |index: usize| -> Vec<f32> {
        let first = index * images.labels.len() / options.calibration * length;
        images.pixels[first..first + length].iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
    };
    quantized(onnx, &network, &input, Some(Affine::PIXEL), options)
}

/// As [`export`], calibrated on `inputs`, as many of them as the options say.
pub fn export_on(onnx: &[u8], inputs: &Inputs, options: &Options) -> Result<Exported> {
    let network = read(onnx, &options.name)?;
    let input = |index: usize| inputs.float(index * inputs.len() / options.calibration).to_vec();
    quantized(onnx, &network, &input, inputs.affine, options)
}

fn quantized(
    onnx: &[u8],
    network: &Network<Float>,
    input: &(dyn Fn(usize) -> Vec<f32> + Sync),
    affine: Option<Affine>,
    options: &Options,
) -> Result<Exported> {
    let (mut network, count) = (network.clone(), options.calibration);
    let divisors = if options.equalize {
        equalize::equalize(&mut network, input, count)
    } else {
        vec![None; network.tensors.len()]
    };
    let calibration = calibrate::calibrate(&network, input, count, affine, options.ranges)?;
    let mut quantized = quantize(&network, &calibration)?;
    if options.correct_bias {
        bias::correct(&mut network, &quantized, input, count)?;
        quantized = quantize(&network, &calibration)?;
    }
    let plan = plan::plan(&plan::blocks(&quantized));
    let container = container::container(&quantized, &plan, &options.labels)?;
    let container = prefer::prefer(&container, options.prefer, options.flash_budget)?;
    let packed = pack::packings(&container)?;
    let calibrated = CalibrationFacts { ranges: options.ranges, images: options.calibration };
    let budget = Budget::new(&quantized, &calibration, &plan, &packed, options.command.clone(), calibrated)?;
    let mut int8_onnx = qdq::qdq(&quantized);
    qdq::note_divisors(&mut int8_onnx, &network, &divisors);
    let int8_onnx = int8_onnx.encode_to_vec();
    let golden = Golden::new(&container)?;
    Ok(Exported { float_onnx: onnx.to_vec(), int8_onnx, container, golden, budget })
}

fn check_images(network: &Network<Float>, images: &Images, options: &Options) -> Result<()> {
    let shape = network.tensors[network.input].shape;
    let available = images.labels.len();
    ensure!(
        [shape.height, shape.width, shape.channels] == [images.height, images.width, images.channels],
        "the model takes images of {} × {} × {}, but the data set's have {} × {} × {}",
        shape.height,
        shape.width,
        shape.channels,
        images.height,
        images.width,
        images.channels
    );
    ensure!(
        (1..=available).contains(&options.calibration),
        "cannot calibrate on {} images; choose from 1 to {available}",
        options.calibration
    );
    Ok(())
}
