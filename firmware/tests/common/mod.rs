//! Small models that together have every op.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod trial;

use firmware::kernels::{Shape, Window, packing};
use firmware::model::format::PACKING_DSP_WINOGRAD;
use firmware::model::writer::{EmbeddingSpec, ModelBuilder, OpSpec, OutputStageSpec, Parameters, TextSpec};
use firmware::model::{Element, Preference, Tensor};
use firmware::text::VocabularySpec;

/// A deterministic sequence of bytes.
pub fn bytes(seed: u32, length: usize) -> Vec<i8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as i8
    };
    (0..length).map(step).collect()
}

pub fn tensor(offset: usize, shape: [usize; 3], element: Element) -> Tensor {
    let [height, width, channels] = shape;
    Tensor { offset, shape: Shape { height, width, channels }, element, zero_point: -5, scale: 0.25 }
}

pub fn stage(channels: usize) -> OutputStageSpec {
    OutputStageSpec {
        bias: bytes(9, channels).into_iter().map(|bias| i32::from(bias) * 8).collect(),
        multipliers: (0..channels as i32).map(|channel| 1_000_000 + 77_777 * channel).collect(),
        left_shift: 3,
        output_min: -100,
        output_max: 120,
    }
}

/// `7×6×2 ── conv 3×3, pool 2 ──▶ 3×3×5 ── max-pool 2, stride 1 ──▶ 2×2×5 ── dense ──▶ 6 ── dense ──▶ 3 logits`.
pub fn model(packing: u8) -> ModelBuilder {
    let op =
        |input, output, parameters| OpSpec { input, output, packing, preference: Preference::default(), parameters };
    let conv = Parameters::Conv2d {
        weights: packing::conv2d(packing, &bytes(1, 90), [5, 3, 3, 2]),
        output_stage: stage(5),
        window: Window { kernel: [3, 3], stride: [1, 1], padding: [0, 1, 1, 1] },
        pool: [2, 2],
    };
    let pool = Parameters::MaxPool2d { window: Window { kernel: [2, 2], stride: [1, 1], padding: [0; 4] } };
    let hidden =
        Parameters::Dense { weights: packing::dense(packing, &bytes(2, 120), [6, 20]), output_stage: stage(6) };
    let logits = Parameters::Dense { weights: packing::dense(packing, &bytes(3, 18), [3, 6]), output_stage: stage(3) };
    ModelBuilder {
        name: "tiny".into(),
        labels: ["one", "two", "drei"].map(String::from).to_vec(),
        tensors: vec![
            tensor(0, [7, 6, 2], Element::I8),
            tensor(84, [3, 3, 5], Element::I8),
            tensor(0, [2, 2, 5], Element::I8),
            tensor(20, [1, 1, 6], Element::I8),
            tensor(0, [1, 1, 3], Element::I32),
        ],
        ops: vec![op(0, 1, conv), op(1, 2, pool), op(2, 3, hidden), op(3, 4, logits)],
        input: 0,
        output: 4,
        text: None,
    }
}

/// `6×5×3 ─┬─ depthwise 3×3 ──▶ 6×5×3 ─┬─ sum ──▶ 6×5×3 ── mean of 2×2 ──▶ 3×2×3 ── with itself ──▶ 3×2×6 ── every other channel
/// ──▶ 3×2×3 ── times the mean ──▶ 3×2×3 ── dense ──▶ 2`, where the sum is one with the input.
pub fn branched_model(packing: u8) -> ModelBuilder {
    let op =
        |input, output, parameters| OpSpec { input, output, packing, preference: Preference::default(), parameters };
    let window = |side: usize, stride: usize, padding: usize| Window {
        kernel: [side; 2],
        stride: [stride; 2],
        padding: [padding; 4],
    };
    let depthwise =
        Parameters::DepthwiseConv2d { weights: bytes(31, 27), output_stage: stage(3), window: window(3, 1, 1) };
    let sum = Parameters::Add { other: 0, multipliers: [700_000, 900_000], shift: 20, bounds: [-90, 127] };
    let mean = OutputStageSpec { bias: Vec::new(), multipliers: vec![1 << 30], ..stage(0) };
    let mean = Parameters::AveragePool2d { window: window(2, 2, 0), output_stage: mean };
    let twice = Parameters::Concat { others: [Some(3), None], axis: 2 };
    let half = Parameters::Slice { starts: [0, 0, 1], steps: [1, 1, 2] };
    let product = Parameters::Multiply { other: 3, multiplier: 1 << 26, left_shift: 1, bounds: [-128, 100] };
    let dense = Parameters::Dense { weights: packing::dense(packing, &bytes(32, 36), [2, 18]), output_stage: stage(2) };
    ModelBuilder {
        name: "branches".into(),
        labels: Vec::new(),
        tensors: vec![
            tensor(0, [6, 5, 3], Element::I8),
            tensor(92, [6, 5, 3], Element::I8),
            tensor(184, [6, 5, 3], Element::I8),
            tensor(0, [3, 2, 3], Element::I8),
            tensor(20, [3, 2, 6], Element::I8),
            tensor(56, [3, 2, 3], Element::I8),
            tensor(76, [3, 2, 3], Element::I8),
            tensor(0, [1, 1, 2], Element::I8),
        ],
        ops: vec![
            op(0, 1, depthwise),
            op(1, 2, sum),
            op(2, 3, mean),
            op(3, 4, twice),
            op(4, 5, half),
            op(5, 6, product),
            op(6, 7, dense),
        ],
        input: 0,
        output: 7,
        text: None,
    }
}

/// `3×2×4 ── transposed 4×4, stride 2, table ──▶ 6×4×5`. Winograd's packing has no place for its weights.
pub fn transposed_model(packing: u8) -> ModelBuilder {
    let window = Window { kernel: [4, 4], stride: [2, 2], padding: [1; 4] };
    let weights = match packing {
        PACKING_DSP_WINOGRAD => Vec::new(),
        packing => packing::conv_transpose2d(packing, &bytes(41, 320), 5, 4, window),
    };
    let output_stage = OutputStageSpec { bias: bytes(42, 20).into_iter().map(i32::from).collect(), ..stage(5) };
    let parameters =
        Parameters::ConvTranspose2d { weights, output_stage, window, zero_point: 7, table: bytes(43, 256) };
    ModelBuilder {
        name: "up".into(),
        tensors: vec![tensor(0, [3, 2, 4], Element::I8), tensor(24, [6, 4, 5], Element::I8)],
        ops: vec![OpSpec { input: 0, output: 1, packing, preference: Preference::default(), parameters }],
        output: 1,
        ..Default::default()
    }
}

/// What the text model knows.
pub const WORDS: [&str; 9] = ["the", "film", "was", "good", "bad", "not", "it's", "caf\u{e9}", "don't"];
/// A text for it, longer than its window.
pub const TEXT: &[u8] = b"The film: it's NOT good, zebra. Don't, the caf\xc3\xa9 was bad!";
/// Places of the text model's window.
pub const WINDOW: usize = 5;

/// The three forms of the text model's embedding: a row of 6 values for each word and one for those unknown.
pub fn embeddings() -> [EmbeddingSpec; 3] {
    let rows = WORDS.len() + 1;
    let unsigned = |seed: u32, length: usize| bytes(seed, length).into_iter().map(|byte| byte as u8).collect();
    [
        EmbeddingSpec::I8(bytes(11, 6 * rows)),
        EmbeddingSpec::I4 { nibbles: unsigned(12, 3 * rows), multipliers: unsigned(13, rows) },
        EmbeddingSpec::Codes { codes: unsigned(14, 3 * rows), codebooks: bytes(15, 6 * 256), codes_per_row: 3 },
    ]
}

/// From the accumulators of the text model's last layer to its logits.
pub fn text_head() -> OutputStageSpec {
    OutputStageSpec {
        bias: vec![300, -500],
        multipliers: vec![300_000_000, 250_000_000],
        left_shift: 4,
        ..Default::default()
    }
}

/// `token ── embedding ──▶ 6 ── LSTM ──▶ 5 ── LSTM ──▶ 3 ── dense ──▶ 2 logits`, with a window where it is asked for.
pub fn text_model(packing: u8, table: EmbeddingSpec, window: bool) -> ModelBuilder {
    let op =
        |input, output, parameters| OpSpec { input, output, packing, preference: Preference::default(), parameters };
    let lstm = |cell, seed, inputs: usize, units: usize| Parameters::Lstm {
        cell,
        weights: packing::dense(packing, &bytes(seed, 4 * units * (inputs + units)), [4 * units, inputs + units]),
        bias: bytes(seed + 1, 4 * units).into_iter().map(|bias| i32::from(bias) * 100).collect(),
        multipliers: (0..4 * units as i32).map(|row| 9_000_000 + 100_000 * row).collect(),
        left_shift: 1,
        cell_shift: 11,
    };
    let logits =
        Parameters::Dense { weights: packing::dense(packing, &bytes(23, 6), [2, 3]), output_stage: text_head() };
    let state = |offset, length, element| Tensor { zero_point: 0, ..tensor(offset, [1, 1, length], element) };
    let mut tensors = vec![
        state(0, 1, Element::I16),
        state(4, 6, Element::I8),
        state(12, 5, Element::I8),
        state(20, 5, Element::I16),
        state(32, 3, Element::I8),
        state(36, 3, Element::I16),
        tensor(44, [1, 1, 2], Element::I32),
    ];
    if window {
        tensors.push(state(52, WINDOW, Element::I16));
    }
    let vocabulary = VocabularySpec::build(&WORDS).expect("nine words find their slots").vocabulary;
    let embedding = Parameters::Embedding { rows: WORDS.len() + 1, table };
    ModelBuilder {
        name: "tiny text".into(),
        labels: ["good", "bad"].map(String::from).to_vec(),
        tensors,
        ops: vec![op(0, 1, embedding), op(1, 2, lstm(3, 17, 6, 5)), op(2, 4, lstm(5, 20, 5, 3)), op(4, 6, logits)],
        input: 0,
        output: 6,
        text: Some(TextSpec { vocabulary, window: window.then_some(7) }),
    }
}
