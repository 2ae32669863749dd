//! Embedding: the three forms of its rows.

mod common;

use common::{bytes, tensor};
use firmware::kernels::{Embedding, EmbeddingTable, reference};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{EmbeddingSpec, ModelBuilder, OpSpec, Parameters};
use firmware::model::{Element, Error, Model, Preference};
use firmware::plan::Interpreter;

/// `token ── embedding ──▶ 1×1×width`.
fn model(rows: usize, width: usize, table: EmbeddingSpec) -> ModelBuilder {
    let parameters = Parameters::Embedding { rows, table };
    let op = OpSpec { input: 0, output: 1, packing: PACKING_PORTABLE, preference: Preference::default(), parameters };
    let mut tensors = vec![tensor(0, [1, 1, 1], Element::I16), tensor(4, [1, 1, width], Element::I8)];
    tensors[1].zero_point = 0;
    ModelBuilder { name: "embedding".into(), tensors, ops: vec![op], output: 1, ..Default::default() }
}

/// The row that a model gives for each token.
fn rows(container: &[u8], tokens: &[i16]) -> Vec<Vec<i8>> {
    let parsed = Model::parse(container).unwrap();
    let (mut arena, mut scratch) = (vec![0x5a5a_5a5a; parsed.arena_bytes() / 4], Vec::new());
    let mut interpreter = Interpreter::new(parsed, &mut arena, &mut scratch).unwrap();
    let row = |token: &i16| {
        interpreter.set_token(*token);
        interpreter.run().unwrap();
        interpreter.output_i8().to_vec()
    };
    tokens.iter().map(row).collect()
}

fn error(rows: usize, width: usize, table: EmbeddingSpec) -> Option<Error> {
    Model::parse(&model(rows, width, table).finish()).err()
}

#[test]
fn int8_rows_are_given_as_they_are() {
    let values = bytes(1, 35);
    let given = rows(&model(5, 7, EmbeddingSpec::I8(values.clone())).finish(), &[0, 1, 4]);
    assert_eq!(given, [&values[..7], &values[7..14], &values[28..]]);
}

#[test]
fn a_token_without_a_row_reads_row_0() {
    let given = rows(&model(5, 7, EmbeddingSpec::I8(bytes(1, 35))).finish(), &[0, 5, 6, i16::MAX, -1, i16::MIN]);
    assert!(given.iter().all(|row| *row == given[0]));
}

/// Computed by hand: `(q · m + 4) >> 3`, limited.
#[test]
fn four_bit_rows_are_scaled_rounded_and_limited() {
    let nibbles = vec![0x10, 0x7f, 0x08, /* the next row */ 0x21, 0x83, 0x0e];
    let table = EmbeddingSpec::I4 { nibbles, multipliers: vec![12, 255] };
    let given = rows(&model(2, 5, table).finish(), &[0, 1]);
    assert_eq!(given[0], [0, 2, -1, 11, -12]);
    assert_eq!(given[1], [32, 64, 96, -128, -64]);
}

#[test]
fn codes_choose_parts_from_their_codebooks() {
    let codebooks = bytes(2, 6 * 256);
    let codes = vec![0, 255, 3, /* the next row */ 7, 7, 7];
    let table = EmbeddingSpec::Codes { codes, codebooks: codebooks.clone(), codes_per_row: 3 };
    let given = rows(&model(2, 6, table).finish(), &[0, 1]);
    let part = |book: usize, code: usize| &codebooks[(book * 256 + code) * 2..][..2];
    assert_eq!(given[0], [part(0, 0), part(1, 255), part(2, 3)].concat());
    assert_eq!(given[1], [part(0, 7), part(1, 7), part(2, 7)].concat());
}

#[test]
fn every_nibble_with_every_multiplier_is_exact() {
    for multiplier in 0..=255 {
        let nibbles: Vec<u8> = (0..8).map(|pair| (2 * pair) | ((2 * pair + 1) << 4)).collect();
        let table = EmbeddingTable::I4 { nibbles: &nibbles, multipliers: &[multiplier] };
        let mut given = [77; 16];
        reference::embedding(&Embedding { rows: 1, width: 16, table }, 0, &mut given);
        for (bits, value) in (0..16).zip(given) {
            let q = f64::from(if bits < 8 { bits } else { bits - 16 });
            let exact = (q * f64::from(multiplier) / 8.0 + 0.5).floor().clamp(-128.0, 127.0);
            assert_eq!(f64::from(value), exact, "{q} by {multiplier}");
        }
    }
}

#[test]
fn wrong_lengths_and_parameters_are_refused() {
    let section = |error: Option<Error>| matches!(error, Some(Error::Section { .. }));
    let codes = |codes: usize, codebooks: usize, codes_per_row: u16| EmbeddingSpec::Codes {
        codes: vec![0; codes],
        codebooks: vec![0; codebooks],
        codes_per_row,
    };
    let nibbles =
        |nibbles: usize, rows: usize| EmbeddingSpec::I4 { nibbles: vec![0; nibbles], multipliers: vec![0; rows] };
    assert!(section(error(5, 7, EmbeddingSpec::I8(vec![0; 34]))));
    assert!(section(error(5, 7, nibbles(19, 5))));
    assert!(section(error(5, 7, nibbles(20, 4))));
    assert_eq!(error(5, 7, nibbles(20, 5)), None);
    assert!(section(error(5, 6, codes(14, 1536, 3))));
    assert!(section(error(5, 6, codes(15, 1535, 3))));
    assert_eq!(error(5, 6, codes(15, 1536, 3)), None);
    assert_eq!(error(5, 6, codes(20, 1536, 4)), Some(Error::Parameters { op: 0 }));
    assert_eq!(error(5, 6, codes(0, 1536, 0)), Some(Error::Parameters { op: 0 }));
    assert_eq!(error(0, 7, EmbeddingSpec::I8(vec![])), Some(Error::Parameters { op: 0 }));
}

#[test]
fn other_tensors_are_refused() {
    let refused = |change: fn(&mut ModelBuilder)| {
        let mut builder = model(5, 7, EmbeddingSpec::I8(vec![0; 35]));
        change(&mut builder);
        Model::parse(&builder.finish()).err()
    };
    let mismatch = Some(Error::ShapeMismatch { op: 0 });
    assert_eq!(refused(|model| model.tensors[0].element = Element::I8), mismatch);
    assert_eq!(refused(|model| model.tensors[0].shape.width = 2), mismatch);
    assert_eq!(refused(|model| model.tensors[1].zero_point = 1), mismatch);
    assert_eq!(refused(|model| model.tensors[1].element = Element::I16), mismatch);
    assert_eq!(refused(|model| model.tensors[1].shape.height = 2), mismatch);
    assert_eq!(refused(|model| model.tensors[0].element = Element::I32), mismatch);
}
