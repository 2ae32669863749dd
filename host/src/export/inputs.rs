//! Inputs of a model that was trained elsewhere, from files: ranges are taken from them, and ways of running compared.

use crate::dataset::Images;
use crate::picture;
use crate::quantize::{Affine, Float, Network};
use anyhow::{Context, Result, bail, ensure};
use npyz::{NpyFile, TypeStr};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Inputs in the order of the network's memory, NHWC.
#[derive(Clone, Debug)]
pub struct Inputs {
    samples: Vec<Vec<f32>>,
    /// Scale and zero point where they follow from what the inputs are, as a pixel's do; else ranges decide.
    pub affine: Option<Affine>,
}

impl Inputs {
    /// Reads what `path` names for the input of `network`: a folder of pictures, each brought to the input's size with
    /// values in 0…1; a `.npy` file of one input or of many, in the dimensions of the ONNX model; a `.npz` file whose
    /// array is called like the input, or which holds one alone.
    ///
    /// # Errors
    /// Files that are missing or damaged, or of other dimensions than the input.
    pub fn read(path: &Path, network: &Network<Float>) -> Result<Self> {
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let inputs = match kind {
            _ if path.is_dir() => pictures(path, network),
            "npy" => {
                let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                array(BufReader::new(file), network)
            }
            "npz" => archive(path, network),
            _ => bail!("{} is neither a folder of pictures nor a .npy or .npz file", path.display()),
        };
        let inputs = inputs.with_context(|| path.display().to_string())?;
        ensure!(!inputs.samples.is_empty(), "{} holds no input", path.display());
        Ok(inputs)
    }

    /// Pixels as they are.
    pub fn of_images(images: &Images) -> Self {
        let samples = (0..images.labels.len()).map(|index| images.nhwc(index)).collect();
        Self { samples, affine: Some(Affine::PIXEL) }
    }

    /// What is drawn from elsewhere, in steps of `affine`.
    pub fn of(samples: Vec<Vec<f32>>, affine: Affine) -> Self {
        Self { samples, affine: Some(affine) }
    }

    /// Noise in 0…1, for what does not depend on the values: what a model costs.
    pub fn noise(network: &Network<Float>, count: usize) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
        let length = network.tensors[network.input].shape.elements();
        let samples = (0..count).map(|_| (0..length).map(|_| random.random_range(0.0..1.0)).collect()).collect();
        Self { samples, affine: None }
    }

    /// The same with `value(x)` in place of each value `x`.
    pub fn map(mut self, value: impl Fn(f32) -> f32) -> Self {
        self.samples.iter_mut().flatten().for_each(|x| *x = value(*x));
        self
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Input number `index`.
    pub fn float(&self, index: usize) -> &[f32] {
        &self.samples[index]
    }

    /// Input number `index` as the device takes it.
    pub fn int8(&self, index: usize, affine: Affine) -> Vec<i8> {
        self.samples[index].iter().map(|&value| affine.quantize(value)).collect()
    }

    /// The first `count` inputs; all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        Self { samples: self.samples.iter().take(count).cloned().collect(), affine: self.affine }
    }
}

/// All pictures of a folder, by name.
fn pictures(folder: &Path, network: &Network<Float>) -> Result<Inputs> {
    let shape = network.tensors[network.input].shape;
    ensure!(
        matches!(shape.channels, 1 | 3) && shape.height > 1,
        "the model takes {} × {} × {} values, which no picture gives; calibrate on a .npy file",
        shape.height,
        shape.width,
        shape.channels
    );
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .context("cannot read the folder")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| {
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default().to_lowercase();
        ["png", "jpg", "jpeg", "pgm", "ppm", "pnm"].contains(&kind.as_str())
    });
    paths.sort();
    let read = |path: &PathBuf| {
        let [width, height] = [shape.width, shape.height].map(|side| side as u32);
        let picture = picture::load(path)?.resize_exact(width, height, image::imageops::FilterType::Triangle);
        let bytes = if shape.channels == 1 { picture.into_luma8().into_raw() } else { picture.into_rgb8().into_raw() };
        Ok(bytes.into_iter().map(|byte| f32::from(byte) / 255.0).collect())
    };
    let samples = paths.iter().map(read).collect::<Result<_>>()?;
    Ok(Inputs { samples, affine: Some(Affine::PIXEL) })
}

/// An array of NumPy in the dimensions of the model's input, with any number of inputs in front.
fn array(file: impl Read, network: &Network<Float>) -> Result<Inputs> {
    let file = NpyFile::new(file).context("it is no array of NumPy, or a damaged one")?;
    let dimensions: Vec<usize> = file.shape().iter().map(|&side| side as usize).collect();
    let sides = &network.input_sides[1..];
    let fits = dimensions.ends_with(sides) && dimensions.len() <= sides.len() + 1;
    ensure!(fits, "it has the dimensions {dimensions:?}, expected [N, …] with {sides:?} behind");
    ensure!(file.order() == npyz::Order::C, "it is in Fortran's order; save numpy.ascontiguousarray of it");
    let form = match file.dtype() {
        npyz::DType::Plain(form) => form,
        _ => bail!("it is an array of records"),
    };
    let values = numbers(file, &form)?;
    ensure!(values.iter().all(|value| value.is_finite()), "it holds a value that is not finite");
    let tensor = &network.tensors[network.input];
    let samples = values.chunks_exact(tensor.shape.elements()).map(|values| tensor.from_onnx(values)).collect();
    Ok(Inputs { samples, affine: None })
}

fn numbers(file: NpyFile<impl Read>, form: &TypeStr) -> Result<Vec<f32>> {
    macro_rules! read {
        ($number:ty) => {
            file.into_vec::<$number>()?.into_iter().map(|value| value as f32).collect()
        };
    }
    let form = form.to_string();
    Ok(match form.trim_matches('\'') {
        "<f4" => read!(f32),
        "<f8" => read!(f64),
        "|u1" => read!(u8),
        "|i1" => read!(i8),
        "<i4" => read!(i32),
        "<i8" => read!(i64),
        other => bail!("it holds {other}; save it as float32"),
    })
}

fn archive(path: &Path, network: &Network<Float>) -> Result<Inputs> {
    let file = File::open(path).context("cannot read the file")?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).context("it is no zip archive, or truncated")?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<String>>>()?;
    let wanted = format!("{}.npy", network.tensors[network.input].name);
    let name = match &names[..] {
        [only] => only,
        _ => names
            .iter()
            .find(|name| **name == wanted)
            .with_context(|| format!("it holds {}; call one {wanted} like the model's input", names.join(", ")))?,
    };
    array(archive.by_name(name)?, network).with_context(|| name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use super::*;
    use npyz::WriterBuilder;
    use prost::Message;

    /// A net that takes `[N, 2, 1, 3]`.
    fn network() -> Network<Float> {
        let model = Sketch::new(&[2, 1, 3], 50).node("Conv", &[&[1, 2, 1, 1]], vec![]).finish(&[1, 1, 3]);
        super::super::read(&model.encode_to_vec(), "test").unwrap()
    }

    fn npy(path: &Path, shape: &[u64], values: &[f32]) {
        let mut file = File::create(path).unwrap();
        let writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut file);
        let mut writer = writer.begin_nd().unwrap();
        writer.extend(values.iter()).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn arrays_are_brought_into_the_order_of_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inputs.npy");
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        npy(&path, &[2, 2, 1, 3], &values);
        let inputs = Inputs::read(&path, &network()).unwrap();
        assert_eq!((inputs.len(), inputs.affine), (2, None));
        assert_eq!(inputs.float(0), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        npy(&path, &[2, 1, 3], &values[..6]);
        assert_eq!(Inputs::read(&path, &network()).unwrap().len(), 1);
        let refusal = |shape: &[u64], values: &[f32]| {
            npy(&path, shape, values);
            format!("{:#}", Inputs::read(&path, &network()).unwrap_err())
        };
        assert!(refusal(&[2, 3, 2], &values).contains("dimensions [2, 3, 2]"));
        assert!(refusal(&[1, 2, 1, 3], &[f32::NAN; 6]).contains("not finite"));
        fs::write(&path, b"nothing").unwrap();
        assert!(format!("{:#}", Inputs::read(&path, &network()).unwrap_err()).contains("no array of NumPy"));
        let missing = Inputs::read(&folder.path().join("other.txt"), &network()).unwrap_err();
        assert!(missing.to_string().contains("neither a folder"), "{missing}");
        // Two channels are no picture.
        assert!(
            format!("{:#}", Inputs::read(folder.path(), &network()).unwrap_err()).contains("which no picture gives")
        );
    }
}
