//! Transposed convolutions: the reference against exact arithmetic, every form against the reference, and what a container may
//! ask for.

mod common;

use common::{bytes, transposed_model as model};
use firmware::kernels::variants::VARIANTS;
use firmware::kernels::{ConvTranspose2d, OutputStage, Shape, Window, optimized, packing, reference};
use firmware::model::format::{PACKING_DSP_WINOGRAD, PACKING_PORTABLE};
use firmware::model::writer::{ModelBuilder, Parameters};
use firmware::model::{Error, Model};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    input: Shape,
    window: Window,
    channels: usize,
    values: Vec<i8>,
    /// OHWI.
    weights: Vec<i8>,
    bias: Vec<i32>,
    multipliers: Vec<i32>,
    zero_points: [i8; 2],
    bounds: [i8; 2],
    table: Option<[i8; 256]>,
}

impl Case {
    fn output(&self) -> Shape {
        ConvTranspose2d::output_shape(self.input, self.window, self.channels).unwrap()
    }

    fn conv<'a>(&'a self, weights: &'a [i8]) -> ConvTranspose2d<'a> {
        ConvTranspose2d {
            input: self.input,
            output: self.output(),
            window: self.window,
            input_zero_point: self.zero_points[0],
            weights,
            stage: OutputStage {
                bias: &self.bias,
                multipliers: &self.multipliers,
                left_shift: 0,
                zero_point: self.zero_points[1],
                output_min: self.bounds[0],
                output_max: self.bounds[1],
            },
            table: self.table.as_ref(),
        }
    }

    fn reference(&self) -> Vec<i8> {
        let packed =
            packing::conv_transpose2d(PACKING_PORTABLE, &self.weights, self.channels, self.input.channels, self.window);
        let mut output = vec![77; self.output().elements()];
        reference::conv_transpose2d(&self.conv(&packed), &self.values, &mut output, &mut []);
        output
    }

    /// By another road: each value of an input with a margin of zero points all around is spread over the outputs that it goes
    /// into, in 128 bits.
    fn exact(&self) -> Vec<i8> {
        let Shape { height, width, channels } = self.output();
        let Window { kernel, stride, padding: [top, left, ..] } = self.window;
        let mut sums = vec![0i128; height * width * channels];
        let margin = kernel[0].max(kernel[1]) as isize;
        for i in -margin..self.input.height as isize + margin {
            for j in -margin..self.input.width as isize + margin {
                let inside =
                    (0..self.input.height as isize).contains(&i) && (0..self.input.width as isize).contains(&j);
                for (k, l) in (0..kernel[0]).flat_map(|k| (0..kernel[1]).map(move |l| (k, l))) {
                    let y = i * stride[0] as isize + k as isize - top as isize;
                    let x = j * stride[1] as isize + l as isize - left as isize;
                    if !(0..height as isize).contains(&y) || !(0..width as isize).contains(&x) {
                        continue;
                    }
                    for (o, c) in (0..channels).flat_map(|o| (0..self.input.channels).map(move |c| (o, c))) {
                        let place = (i * self.input.width as isize + j) * self.input.channels as isize;
                        let value = if inside { self.values[place as usize + c] } else { self.zero_points[0] };
                        let weight = self.weights[((o * kernel[0] + k) * kernel[1] + l) * self.input.channels + c];
                        let sum = &mut sums[(y as usize * width + x as usize) * channels + o];
                        *sum += i128::from(value) * i128::from(weight);
                    }
                }
            }
        }
        let requantized = |(index, sum): (usize, i128)| {
            let (place, o) = (index / channels, index % channels);
            let phase = place / width % stride[0] * stride[1] + place % width % stride[1];
            let sum = sum + i128::from(self.bias[phase * channels + o]);
            let scaled = (2 * sum * i128::from(self.multipliers[o]) + (1 << 32)).div_euclid(1 << 33);
            let value = (i128::from(self.zero_points[1]) + scaled).clamp(self.bounds[0].into(), self.bounds[1].into());
            self.table.map_or(value as i8, |table| table[(value + 128) as usize])
        };
        sums.into_iter().enumerate().map(requantized).collect()
    }
}

/// Random bytes, or nothing but one extreme.
fn values(length: usize) -> impl Strategy<Value = Vec<i8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<i8>(), length),
        1 => prop::sample::select(&[-128i8, 127][..]).prop_map(move |value| vec![value; length]),
    ]
}

/// Strides, kernels at least as large, cuts up to what they leave, sizes that leave outputs over.
fn window() -> impl Strategy<Value = Window> {
    let side = (1usize..=3, 0usize..=3, 0usize..=3, 0usize..=3);
    (side.clone(), side).prop_map(|(rows, columns)| Window {
        kernel: [rows.0 + rows.1, columns.0 + columns.1],
        stride: [rows.0, columns.0],
        padding: [rows.2.min(rows.1), columns.2.min(columns.1), rows.3.min(rows.1), columns.3.min(columns.1)],
    })
}

fn case() -> impl Strategy<Value = Case> {
    let shape =
        ([1usize..=5, 1..=5], 1usize..=9).prop_map(|([height, width], channels)| Shape { height, width, channels });
    (shape, window(), 1usize..=19)
        .prop_filter("no output", |(input, window, channels)| {
            ConvTranspose2d::output_shape(*input, *window, *channels).is_some()
        })
        .prop_flat_map(|(input, window, channels)| {
            let taps = window.kernel[0] * window.kernel[1] * input.channels;
            let phases = window.stride[0] * window.stride[1];
            // Multipliers that spread the sums over the outputs, so that few of them saturate.
            let most = ((150i64 << 32) / (taps as i64 * 128 * 40)).min(i64::from(i32::MAX)) as i32;
            let bounds = prop_oneof![Just([-128, 127]), (-128i8..0, 0i8..=127).prop_map(|(min, max)| [min, max])];
            let table = prop::option::of(any::<u32>().prop_map(|seed| bytes(seed, 256).try_into().unwrap()));
            (
                values(input.elements()),
                values(channels * taps),
                prop::collection::vec(-20_000i32..20_000, phases * channels),
                prop::collection::vec(0..=most, channels),
                any::<[i8; 2]>(),
                bounds,
                table,
            )
                .prop_map(move |(values, weights, bias, multipliers, zero_points, bounds, table)| Case {
                    input,
                    window,
                    channels,
                    values,
                    weights,
                    bias,
                    multipliers,
                    zero_points,
                    bounds,
                    table,
                })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_form_is_exact(case in case()) {
        let exact = case.exact();
        prop_assert_eq!(&case.reference(), &exact);
        for variant in VARIANTS.iter().filter(|variant| variant.packing != PACKING_DSP_WINOGRAD) {
            let packed = packing::conv_transpose2d(
                variant.packing, &case.weights, case.channels, case.input.channels, case.window,
            );
            let scratch = optimized::conv_transpose2d_scratch_bytes(variant, case.input, case.output(), case.window);
            let mut scratch = vec![0xdead_beef; scratch / 4];
            let mut output = vec![77; exact.len()];
            optimized::conv_transpose2d(variant, &case.conv(&packed), &case.values, &mut output, &mut scratch);
            prop_assert_eq!(&output, &exact, "{}", variant.name);
        }
    }
}

/// The layers of a digit generator, but for their channels, over nothing but extremes: the longest sums there are.
#[test]
fn the_longest_sums_are_exact() {
    let window = Window { kernel: [4, 4], stride: [2, 2], padding: [1; 4] };
    for (value, weight) in [(-128, -128), (-128, 127), (127, -128), (127, 127)] {
        let case = Case {
            input: Shape { height: 3, width: 3, channels: 128 },
            window,
            channels: 3,
            values: vec![value; 9 * 128],
            weights: vec![weight; 3 * 16 * 128],
            bias: vec![0; 12],
            multipliers: vec![50_000; 3],
            zero_points: [value, 3],
            bounds: [-128, 127],
            table: None,
        };
        assert_eq!(case.reference(), case.exact());
    }
}

fn error(builder: &ModelBuilder) -> Error {
    Model::parse(&builder.finish()).map(|_| ()).unwrap_err()
}

#[test]
fn a_container_is_held_to_the_window() {
    assert!(Model::parse(&model(PACKING_PORTABLE).finish()).is_ok());
    let op = 0;
    let with = |change: &dyn Fn(&mut Parameters)| {
        let mut builder = model(PACKING_PORTABLE);
        change(&mut builder.ops[0].parameters);
        error(&builder)
    };
    let window = |new: Window| {
        with(&|parameters| match parameters {
            Parameters::ConvTranspose2d { window, .. } => *window = new,
            _ => unreachable!(),
        })
    };
    let usual = Window { kernel: [4, 4], stride: [2, 2], padding: [1; 4] };
    assert_eq!(window(Window { padding: [3, 1, 1, 1], ..usual }), Error::Parameters { op }, "cuts into the kernel");
    assert_eq!(window(Window { stride: [5, 2], ..usual }), Error::Parameters { op }, "leaves gaps");
    assert_eq!(window(Window { stride: [0, 2], ..usual }), Error::Parameters { op });
    assert_eq!(window(Window { padding: [0, 1, 1, 1], ..usual }), Error::ShapeMismatch { op });
    let short = with(&|parameters| match parameters {
        Parameters::ConvTranspose2d { table, .. } => table.truncate(255),
        _ => unreachable!(),
    });
    assert!(matches!(short, Error::Section { .. }), "{short:?}");
    let biases = with(&|parameters| match parameters {
        Parameters::ConvTranspose2d { output_stage, .. } => output_stage.bias.truncate(5),
        _ => unreachable!(),
    });
    assert!(matches!(biases, Error::Section { .. }), "{biases:?}");
    let other = with(&|parameters| match parameters {
        Parameters::ConvTranspose2d { table, .. } => table.clear(),
        _ => unreachable!(),
    });
    assert_eq!(other, Error::Parameters { op }, "without a table, the zero point is the output's");
    assert_eq!(error(&model(PACKING_DSP_WINOGRAD)), Error::UnknownPacking { op });
}
