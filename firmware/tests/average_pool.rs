//! Average-pools: the fast form and the reference against exact arithmetic, and what a container may ask for.

mod common;

use common::tensor;
use firmware::kernels::{AveragePool2d, OutputStage, Shape, Window, optimized, reference};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Error, Model, Preference, Tensor};
use firmware::plan::Interpreter;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    input: Shape,
    window: Window,
    values: Vec<i8>,
    multipliers: Vec<i32>,
    left_shift: u8,
    zero_points: [i8; 2],
    bounds: [i8; 2],
}

impl Case {
    fn output(&self) -> Shape {
        let [height, width] = self.window.positions(self.input).unwrap();
        Shape { height, width, ..self.input }
    }

    fn run(&self, kernel: impl Fn(&AveragePool2d<'_>, &[i8], &mut [i8])) -> Vec<i8> {
        let stage = OutputStage {
            bias: &[],
            multipliers: &self.multipliers,
            left_shift: self.left_shift,
            zero_point: self.zero_points[1],
            output_min: self.bounds[0],
            output_max: self.bounds[1],
        };
        let [input_zero_point, _] = self.zero_points;
        let pool =
            AveragePool2d { input: self.input, output: self.output(), window: self.window, input_zero_point, stage };
        let mut output = vec![77; pool.output.elements()];
        kernel(&pool, &self.values, &mut output);
        output
    }

    /// By another road: for each value the windows that see it, sums in 128 bits, `floor(2·p / 2³³ + 1/2)`.
    fn exact(&self) -> Vec<i8> {
        let output = self.output();
        let mut sums = vec![(0i128, 0usize); output.elements()];
        let Shape { width, channels, .. } = self.input;
        for (index, value) in self.values.iter().enumerate() {
            let [row, column] = [index / channels / width, index / channels % width];
            for (place, sum) in sums.iter_mut().enumerate().filter(|(place, _)| place % channels == index % channels) {
                let [y, x] = [place / channels / output.width, place / channels % output.width];
                let sees = |at: usize, step: usize, axis: usize| {
                    let at = at + self.window.padding[axis];
                    (step * self.window.stride[axis]..step * self.window.stride[axis] + self.window.kernel[axis])
                        .contains(&at)
                };
                if sees(row, y, 0) && sees(column, x, 1) {
                    *sum = (sum.0 + i128::from(*value) - i128::from(self.zero_points[0]), sum.1 + 1);
                }
            }
        }
        let requantized = |(sum, count): (i128, usize)| {
            let multiplier = self.multipliers[if self.multipliers.len() == 1 { 0 } else { count - 1 }];
            let product = (sum << self.left_shift) * i128::from(multiplier);
            let value = i128::from(self.zero_points[1]) + (2 * product + (1 << 32)).div_euclid(1 << 33);
            value.clamp(self.bounds[0].into(), self.bounds[1].into()) as i8
        };
        sums.into_iter().map(requantized).collect()
    }
}

fn case() -> impl Strategy<Value = Case> {
    let kernel = prop_oneof![4 => [1usize..=4, 1..=4], 1 => [1usize..=3, 250..=255]];
    (kernel, [1usize..=3, 1..=3], [0usize..=3, 0..=3, 0..=3, 0..=3], [1usize..=6, 1..=6], 1usize..=11)
        .prop_map(|(kernel, stride, padding, extra, channels)| {
            let padding: [usize; 4] = std::array::from_fn(|side| padding[side].min(kernel[side % 2] - 1));
            let side = |axis: usize| kernel[axis] + extra[axis] - 1;
            (Shape { height: side(0), width: side(1), channels }, Window { kernel, stride, padding })
        })
        .prop_flat_map(|(input, window)| {
            let values = prop_oneof![
                3 => prop::collection::vec(any::<i8>(), input.elements()),
                1 => prop::sample::select(&[-128i8, 127][..]).prop_map(move |value| vec![value; input.elements()]),
            ];
            let places = window.kernel[0] * window.kernel[1];
            let bounds = prop_oneof![Just([-128, 127]), (-128i8..0, 0i8..=127).prop_map(|(min, max)| [min, max])];
            (values, any::<bool>(), 0.2f64..1.9, any::<[i8; 2]>(), bounds).prop_map(
                move |(values, by_count, ratio, zero_points, bounds)| {
                    // Scales round a mean, so that outputs spread; a ratio of up to 2 needs a shift.
                    let multiplier = |count: usize| (ratio / count as f64 * 2f64.powi(31)) as i32;
                    let multipliers = if by_count {
                        (1..=places).map(|count| multiplier(count.max(2))).collect()
                    } else {
                        vec![multiplier(places.max(2))]
                    };
                    Case { input, window, values, multipliers, left_shift: 1, zero_points, bounds }
                },
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn both_forms_are_exact(case in case()) {
        let exact = case.exact();
        prop_assert_eq!(&case.run(reference::average_pool2d), &exact);
        prop_assert_eq!(&case.run(optimized::average_pool2d), &exact);
    }
}

/// The largest window there is over nothing but one extreme.
#[test]
fn the_longest_sums_are_exact() {
    for value in [-128, 127] {
        let input = Shape { height: 255, width: 255, channels: 5 };
        let case = Case {
            input,
            window: Window { kernel: [255, 255], stride: [1, 1], padding: [0; 4] },
            values: vec![value; input.elements()],
            multipliers: vec![(2f64.powi(32 - 7) / 65_025.0 * 0.9) as i32],
            left_shift: 7,
            zero_points: [!value, 3],
            bounds: [-128, 127],
        };
        let exact = case.exact();
        assert_eq!(case.run(reference::average_pool2d), exact);
        assert_eq!(case.run(optimized::average_pool2d), exact);
        // Nothing has wrapped: 0.9 · ±255.
        assert_eq!(exact, vec![if value < 0 { -128 } else { 127 }; 5]);
    }
}

/// `4×4×3 ── mean of 2×2, stride 2 ──▶ 2×2×3`.
fn model(edit: impl FnOnce(&mut Window, &mut OutputStageSpec, &mut [Tensor])) -> Vec<u8> {
    let mut window = Window { kernel: [2, 2], stride: [2, 2], padding: [0; 4] };
    let mut output_stage =
        OutputStageSpec { multipliers: vec![1 << 30], output_min: -100, output_max: 127, ..Default::default() };
    let mut tensors = vec![tensor(0, [4, 4, 3], Element::I8), tensor(48, [2, 2, 3], Element::I8)];
    edit(&mut window, &mut output_stage, &mut tensors);
    let pool = OpSpec {
        input: 0,
        output: 1,
        packing: PACKING_PORTABLE,
        preference: Preference::default(),
        parameters: Parameters::AveragePool2d { window, output_stage },
    };
    ModelBuilder { name: "pool".into(), tensors, ops: vec![pool], output: 1, ..Default::default() }.finish()
}

#[test]
fn a_model_with_an_average_pool_runs() {
    // Means of fours, halves rounded up, bounded below by −100; all zero points are −5.
    let container = model(|_, _, _| ());
    let parsed = Model::parse(&container).unwrap();
    let (mut arena, mut scratch) = (vec![0; parsed.arena_bytes() / 4], Vec::new());
    let mut interpreter = Interpreter::new(parsed, &mut arena, &mut scratch).unwrap();
    let input = interpreter.input_mut();
    input.fill(-128);
    for (place, value) in [(0, 1), (1, 2), (4, 3), (5, 4)] {
        input[3 * place..][..3].copy_from_slice(&[value, -value, 127]);
    }
    interpreter.run().unwrap();
    assert_eq!(interpreter.output_i8(), [&[3, -2, 127][..], &[-100; 9]].concat());
}

#[test]
fn what_no_kernel_can_do_is_refused() {
    let refused = |edit: &dyn Fn(&mut Window, &mut OutputStageSpec, &mut [Tensor])| Model::parse(&model(edit)).err();
    let out_of_range = Some(Error::Parameters { op: 0 });
    assert_eq!(refused(&|window, _, _| window.stride[0] = 0), out_of_range);
    assert_eq!(refused(&|window, _, _| window.padding[1] = 2), out_of_range);
    assert_eq!(refused(&|_, stage, _| stage.multipliers[0] = -1), out_of_range);
    // 255 · 4 takes ten bits.
    assert_eq!(refused(&|_, stage, _| stage.left_shift = 21), None);
    assert_eq!(refused(&|_, stage, _| stage.left_shift = 22), out_of_range);
    assert_eq!(refused(&|_, stage, _| stage.output_min = 127), None);
    assert_eq!(refused(&|_, _, tensors| tensors[1].shape.channels = 2), Some(Error::ShapeMismatch { op: 0 }));
    assert_eq!(refused(&|_, _, tensors| tensors[0].element = Element::I16), Some(Error::ShapeMismatch { op: 0 }));
    assert_eq!(refused(&|_, stage, _| stage.multipliers = vec![1; 4]), None);
    for count in [0, 2, 3, 5] {
        let error = refused(&|_, stage, _| stage.multipliers = vec![1; count]);
        assert!(matches!(error, Some(Error::Section { .. })), "{count} multipliers: {error:?}");
    }
    assert!(matches!(refused(&|_, stage, _| stage.bias = vec![1]), Some(Error::Section { .. })));
}
