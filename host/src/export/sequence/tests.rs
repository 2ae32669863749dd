use super::super::inputs::Inputs;
use super::super::proto::{ints, open};
use super::super::sketch::Sketch;
use super::super::testing::options;
use super::super::{Exported, pack_for};
use super::{Recurrent, export, read};
use crate::recipe::Storage;
use crate::twin::Twin;
use crate::verify::sequence::{Sequences, difference};
use firmware::model::Element;
use firmware::model::format::{PACKING_DSP, PACKING_FOURS, PACKING_MVE};
use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

const STEPS: usize = 20;

/// Tokens, one LSTM, two dense layers.
fn of_tokens() -> ModelProto {
    let sketch = Sketch::new(&[STEPS], 71).node("Transpose", &[], vec![ints("perm", &[1, 0])]).embedding(30, 12);
    let sketch = sketch.lstm(12, 18).node_of("Transpose", &["lstm2.last"], &[], vec![ints("perm", &[1, 0, 2])]);
    let sketch =
        sketch.node("Flatten", &[], vec![]).node("Gemm", &[&[18, 10], &[10]], vec![]).node("Relu", &[], vec![]);
    let mut model = sketch.node("Gemm", &[&[10, 4], &[4]], vec![]).finish(&[4]);
    model.graph.as_mut().unwrap().input = vec![open("input", DataType::Int64, &["N", "20"])];
    model
}

/// Features, two LSTMs, a sigmoid.
fn of_features() -> ModelProto {
    let sketch = Sketch::new(&[STEPS, 6], 72).node("Transpose", &[], vec![ints("perm", &[1, 0, 2])]);
    let sketch = sketch.lstm(6, 16).with_ints("Squeeze", &[1], vec![]).lstm(16, 10);
    let sketch = sketch.node_of("Flatten", &["lstm3.last"], &[], vec![]);
    sketch.node("Gemm", &[&[10, 3], &[3]], vec![]).node("Sigmoid", &[], vec![]).finish(&[3])
}

fn exported(model: &ModelProto, storage: Storage) -> (Recurrent, Inputs, Exported) {
    let onnx = model.encode_to_vec();
    let recurrent = read(&onnx, "test").unwrap();
    let inputs = recurrent.noise(24);
    let exported = export(&onnx, &recurrent, &inputs, storage, &options(0)).unwrap();
    (recurrent, inputs, exported)
}

#[test]
fn the_twin_is_near_the_float_model_and_onnx_runtime_to_both() {
    for (model, layers) in [(of_tokens(), 5), (of_features(), 7)] {
        let (recurrent, inputs, exported) = exported(&model, Storage::Int8);
        let sequences = Sequences { recurrent: &recurrent, inputs: &inputs };
        let twin = sequences.twin(&mut Twin::new(&exported.container).unwrap()).unwrap();
        assert_eq!(twin.layers.len(), layers, "{:?}", twin.layers);
        for layer in &twin.layers {
            assert!(layer.difference.sqnr_db > 25.0, "{layer:?}");
        }
        let float = sequences.onnx_runtime(&exported.float_onnx).unwrap();
        assert!(difference(&float, &sequences.tract(&exported.float_onnx).unwrap()).sqnr_db > 90.0);
        // Its states stay in float.
        let int8 = sequences.int8(&exported.int8_onnx).unwrap();
        assert!(difference(&float, &twin.answers).sqnr_db > 25.0);
        assert!(difference(&float, &int8).sqnr_db > 25.0);
    }
}

#[test]
fn every_packing_gives_the_same_bits() {
    for (model, storage) in
        [(of_tokens(), Storage::Codes(4)), (of_tokens(), Storage::FourBit), (of_features(), Storage::Int8)]
    {
        let (recurrent, inputs, exported) = exported(&model, storage);
        let sequences = Sequences { recurrent: &recurrent, inputs: &inputs };
        let answers = |container: &[u8]| sequences.twin(&mut Twin::new(container).unwrap()).unwrap().answers;
        let portable = answers(&exported.container);
        for packing in [PACKING_DSP, PACKING_MVE, PACKING_FOURS] {
            assert_eq!(answers(&pack_for(&exported.container, packing).unwrap()), portable);
        }
    }
}

#[test]
fn states_last_and_the_rest_shares_its_place() {
    let exported = exported(&of_tokens(), Storage::Int8).2;
    let twin = Twin::new(&exported.container).unwrap();
    let tensors: Vec<_> = twin.model().tensors().collect();
    assert_eq!(tensors[0].element, Element::I16);
    // Token, vector, cell and hidden state, rounded up to words each; then 10 values and 4 logits, which lie apart.
    assert_eq!(tensors[3].end(), 4 + 12 + 36 + 18);
    assert_eq!(exported.budget.ram.arena_bytes, 4 + 12 + 36 + 20 + 12 + 16);
    assert_eq!(exported.budget.ram.arena_bytes, exported.budget.ram.arena_lower_bound_bytes);
    assert_eq!(exported.budget.model.macs, 4 * 18 * 30 + 18 * 10 + 10 * 4);
    let names: Vec<_> = exported.budget.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["gather1", "lstm2", "gemm5", "gemm7"]);
}

#[test]
fn what_is_no_token_is_refused() {
    let onnx = of_tokens().encode_to_vec();
    let recurrent = read(&onnx, "test").unwrap();
    for strange in [30.0, -1.0, 0.5] {
        let inputs = recurrent.noise(2).map(|value| if value == 3.0 { strange } else { value });
        let said = export(&onnx, &recurrent, &inputs, Storage::Int8, &options(0)).unwrap_err().to_string();
        assert!(said.contains("whose embedding gather1 has the rows 0 to 29"), "{said}");
    }
}
