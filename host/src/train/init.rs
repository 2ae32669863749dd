//! Weights to start from, out of a float model that was trained before.

use super::stages::Weights;
use crate::graph::{Network, Role};
use anyhow::{Context, Result, ensure};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::{ModelProto, tensor_proto::DataType};

/// The parameters of `network` that the ONNX model in `path` holds by the same names.
///
/// # Errors
/// A file that is none; a parameter that is missing, not float32, or of another size: it is named.
pub fn load(path: &Path, network: &Network) -> Result<Weights> {
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read the weights to start from, {}", path.display()))?;
    let model = ModelProto::decode(bytes.as_slice()).ok().and_then(|model| model.graph);
    let graph = model.with_context(|| format!("{} is no ONNX model", path.display()))?;
    let mut weights = Weights::new();
    for parameter in network.parameters() {
        let name = &parameter.name;
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == *name);
        let tensor = tensor.with_context(|| format!("{} holds no {name}", path.display()))?;
        ensure!(tensor.data_type == DataType::Float as i32, "{}: {name} is not of type float32", path.display());
        let mut values: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
        let size = parameter.shape.iter().product();
        // ONNX's LSTM has a second bias, which host train writes as zeros.
        if matches!(parameter.role, Role::Gates { .. }) && values.len() == 2 * size {
            let second = values.split_off(size);
            values.iter_mut().zip(second).for_each(|(value, second)| *value += second);
        }
        ensure!(
            values.len() == size,
            "{}: {name} has {} values, the recipe's net {size}",
            path.display(),
            values.len()
        );
        weights.insert(name.clone(), values);
    }
    Ok(weights)
}
