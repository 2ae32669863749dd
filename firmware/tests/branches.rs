//! Sums, concatenations and slices: against exact arithmetic, and what a container may ask for.

mod common;

use common::tensor;
use firmware::kernels::{Add, Concat, Multiply, Shape, Slice, optimized, reference};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, Parameters};
use firmware::model::{Element, Error, Model, Preference, Tensor};
use firmware::plan::Interpreter;
use proptest::prelude::*;

/// `round(zero point + (a − zₐ)·m/2^s + (b − z_b)·n/2^s)`, halves up, by Euclid's division.
fn exact(add: &Add, a: i8, b: i8) -> i8 {
    let [m, n] = add.multipliers.map(i128::from);
    let [a, b] = [i128::from(a) - i128::from(add.zero_points[0]), i128::from(b) - i128::from(add.zero_points[1])];
    let twice = 2 * (a * m + b * n) + (1i128 << add.shift);
    let value = i128::from(add.zero_point) + twice.div_euclid(2i128 << add.shift);
    value.clamp(add.output_min.into(), add.output_max.into()) as i8
}

fn sums() -> impl Strategy<Value = Add> {
    let bounds = prop_oneof![Just([-128, 127]), (-128i8..0, 0i8..=127).prop_map(|(min, max)| [min, max])];
    (prop::array::uniform2(-2.0f64..2.0), any::<[i8; 3]>(), 0u8..=30, bounds).prop_filter_map(
        "a sum does not fit",
        |(ratios, [za, zb, zero_point], shift, [output_min, output_max])| {
            let multipliers = ratios.map(|ratio| (ratio * 2f64.powi(shift.into())).round() as i32);
            let add = Add { multipliers, zero_points: [za, zb], zero_point, shift, output_min, output_max };
            add.fits().then_some(add)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn sums_are_exact(add in sums(), values in prop::collection::vec(any::<[i8; 2]>(), 0..40)) {
        let extremes = [[-128, -128], [-128, 127], [127, -128], [127, 127]];
        let pairs: Vec<[i8; 2]> = values.into_iter().chain(extremes).collect();
        let [a, b] = [0, 1].map(|side| pairs.iter().map(|pair| pair[side]).collect::<Vec<i8>>());
        let expected: Vec<i8> = pairs.iter().map(|[a, b]| exact(&add, *a, *b)).collect();
        let run = |kernel: fn(&Add, [&[i8]; 2], &mut [i8])| {
            let mut output = vec![77; pairs.len()];
            kernel(&add, [&a, &b], &mut output);
            output
        };
        prop_assert_eq!(&run(reference::add), &expected);
        prop_assert_eq!(&run(optimized::add), &expected);
    }

    #[test]
    fn what_fits_is_what_never_leaves_32_bits(multipliers: [i32; 2], zero_points: [i8; 2], zero_point: i8, shift in 0u8..=30) {
        let add = Add { multipliers, zero_points, zero_point, shift, output_min: -128, output_max: 127 };
        let [m, n] = multipliers.map(i128::from);
        let [za, zb, zero_point] = [zero_points[0], zero_points[1], zero_point].map(i128::from);
        let start = (zero_point << shift) + (1 << shift >> 1) - za * m - zb * n;
        let ends = [-128, 127].into_iter().flat_map(|a| [-128, 127].map(|b| start + a * m + b * n));
        prop_assert_eq!(add.fits(), ends.into_iter().all(|sum| i32::try_from(sum).is_ok()));
    }

    #[test]
    fn concatenations_are_what_indices_say(count in 1usize..=4, runs in [1usize..=5, 1..=5, 0..=5]) {
        let inputs: [Vec<i8>; 3] = std::array::from_fn(|k| (0..count * runs[k]).map(|i| (50 * k + i) as i8).collect());
        let mut output = vec![77; count * runs.iter().sum::<usize>()];
        reference::concat(&Concat { count, axis: 0, runs }, [&inputs[0], &inputs[1], &inputs[2]], &mut output);
        let mut expected = Vec::new();
        for place in 0..count {
            inputs.iter().zip(runs).for_each(|(input, run)| expected.extend(&input[place * run..(place + 1) * run]));
        }
        prop_assert_eq!(output, expected);
    }
}

proptest! {
    /// Against integers of 128 bits; a side that the second one lacks counts for all.
    #[test]
    fn products_are_exact(
        sides in prop::array::uniform3(1usize..=4),
        lacking: [bool; 3],
        zero_points: [i8; 2],
        zero_point: i8,
        multiplier in 0..=i32::MAX,
        left_shift in 0u8..=15,
        bounds in (-128i8..0, 0i8..=127),
        values in prop::collection::vec(prop_oneof![any::<i8>(), Just(-128), Just(127)], 128),
    ) {
        let shape = |[height, width, channels]: [usize; 3]| Shape { height, width, channels };
        let others: [usize; 3] = std::array::from_fn(|axis| if lacking[axis] { 1 } else { sides[axis] });
        let (output_min, output_max) = bounds;
        let (shape, other) = (shape(sides), shape(others));
        let product =
            Multiply { shape, other, zero_points, multiplier, left_shift, zero_point, output_min, output_max };
        prop_assert!(product.reaches());
        let (a, b) = (&values[..shape.elements()], &values[64..64 + other.elements()]);
        let mut expected = Vec::new();
        for (index, &value) in a.iter().enumerate() {
            let place = [index / sides[2] / sides[1], index / sides[2] % sides[1], index % sides[2]];
            let at: [usize; 3] = std::array::from_fn(|axis| if lacking[axis] { 0 } else { place[axis] });
            let factor = b[(at[0] * others[1] + at[1]) * others[2] + at[2]];
            let [x, y] = [(value, zero_points[0]), (factor, zero_points[1])].map(|(x, zero)| i128::from(x) - i128::from(zero));
            let twice = 2 * ((x * y) << left_shift) * i128::from(multiplier) + (1 << 32);
            let value = i128::from(zero_point) + twice.div_euclid(2 << 32);
            expected.push(value.clamp(output_min.into(), output_max.into()) as i8);
        }
        for kernel in [reference::multiply, optimized::multiply] {
            let mut output = vec![77; a.len()];
            kernel(&product, [a, b], &mut output);
            prop_assert_eq!(&output, &expected);
        }
    }
}

/// A slice of an image: where the first of rows, columns and channels is, how far apart they are, how many, and how many are left
/// behind the last.
fn slices() -> impl Strategy<Value = Slice> {
    let axis = (0usize..4, 0usize..4, 1usize..5, 0usize..4);
    prop::array::uniform3(axis).prop_map(|axes| {
        let shape = |[height, width, channels]: [usize; 3]| Shape { height, width, channels };
        Slice {
            input: shape(axes.map(|(start, step, count, rest)| start + (count - 1) * step + 1 + rest)),
            output: shape(axes.map(|(_, _, count, _)| count)),
            starts: axes.map(|(start, ..)| start),
            steps: axes.map(|(_, step, ..)| step),
        }
    })
}

proptest! {
    #[test]
    fn slices_are_what_indices_say(slice in slices(), whole_places: bool) {
        let mut slice = slice;
        if whole_places {
            (slice.input.channels, slice.starts[2]) = (slice.output.channels, 0);
            (slice.input.width, slice.steps) = (slice.starts[1] + slice.output.width, [slice.steps[0], 1, 1]);
        }
        prop_assert!(slice.is_inside());
        let sides = |shape: Shape| [shape.height, shape.width, shape.channels];
        let [[rows, columns, channels], from] = [sides(slice.output), sides(slice.input)];
        let input: Vec<i8> = (0..slice.input.elements()).map(|i| (7 * i % 251) as i8).collect();
        let mut expected = Vec::new();
        for index in 0..rows * columns * channels {
            let place = [index / channels / columns, index / channels % columns, index % channels];
            let at: [usize; 3] = std::array::from_fn(|axis| slice.starts[axis] + place[axis] * slice.steps[axis]);
            expected.push(input[(at[0] * from[1] + at[1]) * from[2] + at[2]]);
        }
        let mut output = vec![77; expected.len()];
        reference::slice(&slice, &input, &mut output);
        prop_assert_eq!(output, expected);
    }
}

/// Three tensors of `2×3×4`, or as `edit` says, of which the op reads the first two.
fn model(parameters: Parameters, edit: impl FnOnce(&mut Vec<Tensor>)) -> Vec<u8> {
    let mut tensors =
        vec![tensor(0, [2, 3, 4], Element::I8), tensor(24, [2, 3, 4], Element::I8), tensor(48, [2, 3, 4], Element::I8)];
    edit(&mut tensors);
    // A lookup makes the second tensor of the first.
    let op = |input, output, parameters| OpSpec {
        input,
        output,
        packing: PACKING_PORTABLE,
        preference: Preference::default(),
        parameters,
    };
    let negated = Parameters::Lookup { table: (-128..=127i8).map(|x| !x).collect() };
    let ops = vec![op(0, 1, negated), op(0, 2, parameters)];
    ModelBuilder { name: "branches".into(), tensors, ops, output: 2, ..Default::default() }.finish()
}

fn add(multipliers: [i32; 2], shift: u8, bounds: [i8; 2]) -> Parameters {
    Parameters::Add { other: 1, multipliers, shift, bounds }
}

fn run(container: &[u8], input: &[i8]) -> Vec<i8> {
    let parsed = Model::parse(container).unwrap();
    let (mut arena, mut scratch) = (vec![0; parsed.arena_bytes() / 4], Vec::new());
    let mut interpreter = Interpreter::new(parsed, &mut arena, &mut scratch).unwrap();
    interpreter.input_mut().copy_from_slice(input);
    interpreter.run().unwrap();
    interpreter.output_i8().to_vec()
}

#[test]
fn models_with_branches_run() {
    let input: Vec<i8> = (0..24).map(|i| (10 * i - 115) as i8).collect();
    // a + b/2 with zero points of −5 is (a + 5) + (−1 − a + 5)/2 − 5 = a/2 + 2.
    let expected: Vec<i8> = input.iter().map(|a| ((i32::from(*a) + 5).div_euclid(2)).clamp(-50, 60) as i8).collect();
    assert_eq!(run(&model(add([2 << 20, 1 << 20], 21, [-50, 60]), |_| ()), &input), expected);
    // A tensor may be added to itself.
    let twice = Parameters::Add { other: 0, multipliers: [1, 1], shift: 1, bounds: [-128, 127] };
    assert_eq!(run(&model(twice, |_| ()), &input), input);
    let along = |axis: u8, sides: [usize; 3]| {
        let concat = Parameters::Concat { others: [Some(1), None], axis };
        run(&model(concat, |tensors| tensors[2] = tensor(48, sides, Element::I8)), &input)
    };
    let negated: Vec<i8> = input.iter().map(|x| !x).collect();
    assert_eq!(along(0, [4, 3, 4]), [&input[..], &negated].concat());
    assert_eq!(along(2, [2, 3, 8])[..8], [&input[..4], &negated[..4]].concat());
    assert_eq!(along(1, [2, 6, 4])[..24], [&input[..12], &negated[..12]].concat());
    // The second row's outer places, of each its channels 1 and 3.
    let slice = Parameters::Slice { starts: [1, 0, 1], steps: [1, 2, 2] };
    let sliced = run(&model(slice, |tensors| tensors[2] = tensor(48, [1, 2, 2], Element::I8)), &input);
    assert_eq!(sliced, [13, 15, 21, 23].map(|index: usize| input[index]));
    // The second row's first place, its second channel three times, in each place of two rows.
    let repeated = Parameters::Slice { starts: [1, 0, 1], steps: [0; 3] };
    let repeated = run(&model(repeated, |tensors| tensors[2] = tensor(48, [2, 3, 4], Element::I8)), &input);
    assert_eq!(repeated, [input[13]; 24]);
}

#[test]
fn what_no_kernel_can_do_is_refused() {
    let refused =
        |parameters: Parameters, edit: &dyn Fn(&mut Vec<Tensor>)| Model::parse(&model(parameters, edit)).err();
    let (mismatch, out_of_range) = (Some(Error::ShapeMismatch { op: 1 }), Some(Error::Parameters { op: 1 }));
    let whole = [-128, 127];
    assert_eq!(refused(add([1 << 21; 2], 21, whole), &|_| ()), None);
    assert_eq!(refused(add([1 << 29; 2], 21, whole), &|_| ()), out_of_range);
    assert_eq!(refused(add([1; 2], 31, whole), &|_| ()), out_of_range);
    assert_eq!(refused(add([1; 2], 0, [4, 3]), &|_| ()), out_of_range);
    assert_eq!(refused(add([1; 2], 0, whole), &|tensors| tensors[2].shape.width = 2), mismatch);
    assert_eq!(refused(add([1; 2], 0, whole), &|tensors| tensors[2].element = Element::I32), mismatch);
    let missing = Parameters::Add { other: 7, multipliers: [1; 2], shift: 0, bounds: whole };
    assert_eq!(refused(missing, &|_| ()), Some(Error::NoSuchTensor { tensor: 7 }));
    let onto = |tensors: &mut Vec<Tensor>| tensors[2].offset = 28;
    assert_eq!(refused(add([1; 2], 0, whole), &onto), Some(Error::InputOverwritten { op: 1 }));

    let concat = |others, axis| Parameters::Concat { others, axis };
    let wide = |tensors: &mut Vec<Tensor>| tensors[2].shape.channels = 8;
    assert_eq!(refused(concat([Some(1), None], 2), &wide), None);
    assert_eq!(refused(concat([Some(1), None], 1), &wide), mismatch);
    assert_eq!(refused(concat([Some(1), None], 3), &wide), out_of_range);
    assert_eq!(refused(concat([None, Some(1)], 2), &wide), out_of_range);
    assert_eq!(refused(concat([Some(1), Some(1)], 2), &wide), mismatch);
    let other_scale = |tensors: &mut Vec<Tensor>| {
        wide(tensors);
        tensors[0].scale = 0.5;
    };
    assert_eq!(refused(concat([Some(1), None], 2), &other_scale), mismatch);
    let multiply = |multiplier, left_shift| Parameters::Multiply { other: 1, multiplier, left_shift, bounds: whole };
    assert_eq!(refused(multiply(1, 15), &|_| ()), None);
    assert_eq!(refused(multiply(1, 16), &|_| ()), out_of_range);
    assert_eq!(refused(multiply(-1, 0), &|_| ()), out_of_range);
    assert_eq!(refused(multiply(1, 0), &|tensors| tensors[2].shape.width = 2), mismatch);
    // The first one is the longer one, and what makes the second of it reads all of it.
    let shorter = |tensors: &mut Vec<Tensor>| tensors[..2].iter_mut().for_each(|tensor| tensor.shape.height = 1);
    assert_eq!(refused(multiply(1, 0), &shorter), mismatch);

    let slice = |starts, steps| Parameters::Slice { starts, steps };
    let narrow = |tensors: &mut Vec<Tensor>| tensors[2].shape.channels = 2;
    assert_eq!(refused(slice([0, 0, 2], [1; 3]), &narrow), None);
    assert_eq!(refused(slice([0, 0, 1], [1, 1, 2]), &narrow), None);
    assert_eq!(refused(slice([0, 0, 2], [1, 1, 2]), &narrow), mismatch);
    assert_eq!(refused(slice([65_535, 0, 0], [1; 3]), &narrow), mismatch);
    assert_eq!(refused(slice([1, 2, 3], [0; 3]), &|_| ()), None);
    assert_eq!(refused(slice([1, 2, 4], [0; 3]), &|_| ()), mismatch);
    assert_eq!(refused(slice([0; 3], [1; 3]), &|tensors| tensors[2].zero_point += 1), mismatch);
    let unread = Parameters::Lookup { table: vec![0; 256] };
    assert_eq!(refused(unread, &|_| ()), None);
}
