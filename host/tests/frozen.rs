//! Training on pretrained convolutions, which stay as they are, shown on small made files.

use host::dataset::{Dataset, Images};
use host::recipe::Recipe;
use host::runtime::Device;
use host::train::{self, Options, Summary};
use prost::Message;
use safetensors::{Dtype, tensor::TensorView};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, tensor_proto::DataType};

const RECIPE: &str = r#"
name = "narrow"
data = { source = "cifar10", validation = 16 }
layers = [
    { type = "conv2d", filters = 4, kernel = 3, padding = "same", batch-norm = true, activation = "relu" },
    { type = "max-pool2d", size = 2 },
    { type = "conv2d", filters = 6, kernel = 3, padding = "same", batch-norm = true, activation = "relu" },
    { type = "global-average-pool" },
    { type = "dropout", rate = 0.1 },
    { type = "dense", units = 5, activation = "relu" },
    { type = "dense", units = 3 },
]
training = { epochs = 200, batch = 16, seed = 5, freeze = true, temperature = true, loss = { type = "cross-entropy" }, optimizer = { type = "adam", rate = 0.01 } }
"#;

/// Name, shape, values.
type Given = (String, Vec<usize>, Vec<f32>);

/// Images of three classes: red, green and blue ones, each darker or brighter.
fn dataset() -> Dataset {
    let (side, count) = (8, 96);
    let labels: Vec<u8> = (0..count).map(|sample| (sample % 3) as u8).collect();
    let pixel = |sample: usize, channel: usize| if sample % 3 == channel { 130 + sample as u8 } else { 40 };
    let pixels = (0..count * side * side * 3).map(|at| pixel(at / (side * side * 3), at % 3)).collect();
    let images = Images { height: side, width: side, channels: 3, pixels, labels };
    Dataset::of_images(images.clone(), images, ["red", "green", "blue"].map(String::from).to_vec())
}

fn noise(count: usize, seed: usize) -> Vec<f32> {
    let hash = |index: usize| ((index + 1000 * seed) as u32).wrapping_mul(2_654_435_761).rotate_left(13) >> 8;
    (0..count).map(|index| hash(index) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// The four tensors by the names of one kind, `[weights, bias]` of each convolution.
fn tensors(names: [[&str; 2]; 2]) -> Vec<Given> {
    let shapes = [[vec![4, 3, 3, 3], vec![4]], [vec![6, 4, 3, 3], vec![6]]];
    let pairs = names.into_iter().flatten().zip(shapes.into_iter().flatten()).enumerate();
    let given = |(index, (name, shape)): (usize, (&str, Vec<usize>))| {
        let values = noise(shape.iter().product(), index);
        (name.to_owned(), shape, values)
    };
    pairs.map(given).collect()
}

const TORCHVISION: [[&str; 2]; 2] =
    [["features.0.weight", "features.0.bias"], ["features.3.weight", "features.3.bias"]];

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn write_safetensors(path: &Path, given: &[Given]) {
    let data: Vec<_> = given.iter().map(|(name, shape, values)| (name, shape.clone(), bytes(values))).collect();
    let views =
        data.iter().map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn write_onnx(path: &Path, given: &[Given]) {
    let tensor = |(name, shape, values): &Given| TensorProto {
        name: name.clone(),
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: DataType::Float as i32,
        raw_data: bytes(values),
        ..Default::default()
    };
    let graph = GraphProto { initializer: given.iter().map(tensor).collect(), ..Default::default() };
    std::fs::write(path, ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec()).unwrap();
}

fn run(weights: &Path, directory: &Path) -> anyhow::Result<Summary> {
    train::run(&Options {
        recipe: &toml::from_str::<Recipe>(RECIPE).unwrap(),
        dataset: &dataset(),
        device: Device::Cpu,
        init: Some(weights),
        resume: false,
        directory,
        stop: &AtomicBool::new(false),
        show: false,
    })
}

/// The tensor `name` of the float model that a run has written.
fn trained(summary: &Summary, name: &str) -> Vec<f32> {
    let model = ModelProto::decode(std::fs::read(summary.model.as_ref().unwrap()).unwrap().as_slice()).unwrap();
    let constants = model.graph.unwrap().initializer;
    let tensor = constants.iter().find(|tensor| tensor.name == name).unwrap();
    tensor.raw_data.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

#[test]
fn the_head_learns_on_convolutions_that_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, directory) = (folder.path().join("vgg.safetensors"), folder.path().join("run"));
    let given = tensors(TORCHVISION);
    write_safetensors(&weights, &given);
    let summary = run(&weights, &directory).unwrap();
    let last = summary.epochs.last().unwrap();
    assert!(last.validation.unwrap().accuracy.unwrap() > 0.9, "it learns: {last:?}");
    assert!(summary.temperature.is_some());
    // The first convolution reads plain pixels now: red was divided by 0.229.
    assert!((trained(&summary, "conv1.weight")[0] - given[0].2[0] / 0.229).abs() < 1e-5);
    assert_eq!(trained(&summary, "conv2.weight"), given[2].2);
    assert_eq!(trained(&summary, "conv2.bias"), given[3].2);

    let features = || {
        let files = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap());
        let features = files.filter(|file| file.file_name().to_string_lossy().starts_with("features-"));
        features.map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect::<Vec<_>>()
    };
    let before = features();
    assert_eq!(before.len(), 1);
    let again = run(&weights, &directory).unwrap();
    assert_eq!(features(), before, "computed once");
    assert_eq!(trained(&again, "dense1.weight"), trained(&summary, "dense1.weight"));
}

#[test]
fn onnx_files_serve_by_keras_names_and_by_this_tools() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("vgg.onnx");
    let mut given = tensors([
        ["vgg16/block1_conv1/Conv2D/ReadVariableOp:0", "vgg16/block1_conv1/BiasAdd/ReadVariableOp:0"],
        ["block2_conv1/kernel:0", "block2_conv1/bias:0"],
    ]);
    // Keras' own order: height, width, input, output.
    let oihw = given[2].2.clone();
    given[2].1 = vec![3, 3, 4, 6];
    given[2].2 = (0..216).map(|at| oihw[(at % 6) * 36 + at / 6 % 4 * 9 + at / 24]).collect();
    write_onnx(&weights, &given);
    let summary = run(&weights, &folder.path().join("keras")).unwrap();
    assert_eq!(trained(&summary, "conv2.weight"), oihw);
    assert_ne!(trained(&summary, "conv1.weight"), given[0].2, "it reads plain pixels now");

    let own = tensors([["conv1.weight", "conv1.bias"], ["conv2.weight", "conv2.bias"]]);
    write_onnx(&weights, &own);
    let summary = run(&weights, &folder.path().join("own")).unwrap();
    assert_eq!(trained(&summary, "conv1.weight"), own[0].2);
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("vgg.safetensors");
    let error = |given: &[Given]| {
        write_safetensors(&weights, given);
        format!("{:#}", run(&weights, &folder.path().join("run")).unwrap_err())
    };
    let mut given = tensors(TORCHVISION);
    given[2].1 = vec![6, 4, 9, 1];
    let misshapen = error(&given);
    assert!(
        misshapen
            .ends_with("vgg.safetensors: features.3.weight has the shape [6, 4, 9, 1], the recipe's net [6, 4, 3, 3]"),
        "{misshapen}"
    );
    assert!(error(&given[..2]).ends_with("vgg.safetensors holds no weights called features.3"));
    assert!(error(&given[..1]).ends_with("vgg.safetensors holds no bias called features.0"));
    let nothing = error(&given[1..2]);
    assert!(nothing.contains("neither conv1 nor features.0 nor block1_conv1"), "{nothing}");
    std::fs::write(&weights, b"neither").unwrap();
    let error = format!("{:#}", run(&weights, &folder.path().join("run")).unwrap_err());
    assert!(error.contains("this is neither a safetensors nor an ONNX file"), "{error}");
}
