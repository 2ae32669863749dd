//! A model that reads text, on the sizes that count: an LSTM of 128 units over vectors of 32 values, with random weights.

use anyhow::{Result, ensure};
use firmware::kernels::{Shape, packing};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{EmbeddingSpec, ModelBuilder, OpSpec, OutputStageSpec, Parameters, TextSpec};
use firmware::model::{Element, Preference, Tensor};
use firmware::text::VocabularySpec;
use host::device::Session;
use host::twin::Twin;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const DIMENSIONS: usize = 32;
const UNITS: usize = 128;
/// Codes a word.
const CODES: usize = 4;
/// Tokens that count, of the model with a window.
const WINDOW: usize = 12;
const WORDS: [&str; 12] =
    ["the", "film", "was", "great", "bad", "not", "it's", "caf\u{e9}", "one", "two", "three", "\u{1f600}"];

/// Texts of every kind: none, known and unknown words, more words than the window holds, no UTF-8.
const TEXTS: [&[u8]; 6] = [
    b"",
    b"The film was GREAT.",
    b"zebra",
    b"one two three one two three; one two three - one two three (not the film), it's bad",
    "caf\u{e9} \u{1f600}\u{1f600} <br />\u{4e2d}".as_bytes(),
    &[0xff, 0x00, b' ', 0xc3, 0x28, b'\n', b'n', b'o', b't'],
];

fn container(code: u8, window: bool) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut bytes = |count: usize| -> Vec<i8> { (0..count).map(|_| random.random_range(-127..=127)).collect() };
    let mut offset = 0;
    let mut tensor = |length, element| {
        let shape = Shape::vector(length);
        let tensor = Tensor { offset, shape, element, zero_point: 0, scale: 1.0 / 128.0 };
        offset = tensor.end().next_multiple_of(4);
        tensor
    };
    let mut tensors = vec![
        tensor(1, Element::I16),
        tensor(DIMENSIONS, Element::I8),
        tensor(UNITS, Element::I16),
        tensor(UNITS, Element::I8),
        tensor(1, Element::I32),
    ];
    if window {
        tensors.push(tensor(WINDOW, Element::I16));
    }
    let (gates, width, rows) = (4 * UNITS, DIMENSIONS + UNITS, WORDS.len() + 1);
    let table = EmbeddingSpec::Codes {
        codes: bytes(rows * CODES).into_iter().map(|code| code as u8).collect(),
        codebooks: bytes(256 * DIMENSIONS),
        codes_per_row: CODES as u16,
    };
    let lstm = Parameters::Lstm {
        cell: 2,
        weights: packing::dense(code, &bytes(gates * width), [gates, width]),
        bias: bytes(gates).into_iter().map(|bias| 100 * i32::from(bias)).collect(),
        // Sums are some 70,000 wide; gates range over a few hundred steps.
        multipliers: bytes(gates).into_iter().map(|byte| 20_000_000 + 40_000 * i32::from(byte)).collect(),
        left_shift: 0,
        cell_shift: 11,
    };
    let output_stage =
        OutputStageSpec { bias: vec![300], multipliers: vec![1 << 30], left_shift: 1, ..Default::default() };
    let head = Parameters::Dense { weights: packing::dense(code, &bytes(UNITS), [1, UNITS]), output_stage };
    let vocabulary = VocabularySpec::build(&WORDS).expect("a dozen words find their slots").vocabulary;
    let op = |input, output, parameters| OpSpec {
        input,
        output,
        packing: code,
        preference: Preference::default(),
        parameters,
    };
    let builder = ModelBuilder {
        name: "random-text".into(),
        labels: Vec::new(),
        tensors,
        ops: vec![op(0, 1, Parameters::Embedding { rows, table }), op(1, 3, lstm), op(3, 4, head)],
        input: 0,
        output: 4,
        text: Some(TextSpec { vocabulary, window: window.then_some(5) }),
    };
    builder.finish()
}

/// Answers, counts of words and every tensor at the end are the twin's; so is the answer after each piece of a text.
pub fn texts_equal_the_twin(session: &mut Session) -> Result<()> {
    for window in [false, true] {
        session.replace_model(&container(session.board().core.packing(), window))?;
        let mut twin = Twin::new(&container(PACKING_PORTABLE, window))?;
        for (index, text) in TEXTS.iter().enumerate() {
            let expected = twin.read(text)?;
            let seen = session.read_text(text)?;
            ensure!(seen == expected, "window {window}, text {index}: {seen:?} instead of {expected:?}");
            for (tensor, expected) in (1..).zip(twin.tensors().into_iter().skip(1).take(4)) {
                let seen = session.read(tensor, expected.len())?;
                ensure!(seen == expected, "window {window}, text {index}: tensor {tensor} differs");
            }
        }
        session.restart_text()?;
        twin.read_pieces(TEXTS[3], |piece, expected, _| {
            session.push_text(piece)?;
            let seen = session.answer_text()?.0;
            ensure!(seen == expected, "window {window}, word {}: {seen:?} instead of {expected:?}", expected.words);
            Ok(())
        })?;
    }
    Ok(())
}
