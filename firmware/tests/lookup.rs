//! Functions of single values, through tables.

mod common;

use common::tensor;
use firmware::kernels::{Lookup, reference};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, Parameters};
use firmware::model::{Element, Error, Model, Preference};
use firmware::plan::Interpreter;

/// `1×1×n ── table ──▶ 1×1×m`, which fits where n is m.
fn model(inputs: usize, outputs: usize, table: Vec<i8>) -> Vec<u8> {
    let lookup = OpSpec {
        input: 0,
        output: 1,
        packing: PACKING_PORTABLE,
        preference: Preference::default(),
        parameters: Parameters::Lookup { table },
    };
    let end = inputs.next_multiple_of(4);
    let tensors = vec![tensor(0, [1, 1, inputs], Element::I8), tensor(end, [1, 1, outputs], Element::I8)];
    ModelBuilder { name: "lookup".into(), tensors, ops: vec![lookup], output: 1, ..Default::default() }.finish()
}

#[test]
fn each_input_finds_its_own_entry() {
    let table: [i8; 256] = std::array::from_fn(|index| (index as u8 ^ 0x80) as i8);
    let inputs: Vec<i8> = (-128..=127).collect();
    let mut outputs = vec![0; 256];
    reference::lookup(&Lookup { table: &table }, &inputs, &mut outputs);
    assert_eq!(outputs, inputs, "entry i stands for the input i − 128");
}

#[test]
fn a_model_with_a_table_runs() {
    // Halves, rounded down.
    let container = model(5, 5, (-128..=127).map(|x: i32| x.div_euclid(2) as i8).collect());
    let parsed = Model::parse(&container).unwrap();
    let (mut arena, mut scratch) = (vec![0; parsed.arena_bytes() / 4], Vec::new());
    let mut interpreter = Interpreter::new(parsed, &mut arena, &mut scratch).unwrap();
    interpreter.input_mut().copy_from_slice(&[-128, -1, 0, 1, 127]);
    interpreter.run().unwrap();
    assert_eq!(interpreter.output_i8(), [-64, -1, 0, 0, 63]);
}

#[test]
fn other_shapes_and_other_lengths_are_refused() {
    assert_eq!(Model::parse(&model(5, 6, vec![0; 256])).err(), Some(Error::ShapeMismatch { op: 0 }));
    for length in [0, 255, 257] {
        let error = Model::parse(&model(5, 5, vec![0; length])).err();
        assert!(matches!(error, Some(Error::Section { .. })), "{length} entries: {error:?}");
    }
}
