//! LSTM: every form against exact arithmetic, and that against floating point.

mod common;

use common::{bytes, embeddings, text_model};
use firmware::kernels::variants::{LstmKernel, VARIANTS};
use firmware::kernels::{Dense, Lstm, OutputStage, packing, reference};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, Parameters};
use firmware::model::{Element, Error, Model};
use proptest::prelude::*;

/// An LSTM with its data; weights as the portable packing has them.
#[derive(Clone, Debug)]
struct Case {
    inputs: usize,
    units: usize,
    weights: Vec<i8>,
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    left_shift: u8,
    cell_shift: u8,
}

impl Case {
    fn lstm<'a>(&'a self, weights: &'a [i8]) -> Lstm<'a> {
        let stage = OutputStage {
            bias: &self.bias,
            multipliers: &self.multipliers,
            left_shift: self.left_shift,
            zero_point: 0,
            output_min: 0,
            output_max: 0,
        };
        let gates = Dense { inputs: self.inputs + self.units, outputs: 4 * self.units, weights, stage };
        Lstm { units: self.units, gates, cell_shift: self.cell_shift }
    }

    /// One step by a kernel, with rubbish in its scratch.
    fn step(&self, kernel: LstmKernel, packed: &[i8], input: &[i8], states: &mut (Vec<i16>, Vec<i8>)) {
        let scratch_bytes = VARIANTS.iter().map(|variant| (variant.lstm_scratch_bytes)(self.inputs, self.units)).max();
        let scratch_words = scratch_bytes.unwrap() / 4;
        let mut scratch = vec![0xa5a5_a5a5; scratch_words];
        kernel(&self.lstm(packed), input, &mut states.0, &mut states.1, &mut scratch);
    }

    /// The definition over again, in 128 bits and without a table.
    fn exact_step(&self, input: &[i8], states: &mut (Vec<i16>, Vec<i8>)) {
        let old: Vec<i128> = input.iter().chain(&states.1).map(|value| i128::from(*value)).collect();
        for unit in 0..self.units {
            let a = [0, 1, 2, 3].map(|gate| {
                let row = 4 * unit + gate;
                let products = self.weights[row * old.len()..].iter().zip(&old).map(|(w, x)| i128::from(*w) * x);
                let accumulator = i128::from(self.bias[row]) + products.sum::<i128>();
                // Modulo 2³², as the definition has it.
                let shifted = (accumulator << self.left_shift) as i32;
                half_up(i128::from(shifted) * i128::from(self.multipliers[row]), 32)
            });
            let [i, o, f, g] = a.map(sigmoid_q15);
            let g = 2 * g - 32_768;
            let c = i128::from(states.0[unit]);
            let candidate = (i * g).div_euclid(1 << (15 - self.cell_shift));
            let c = half_up(f * c + candidate, 15).clamp(-32_768, 32_767);
            states.0[unit] = c as i16;
            let t = 2 * sigmoid_q15(half_up(c, u32::from(self.cell_shift) - 8)) - 32_768;
            states.1[unit] = half_up(o * t, 23).clamp(-128, 127) as i8;
        }
    }
}

/// `floor(x / 2^bits + 1/2)`.
fn half_up(x: i128, bits: u32) -> i128 {
    (2 * x + (1 << bits)).div_euclid(2 << bits)
}

/// `round(2¹⁵ · σ(k / 128))` for `k` limited to −1024..=1023, by way of floating point.
fn sigmoid_q15(k: i128) -> i128 {
    let x = k.clamp(-1024, 1023) as f64 / 128.0;
    (32_768.0 / (1.0 + (-x).exp())).round() as i128
}

/// Random bytes, or nothing but the extremes.
fn values(length: usize) -> impl Strategy<Value = Vec<i8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<i8>(), length),
        1 => prop::collection::vec(prop::sample::select(&[-128i8, 127][..]), length),
        1 => prop::sample::select(&[-128i8, 127][..]).prop_map(move |value| vec![value; length]),
    ]
}

/// Multipliers that take most logits into the table's range, or any at all.
fn case() -> impl Strategy<Value = Case> {
    (1usize..=37, 1usize..=21, 0u8..=4, 8u8..=15).prop_flat_map(|(inputs, units, left_shift, cell_shift)| {
        let rows = 4 * units;
        let usual = (1e8 / (inputs + units) as f64) as i32 >> left_shift;
        let multipliers = prop_oneof![4 => usual / 2..2 * usual, 1 => 0..i32::MAX];
        (
            values(rows * (inputs + units)),
            prop::collection::vec(-100_000i32..100_000, rows),
            prop::collection::vec(multipliers, rows),
        )
            .prop_map(move |(weights, bias, multipliers)| Case {
                inputs,
                units,
                weights,
                bias,
                multipliers,
                left_shift,
                cell_shift,
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_form_is_exact(
        (case, steps, cell, hidden) in case().prop_flat_map(|case| {
            let (inputs, units) = (case.inputs, case.units);
            let cells = prop_oneof![any::<i16>(), Just(i16::MIN), Just(i16::MAX), -3000i16..3000];
            (
                Just(case),
                prop::collection::vec(values(inputs), 1..4),
                prop::collection::vec(cells, units),
                values(units),
            )
        }),
    ) {
        let start = (cell, hidden);
        let mut expected = start.clone();
        let mut forms: Vec<(&str, LstmKernel, Vec<i8>, _)> =
            vec![("reference", reference::lstm, case.weights.clone(), start.clone())];
        for variant in VARIANTS {
            let shape = [4 * case.units, case.inputs + case.units];
            forms.push((variant.name, variant.lstm, packing::dense(variant.packing, &case.weights, shape), start.clone()));
        }
        for (number, input) in steps.iter().enumerate() {
            case.exact_step(input, &mut expected);
            for (name, kernel, packed, states) in &mut forms {
                case.step(*kernel, packed, input, states);
                prop_assert_eq!(&*states, &expected, "{}, step {}", name, number);
            }
        }
    }
}

/// The largest sums of the cell state, at each of its scales: nothing leaves 32 bits, and the state saturates.
#[test]
fn extreme_gates_and_states() {
    for cell_shift in 8..=15 {
        for (logit, cell) in [(1, i16::MAX), (1, i16::MIN), (-1, i16::MAX), (-1, i16::MIN)] {
            // All gates open, the candidate at either end.
            let bias = vec![1 << 20, 1 << 20, 1 << 20, logit << 20];
            let case = Case {
                inputs: 1,
                units: 1,
                weights: vec![0; 8],
                bias,
                multipliers: vec![1 << 30; 4],
                left_shift: 0,
                cell_shift,
            };
            let (mut states, mut expected) = ((vec![cell], vec![0]), (vec![cell], vec![0]));
            for _ in 0..3 {
                case.step(reference::lstm, &case.weights, &[127], &mut states);
                case.exact_step(&[127], &mut expected);
                assert_eq!(states, expected, "cell shift {cell_shift}, {logit}, {cell}");
            }
            if (logit > 0) == (cell > 0) {
                assert_eq!(states.0, [cell], "cell shift {cell_shift}: no overflow, but saturation");
            }
        }
    }
}

/// Against an LSTM in floating point with the same weights and inputs, over 50 steps.
#[test]
fn fifty_steps_stay_near_floating_point() {
    const INPUTS: usize = 24;
    const UNITS: usize = 20;
    const COLUMNS: usize = INPUTS + UNITS;
    // Real weights are `scale[row] · q`, real inputs and hidden states `q / 128`.
    let scales: Vec<f64> = (0..4 * UNITS).map(|row| 0.002 + 0.000_05 * row as f64).collect();
    let doubled = |row: usize| if row % 4 == 3 { 2.0 } else { 1.0 };
    let case = Case {
        inputs: INPUTS,
        units: UNITS,
        weights: bytes(5, 4 * UNITS * COLUMNS),
        bias: bytes(6, 4 * UNITS).into_iter().map(|bias| i32::from(bias) * 100).collect(),
        multipliers: (0..4 * UNITS).map(|row| (scales[row] * doubled(row) * 2f64.powi(32)).round() as i32).collect(),
        left_shift: 0,
        cell_shift: 11,
    };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut states, mut cell, mut hidden) = ((vec![0; UNITS], vec![0; UNITS]), [0.0; UNITS], [0.0; UNITS]);
    let (mut worst, mut sum) = (0f64, 0.0);
    for step in 0..50 {
        let input = bytes(100 + step, INPUTS);
        case.step(reference::lstm, &case.weights, &input, &mut states);
        let joined: Vec<f64> = input.iter().map(|x| f64::from(*x) / 128.0).chain(hidden).collect();
        for unit in 0..UNITS {
            let [i, o, f, g] = [0, 1, 2, 3].map(|gate| {
                let row = 4 * unit + gate;
                let products = case.weights[row * COLUMNS..].iter().zip(&joined).map(|(w, x)| f64::from(*w) * x);
                scales[row] * (products.sum::<f64>() + f64::from(case.bias[row]) / 128.0)
            });
            cell[unit] = sigmoid(f) * cell[unit] + sigmoid(i) * g.tanh();
            hidden[unit] = sigmoid(o) * cell[unit].tanh();
            let difference = (f64::from(states.1[unit]) / 128.0 - hidden[unit]).abs();
            worst = worst.max(difference);
            sum += difference;
        }
    }
    let mean = sum / (50 * UNITS) as f64;
    assert!(worst < 0.05 && mean < 0.01, "hidden states differ by up to {worst}, {mean} in the mean");
}

/// Says which error a change of a model with an LSTM as op 1 leads to.
fn refused(change: impl FnOnce(&mut ModelBuilder)) -> Option<Error> {
    let [table, ..] = embeddings();
    let mut builder = text_model(PACKING_PORTABLE, table, false);
    change(&mut builder);
    Model::parse(&builder.finish()).err()
}

#[test]
fn parameters_and_tensors_that_do_not_fit_are_refused() {
    let (out_of_range, mismatch) = (Some(Error::Parameters { op: 1 }), Some(Error::ShapeMismatch { op: 1 }));
    for (value, expected) in [(7, out_of_range), (8, None), (15, None), (16, out_of_range)] {
        let change = |model: &mut ModelBuilder| {
            if let Parameters::Lstm { cell_shift, .. } = &mut model.ops[1].parameters {
                *cell_shift = value;
            }
        };
        assert_eq!(refused(change), expected, "cell shift {value}");
    }
    let change = |model: &mut ModelBuilder| {
        if let Parameters::Lstm { multipliers, .. } = &mut model.ops[1].parameters {
            multipliers[19] = -1;
        }
    };
    assert_eq!(refused(change), out_of_range);
    let change = |model: &mut ModelBuilder| {
        if let Parameters::Lstm { weights, .. } = &mut model.ops[1].parameters {
            weights.pop();
        }
    };
    assert!(matches!(refused(change), Some(Error::Section { .. })));
    let change = |model: &mut ModelBuilder| {
        if let Parameters::Lstm { cell, .. } = &mut model.ops[1].parameters {
            *cell = 70;
        }
    };
    assert_eq!(refused(change), Some(Error::NoSuchTensor { tensor: 70 }));
    // Tensors: 1 the input, 2 and 3 the states.
    assert_eq!(refused(|model| model.tensors[3].element = Element::I8), mismatch);
    assert_eq!(refused(|model| model.tensors[3].shape.channels = 4), mismatch);
    assert_eq!(refused(|model| model.tensors[2].zero_point = 1), mismatch);
    assert_eq!(refused(|model| model.tensors[2].element = Element::I16), mismatch);
    // The op before is the first to notice.
    assert_eq!(refused(|model| model.tensors[1].zero_point = 1), Some(Error::ShapeMismatch { op: 0 }));
}
