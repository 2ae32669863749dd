//! Depthwise convolutions: the fast form and the reference against exact arithmetic, and what a container may ask for.

mod common;

use common::{bytes, stage, tensor};
use firmware::kernels::{DepthwiseConv2d, OutputStage, Shape, Window, optimized, reference};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Error, Model, Preference, Tensor};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    input: Shape,
    window: Window,
    values: Vec<i8>,
    weights: Vec<i8>,
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    zero_points: [i8; 2],
    bounds: [i8; 2],
}

impl Case {
    fn output(&self) -> Shape {
        let [height, width] = self.window.positions(self.input).unwrap();
        Shape { height, width, ..self.input }
    }

    fn run(&self, kernel: impl Fn(&DepthwiseConv2d<'_>, &[i8], &mut [i8], &mut [u32])) -> Vec<i8> {
        let stage = OutputStage {
            bias: &self.bias,
            multipliers: &self.multipliers,
            left_shift: 2,
            zero_point: self.zero_points[1],
            output_min: self.bounds[0],
            output_max: self.bounds[1],
        };
        let conv = DepthwiseConv2d {
            input: self.input,
            output: self.output(),
            window: self.window,
            input_zero_point: self.zero_points[0],
            weights: &self.weights,
            stage,
        };
        let mut output = vec![77; conv.output.elements()];
        // What an op before left in scratch must not matter.
        let words = optimized::depthwise_scratch_bytes(self.input, self.window) / 4;
        kernel(&conv, &self.values, &mut output, &mut vec![0xa5a5_a5a5; words]);
        output
    }

    /// By another road: each value is added, times its weight, to all outputs that see it; places in the padding are
    /// what a window has too few of.
    fn exact(&self) -> Vec<i8> {
        let (output, channels) = (self.output(), self.input.channels);
        let area = self.window.kernel[0] * self.window.kernel[1];
        let all = |channel: usize| self.weights[channel * area..][..area].iter().map(|&w| i128::from(w)).sum::<i128>();
        let padding = i128::from(self.zero_points[0]);
        let mut sums: Vec<i128> = (0..output.elements()).map(|index| padding * all(index % channels)).collect();
        for (index, value) in self.values.iter().enumerate() {
            let (place, channel) = (index / channels, index % channels);
            let at = [place / self.input.width, place % self.input.width];
            for tap in 0..area {
                let tap_at = [tap / self.window.kernel[1], tap % self.window.kernel[1]];
                let step = |axis: usize| {
                    let corner = (at[axis] + self.window.padding[axis]).checked_sub(tap_at[axis])?;
                    let side = [output.height, output.width][axis];
                    let step = corner / self.window.stride[axis];
                    (corner % self.window.stride[axis] == 0 && step < side).then_some(step)
                };
                if let (Some(y), Some(x)) = (step(0), step(1)) {
                    let weight = i128::from(self.weights[channel * area + tap]);
                    sums[(y * output.width + x) * channels + channel] += weight * (i128::from(*value) - padding);
                }
            }
        }
        let requantized = |(index, sum): (usize, i128)| {
            let accumulator = (sum + i128::from(self.bias[index % channels])) << 2;
            let product = accumulator * i128::from(self.multipliers[index % channels]);
            let value = i128::from(self.zero_points[1]) + (2 * product + (1 << 32)).div_euclid(1 << 33);
            value.clamp(self.bounds[0].into(), self.bounds[1].into()) as i8
        };
        sums.into_iter().enumerate().map(requantized).collect()
    }
}

fn values(length: usize) -> impl Strategy<Value = Vec<i8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<i8>(), length),
        1 => prop::collection::vec(prop::sample::select(&[-128i8, 127][..]), length),
    ]
}

/// Half of them 3×3 with a stride of one or two, which has loops of its own.
fn case() -> impl Strategy<Value = Case> {
    let geometry = prop_oneof![
        (1usize..=6, 1usize..=6, [1usize..=4, 1..=4]),
        (1usize..=2).prop_map(|stride| (3, 3, [stride, stride])),
    ];
    (geometry, [0usize..=5, 0..=5, 0..=5, 0..=5], [0usize..=8, 0..=8], 1usize..=10)
        .prop_filter_map("the window does not fit", |((height, width, stride), padding, extra, channels)| {
            let kernel = [height, width];
            let padding: [usize; 4] = std::array::from_fn(|side| padding[side] % kernel[side % 2]);
            let side = |axis: usize| (kernel[axis] + extra[axis]).checked_sub(padding[axis] + padding[axis + 2]);
            let input = Shape { height: side(0)?, width: side(1)?, channels };
            let window = Window { kernel, stride, padding };
            window.positions(input).map(|_| (input, window))
        })
        .prop_flat_map(|(input, window)| {
            let (channels, area) = (input.channels, window.kernel[0] * window.kernel[1]);
            let stage = (
                prop::collection::vec(-5_000i32..5_000, channels),
                // Sums of random products are about 5,000 · √area long.
                prop::collection::vec(0.005f64..0.05, channels),
                any::<[i8; 2]>(),
                prop_oneof![Just([-128, 127]), (-128i8..0, 0i8..=127).prop_map(|(min, max)| [min, max])],
            );
            (values(input.elements()), values(channels * area), stage).prop_map(
                move |(values, weights, (bias, ratios, zero_points, bounds))| {
                    let multipliers =
                        ratios.iter().map(|ratio| (ratio / (area as f64).sqrt() * 2f64.powi(30)) as i32).collect();
                    Case { input, window, values, weights, bias, multipliers, zero_points, bounds }
                },
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn both_forms_are_exact(case in case()) {
        let exact = case.exact();
        prop_assert_eq!(&case.run(reference::depthwise_conv2d), &exact);
        prop_assert_eq!(&case.run(optimized::depthwise_conv2d), &exact);
    }
}

/// Every weight and every value at an end of its range.
#[test]
fn the_longest_sums_are_exact() {
    for [value, weight] in [[-128, -128], [-128, 127], [127, -128], [127, 127]] {
        for side in [3, 255] {
            let input = Shape { height: side, width: side, channels: 2 };
            let area = side * side;
            let case = Case {
                input,
                window: Window { kernel: [side, side], stride: [1, 1], padding: [0; 4] },
                values: vec![value; input.elements()],
                weights: vec![weight; 2 * area],
                bias: vec![0; 2],
                multipliers: vec![(2f64.powi(30) * 100.0 / (area * 16_384) as f64) as i32; 2],
                zero_points: [0; 2],
                bounds: [-128, 127],
            };
            // Shifted left by two, the long ones do not fit: the exporter would not have chosen that.
            let exact = if side == 255 { None } else { Some(case.exact()) };
            let fast = case.run(optimized::depthwise_conv2d);
            assert_eq!(fast, case.run(reference::depthwise_conv2d));
            assert!(exact.is_none_or(|exact| exact == fast), "{value} · {weight}");
        }
    }
}

/// `5×4×3 ── 3×2, stride 2 ──▶ 2×2×3`.
fn model(edit: impl FnOnce(&mut Window, &mut OutputStageSpec, &mut [Tensor])) -> Vec<u8> {
    let mut window = Window { kernel: [3, 2], stride: [2, 2], padding: [0; 4] };
    let mut output_stage = stage(3);
    let mut tensors = vec![tensor(0, [5, 4, 3], Element::I8), tensor(60, [2, 2, 3], Element::I8)];
    edit(&mut window, &mut output_stage, &mut tensors);
    let conv = OpSpec {
        input: 0,
        output: 1,
        packing: PACKING_PORTABLE,
        preference: Preference::default(),
        parameters: Parameters::DepthwiseConv2d { weights: bytes(4, 18), output_stage, window },
    };
    ModelBuilder { name: "depthwise".into(), tensors, ops: vec![conv], output: 1, ..Default::default() }.finish()
}

#[test]
fn what_no_kernel_can_do_is_refused() {
    let refused = |edit: &dyn Fn(&mut Window, &mut OutputStageSpec, &mut [Tensor])| Model::parse(&model(edit)).err();
    let out_of_range = Some(Error::Parameters { op: 0 });
    assert_eq!(refused(&|_, _, _| ()), None);
    assert_eq!(refused(&|window, _, _| window.stride[1] = 0), out_of_range);
    assert_eq!(refused(&|window, _, _| window.padding[3] = 2), out_of_range);
    assert_eq!(refused(&|_, stage, _| stage.multipliers[2] = -1), out_of_range);
    assert_eq!(refused(&|_, stage, _| stage.left_shift = 32), out_of_range);
    let mismatch = Some(Error::ShapeMismatch { op: 0 });
    assert_eq!(refused(&|_, _, tensors| tensors[1].shape.channels = 2), mismatch);
    assert_eq!(refused(&|_, _, tensors| tensors[1].shape.height = 1), mismatch);
    assert_eq!(refused(&|_, _, tensors| tensors[0].element = Element::I16), mismatch);
    assert!(matches!(refused(&|_, stage, _| stage.bias.truncate(2)), Some(Error::Section { .. })));
    // A kernel of other sides has other weights.
    assert!(matches!(
        refused(&|window, _, _| window.kernel = [3, 3]),
        Some(Error::Section { .. } | Error::ShapeMismatch { .. })
    ));
}
