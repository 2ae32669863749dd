//! What tests share: tract as a second opinion on small ONNX models, and the usual options.

use super::{Options, Prefer};
use crate::quantize::Method;
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

/// Options for a model with `labels` classes, calibrated on 16 inputs.
pub fn options(labels: usize) -> Options {
    Options {
        name: "test".into(),
        labels: (0..labels).map(|label| label.to_string()).collect(),
        ranges: Method::MinMax,
        equalize: false,
        correct_bias: false,
        calibration: 16,
        prefer: Prefer::default(),
        flash_budget: None,
        command: "host export test".into(),
    }
}
