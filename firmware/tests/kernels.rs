//! Every form of every kernel against the reference, and the reference against exact arithmetic.

mod common;

use common::bytes;
use firmware::kernels::variants::{self, VARIANTS};
use firmware::kernels::{Conv2d, Dense, Lookup, MaxPool2d, OutputStage, Shape, Window, optimized, packing, reference};
use firmware::model::format::PACKING_DSP_WINOGRAD;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// A convolution with its data; weights in OHWI.
#[derive(Clone, Debug)]
struct Case {
    input: Shape,
    window: Window,
    pool: [usize; 2],
    channels: usize,
    values: Vec<i8>,
    weights: Vec<i8>,
    stage: Stage,
}

#[derive(Clone, Debug)]
struct Stage {
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    left_shift: u8,
    zero_points: [i8; 2],
    bounds: [i8; 2],
}

impl Stage {
    fn view(&self) -> OutputStage<'_> {
        OutputStage {
            bias: &self.bias,
            multipliers: &self.multipliers,
            left_shift: self.left_shift,
            zero_point: self.zero_points[1],
            output_min: self.bounds[0],
            output_max: self.bounds[1],
        }
    }

    /// Multipliers that spread accumulators of `±range` over the outputs, so that few of them saturate.
    fn spread(mut self, range: impl Fn(usize) -> i64) -> Self {
        for (channel, multiplier) in self.multipliers.iter_mut().enumerate() {
            let range = range(channel).max(1);
            // The shift must not push the largest accumulator out of 32 bits.
            while (range << self.left_shift) >= 1 << 31 {
                self.left_shift -= 1;
            }
            *multiplier = ((150i64 << 32) / (range << self.left_shift)).min(i64::from(i32::MAX)) as i32;
        }
        self
    }

    /// `floor(accumulator · 2^shift · multiplier / 2³² + 1/2)`, exactly.
    fn exact_logit(&self, channel: usize, accumulator: i128) -> i128 {
        let product = (accumulator << self.left_shift) * i128::from(self.multipliers[channel]);
        (2 * product + (1 << 32)).div_euclid(1 << 33)
    }

    fn exact(&self, channel: usize, accumulator: i128) -> i8 {
        let value = i128::from(self.zero_points[1]) + self.exact_logit(channel, accumulator);
        i8::try_from(value.clamp(self.bounds[0].into(), self.bounds[1].into())).unwrap()
    }
}

impl Case {
    fn output(&self) -> Shape {
        let [height, width] = self.window.positions(self.input).unwrap();
        Shape { height: height / self.pool[0], width: width / self.pool[1], channels: self.channels }
    }

    fn conv<'a>(&'a self, weights: &'a [i8]) -> Conv2d<'a> {
        Conv2d {
            input: self.input,
            output: self.output(),
            window: self.window,
            pool: self.pool,
            input_zero_point: self.stage.zero_points[0],
            weights,
            stage: self.stage.view(),
        }
    }

    fn reference(&self) -> Vec<i8> {
        let mut output = vec![0; self.output().elements()];
        reference::conv2d(&self.conv(&self.weights), &self.values, &mut output, &mut []);
        output
    }

    /// By another road: pads the input, computes the whole map, requantizes it, then pools.
    fn exact(&self) -> Vec<i8> {
        let Shape { height, width, channels } = self.input;
        let [top, left, bottom, right] = self.window.padding;
        let columns = left + width + right;
        let mut padded = vec![i128::from(self.stage.zero_points[0]); (top + height + bottom) * columns * channels];
        for (index, value) in self.values.iter().enumerate() {
            let (place, channel) = (index / channels, index % channels);
            padded[((place / width + top) * columns + place % width + left) * channels + channel] = i128::from(*value);
        }
        let [kernel_height, kernel_width] = self.window.kernel;
        let taps = kernel_height * kernel_width * channels;
        let at = |y: usize, x: usize, channel: usize| {
            let corner = (y * self.window.stride[0] * columns + x * self.window.stride[1]) * channels;
            let products = (0..taps).map(|tap| {
                let (row, rest) = (tap / (kernel_width * channels), tap % (kernel_width * channels));
                i128::from(self.weights[channel * taps + tap]) * padded[corner + row * columns * channels + rest]
            });
            self.stage.exact(channel, i128::from(self.stage.bias[channel]) + products.sum::<i128>())
        };
        let shape = self.output();
        let mut output = vec![i8::MIN; shape.elements()];
        for y in 0..shape.height * self.pool[0] {
            for x in 0..shape.width * self.pool[1] {
                for channel in 0..shape.channels {
                    let place = (y / self.pool[0] * shape.width + x / self.pool[1]) * shape.channels + channel;
                    output[place] = output[place].max(at(y, x, channel));
                }
            }
        }
        output
    }
}

/// Random bytes, or nothing but the extremes.
fn values(length: usize) -> impl Strategy<Value = Vec<i8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<i8>(), length),
        1 => prop::collection::vec(prop::sample::select(&[-128i8, 127][..]), length),
        1 => prop::sample::select(&[-128i8, 127][..]).prop_map(move |value| vec![value; length]),
    ]
}

fn stage(channels: usize) -> impl Strategy<Value = Stage> {
    let bounds = prop_oneof![Just([-128, 127]), (-128i8..0, 0i8..=127).prop_map(|(min, max)| [min, max])];
    let multipliers = vec![0; channels];
    let biases = prop::collection::vec(-20_000i32..20_000, channels);
    (biases, 0u8..=8, any::<[i8; 2]>(), bounds).prop_map(move |(bias, left_shift, zero_points, bounds)| Stage {
        bias,
        multipliers: multipliers.clone(),
        left_shift,
        zero_points,
        bounds,
    })
}

fn window() -> impl Strategy<Value = Window> {
    let any = (1usize..=4, 1usize..=4, [1usize..=3, 1..=3]);
    // One of three is what Winograd's form is for.
    prop_oneof![2 => any, 1 => Just((3, 3, [1, 1]))].prop_flat_map(|(height, width, stride)| {
        [0..height, 0..width, 0..height, 0..width].prop_map(move |padding| Window {
            kernel: [height, width],
            stride,
            padding,
        })
    })
}

/// Whether every form can do it.
fn is_for_winograd(case: &Case) -> bool {
    case.window.kernel == [3, 3] && case.window.stride == [1, 1] && matches!(case.pool, [1, 1] | [2, 2])
}

/// Geometries round the edges of blocks of four places, pairs of channels and fours of taps.
fn case() -> impl Strategy<Value = Case> {
    let pool = prop_oneof![Just([1, 1]), Just([2, 2]), [1usize..=3, 1..=3]];
    // Patches of a few values, and of more than what any form unrolls.
    let inputs = prop_oneof![5 => 1usize..=5, 1 => 12usize..=33];
    (window(), pool, [1usize..=3, 1..=4], 1usize..=9, inputs, [0usize..=2, 0..=2])
        .prop_filter_map("the window does not fit", |(window, pool, outputs, inputs, channels, extra)| {
            let [top, left, bottom, right] = window.padding;
            // Just large enough for the outputs, and a rest that a stride or a pool drops.
            let side = |axis: usize, padding: usize| {
                ((outputs[axis] * pool[axis] - 1) * window.stride[axis] + window.kernel[axis] + extra[axis])
                    .checked_sub(padding)
                    .filter(|side| *side > 0)
            };
            let shape = Shape { height: side(0, top + bottom)?, width: side(1, left + right)?, channels: inputs };
            Some((window, pool, shape, channels))
        })
        .prop_flat_map(|(window, pool, input, channels)| {
            let taps = window.kernel[0] * window.kernel[1] * input.channels;
            (values(input.elements()), values(channels * taps), stage(channels)).prop_map(
                move |(values, weights, stage)| Case {
                    stage: stage.spread(|channel| range(&weights[channel * taps..][..taps])),
                    input,
                    window,
                    pool,
                    channels,
                    values,
                    weights,
                },
            )
        })
}

/// Bound of an accumulator over `weights`, scaled down to what random inputs reach, and a bias.
fn range(weights: &[i8]) -> i64 {
    let bound: i64 = weights.iter().map(|weight| i64::from(weight.unsigned_abs()) * 128).sum();
    // The multiplier may saturate outputs; the shift must not overflow, so the bound itself counts there.
    bound + 20_000
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn conv2d_reference_is_exact(case in case()) {
        prop_assert_eq!(case.reference(), case.exact());
    }

    #[test]
    fn conv2d_forms_equal_the_reference(case in case()) {
        let expected = case.reference();
        let [kernel_height, kernel_width] = case.window.kernel;
        for variant in VARIANTS {
            let shape = [case.channels, kernel_height, kernel_width, case.input.channels];
            let Some(bytes) =
                packing::conv2d_bytes(variant.packing, case.channels, case.input, case.window, case.pool)
            else {
                prop_assert!(!is_for_winograd(&case));
                continue;
            };
            let weights = packing::conv2d(variant.packing, &case.weights, shape);
            prop_assert_eq!(weights.len(), bytes, "{}", variant.name);
            let scratch_bytes = (variant.conv2d_scratch_bytes)(case.input, case.window, case.pool);
            // What an op before left in scratch and output must not matter.
            let mut scratch = vec![0xa5a5_a5a5; scratch_bytes / 4];
            let mut output = vec![77; expected.len()];
            (variant.conv2d)(&case.conv(&weights), &case.values, &mut output, &mut scratch);
            prop_assert_eq!(&output, &expected, "{}", variant.name);
        }
    }

    #[test]
    fn dense_forms_equal_exact_arithmetic(
        (values, weights, stage, outputs) in (1usize..=70, prop_oneof![3 => 1usize..=9, 1 => 60usize..=140]).prop_flat_map(|(inputs, outputs)| {
            (values(inputs), values(inputs * outputs), stage(outputs), Just(outputs))
        }),
        // Layers take whatever scratch there is.
        scratch_words in 0usize..=40,
    ) {
        let inputs = values.len();
        let stage = stage.spread(|channel| range(&weights[channel * inputs..][..inputs]));
        let accumulator = |channel: usize| {
            let row = &weights[channel * inputs..][..inputs];
            let products = row.iter().zip(&values).map(|(w, x)| i128::from(*w) * i128::from(*x));
            i128::from(stage.bias[channel]) + products.sum::<i128>()
        };
        let activations: Vec<i8> = (0..outputs).map(|channel| stage.exact(channel, accumulator(channel))).collect();
        let logits: Vec<i128> = (0..outputs).map(|channel| stage.exact_logit(channel, accumulator(channel))).collect();
        let run = |packed: &[i8], dense: DenseKernel<i8>, dense_logits: DenseKernel<i32>| {
            let layer = Dense { inputs, outputs, weights: packed, stage: stage.view() };
            let (mut i8s, mut i32s) = (vec![77; outputs], vec![77; outputs]);
            dense(&layer, &values, &mut i8s, &mut vec![0xa5a5_a5a5; scratch_words]);
            dense_logits(&layer, &values, &mut i32s, &mut vec![0xa5a5_a5a5; scratch_words]);
            (i8s, i32s.into_iter().map(i128::from).collect::<Vec<_>>())
        };
        let expected = (activations, logits);
        prop_assert_eq!(&run(&weights, reference::dense, reference::dense_logits), &expected);
        for variant in VARIANTS {
            let packed = packing::dense(variant.packing, &weights, [outputs, inputs]);
            prop_assert_eq!(&run(&packed, variant.dense, variant.dense_logits), &expected, "{}", variant.name);
        }
    }

    #[test]
    fn lookup_forms_equal_the_reference(table in values(256), values in (0usize..=70).prop_flat_map(values)) {
        let lookup = Lookup { table: table.first_chunk().unwrap() };
        let expected: Vec<i8> = values.iter().map(|value| table[(i32::from(*value) + 128) as usize]).collect();
        let forms = VARIANTS.iter().map(|variant| (variant.name, variant.lookup));
        for (name, form) in forms.chain([("reference", reference::lookup as _)]) {
            let mut output = vec![77; values.len()];
            form(&lookup, &values, &mut output);
            prop_assert_eq!(&output, &expected, "{}", name);
        }
    }

    #[test]
    fn max_pool2d_equals_the_reference(
        (window, values, height, width) in (window(), 1usize..=7, 1usize..=7, 1usize..=5).prop_flat_map(
            |(window, height, width, channels)| {
                (Just(window), values(height * width * channels), Just(height), Just(width))
            },
        ),
    ) {
        let input = Shape { height, width, channels: values.len() / (height * width) };
        let Some([height, width]) = window.positions(input) else { return Ok(()) };
        let pool = MaxPool2d { input, output: Shape { height, width, ..input }, window };
        let [mut expected, mut output] = [[77], [78]].map(|fill| fill.repeat(pool.output.elements()));
        reference::max_pool2d(&pool, &values, &mut expected);
        optimized::max_pool2d(&pool, &values, &mut output);
        prop_assert_eq!(output, expected);
    }
}

type DenseKernel<O> = fn(&Dense<'_>, &[i8], &mut [O], &mut [u32]);

/// The drawn cases must exercise what they are for: outputs between the bounds, not at them.
#[test]
fn drawn_outputs_seldom_saturate() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut between, mut all) = (0, 0);
    for _ in 0..300 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let outputs = case.reference();
        between += outputs.iter().filter(|value| !case.stage.bounds.contains(value)).count();
        all += outputs.len();
    }
    assert!(between * 2 > all, "{between} of {all} outputs lie between the bounds");
}

/// As many channels as there may be, and the longest inputs and weights: four times a sum is just below 2³¹.
#[test]
fn the_longest_sums_of_winograd_are_exact() {
    let channels = packing::winograd::MAX_CHANNELS;
    let input = Shape { height: 4, width: 4, channels };
    let window = Window { kernel: [3, 3], stride: [1, 1], padding: [0; 4] };
    let extremes = [-128, 127];
    for (value, weight) in extremes.into_iter().flat_map(|value| extremes.map(|weight| (value, weight))) {
        for pool in [[1, 1], [2, 2]] {
            let weights = [vec![weight; 9 * channels], bytes(5, 9 * channels)].concat();
            let stage = Stage {
                bias: vec![0; 2],
                multipliers: vec![0; 2],
                left_shift: 0,
                zero_points: [-3; 2],
                bounds: [-128, 127],
            };
            let case = Case {
                stage: stage.spread(|channel| range(&weights[channel * 9 * channels..][..9 * channels])),
                input,
                window,
                pool,
                channels: 2,
                values: vec![value; input.elements()],
                weights,
            };
            let packed = packing::conv2d(PACKING_DSP_WINOGRAD, &case.weights, [2, 3, 3, channels]);
            let winograd = variants::variant(PACKING_DSP_WINOGRAD).unwrap();
            let mut scratch = vec![0; (winograd.conv2d_scratch_bytes)(input, window, pool) / 4];
            let mut output = vec![77; case.output().elements()];
            (winograd.conv2d)(&case.conv(&packed), &case.values, &mut output, &mut scratch);
            assert_eq!(output, case.exact());
        }
    }
}

/// Long rows at the extremes: the interleaved sums of the DSP form pass 2³¹ and must come back.
#[test]
fn long_rows_of_extremes_are_exact() {
    for [value, weight] in [[-128, -128], [-128, 127], [127, -128], [127, 127]] {
        let (inputs, values) = (60_001, vec![value; 60_001]);
        let weights = [vec![weight; inputs], bytes(3, inputs)].concat();
        let stage = Stage {
            bias: vec![0; 2],
            multipliers: vec![1 << 30; 2],
            left_shift: 0,
            zero_points: [0; 2],
            bounds: [-128, 127],
        };
        let expected = i128::from(value) * i128::from(weight) * inputs as i128;
        for variant in VARIANTS {
            let packed = packing::dense(variant.packing, &weights, [2, inputs]);
            let dense = Dense { inputs, outputs: 2, weights: &packed, stage: stage.view() };
            let mut logits = [0; 2];
            (variant.dense_logits)(&dense, &values, &mut logits, &mut []);
            assert_eq!(i128::from(logits[0]), stage.exact_logit(0, expected), "{}", variant.name);
        }
    }
}
