//! tract as a second opinion on small ONNX models.

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

/// What tract answers to one `input` of `sides` (NCHW).
pub fn tract(model: &ModelProto, sides: &[usize], input: &[f32]) -> Vec<f32> {
    let shape: Vec<usize> = [1].iter().chain(sides).copied().collect();
    let model = tract_onnx::onnx()
        .model_for_proto_model(model)
        .and_then(|model| model.with_input_fact(0, f32::fact(&shape).into()))
        .and_then(|model| model.into_optimized())
        .and_then(|model| model.into_runnable())
        .unwrap();
    let answers = model.run(tvec!(Tensor::from_shape(&shape, input).unwrap().into())).unwrap();
    answers[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}
