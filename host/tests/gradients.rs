//! Holds every operator's gradient rule against finite differences.
//!
//! Forward values come from ONNX Runtime in `f32`; they are projected on fixed random directions and differenced in `f64` with
//! the fourth-order rule `f' ≈ (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h`. Its truncation error is `h⁴/30 · f⁽⁵⁾`, below
//! 5e-6 here, and `f32` rounding of values around 1 adds about 1e-7 / h = 3e-6, so that 1e-4 of the largest gradient leaves
//! room for sums and still catches any wrong factor, sign or index.

use anyhow::Result;
use host::graph::{Batch, Conv2d, Graph, Padding, Range, Value, gradients, loss};
use host::runtime::Inference;

const STEP: f32 = 1.0 / 32.0;
const TOLERANCE: f64 = 1e-4;

/// Fixed numbers that look random, in 0…1.
fn noise(index: usize) -> f32 {
    let hash = (index as u32).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519);
    (hash >> 8) as f32 / (1 << 24) as f32
}

/// Values away from 0 and from one another by more than any difference step, for operators with kinks.
fn spaced(count: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| noise(a).total_cmp(&noise(b)));
    order.into_iter().map(|rank| (rank as f32 - count as f32 / 2.0 + 0.5) * 0.25).collect()
}

/// Positive values around 1, for smooth operators with poles.
fn smooth(count: usize) -> Vec<f32> {
    (0..count).map(|index| 0.8 + 0.8 * noise(index + 1000)).collect()
}

/// Values of both signs, none large.
fn small(count: usize) -> Vec<f32> {
    (0..count).map(|index| 1.5 * (noise(index + 500) - 0.5)).collect()
}

/// Checks the gradients of `Σ r · f(inputs)` by every element of every input.
fn check(shapes: &[&[usize]], values: fn(usize) -> Vec<f32>, f: impl Fn(&mut Graph, &[Value]) -> Result<Value>) {
    let mut graph = Graph::new();
    let names: Vec<String> = (0..shapes.len()).map(|index| format!("x{index}")).collect();
    let inputs: Vec<Value> = names.iter().zip(shapes).map(|(name, shape)| graph.input(name, shape).unwrap()).collect();
    let y = f(&mut graph, &inputs).unwrap();
    let shape = graph.shape(y).to_vec();
    let directions: Vec<f32> = (0..shape.iter().product()).map(|index| noise(index + 77) - 0.5).collect();
    let r = graph.constant(&shape, &directions);
    let mut scalar = graph.mul(y, r).unwrap();
    if !shape.is_empty() {
        scalar = graph.reduce_sum(scalar, &(0..shape.len()).collect::<Vec<_>>(), false).unwrap();
    }
    let results = gradients(&mut graph, scalar, &inputs).unwrap();
    graph.output("y", y).unwrap();
    for (name, gradient) in names.iter().zip(results) {
        graph.output(&format!("d{name}"), gradient).unwrap();
    }
    let mut model = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
    let total: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
    let mut all = values(total);
    let mut run = |all: &[f32]| {
        let mut rest = all;
        let split = shapes.iter().zip(&names).map(|(shape, name)| {
            let (data, behind) = rest.split_at(shape.iter().product());
            rest = behind;
            (name.as_str(), *shape, data)
        });
        let inputs: Vec<_> = split.collect();
        let outputs = model.run(&inputs).unwrap();
        let y = outputs[0].2.iter().zip(&directions);
        let value: f64 = y.map(|(y, r)| f64::from(*y) * f64::from(*r)).sum();
        (value, outputs[1..].iter().flat_map(|output| output.2.clone()).collect::<Vec<f32>>())
    };
    let (_, analytic) = run(&all);
    assert_eq!(analytic.len(), total);
    let largest = analytic.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    assert!(largest > 0.0, "all gradients are zero: nothing is checked");
    for index in 0..total {
        let at = all[index];
        let mut moved = |steps: f32| {
            all[index] = at + steps * STEP;
            let value = run(&all).0;
            all[index] = at;
            value
        };
        let (near, far) = (moved(1.0) - moved(-1.0), moved(2.0) - moved(-2.0));
        let numeric = (8.0 * near - far) / (12.0 * f64::from(STEP));
        let error = (numeric - f64::from(analytic[index])).abs() / f64::from(largest);
        assert!(error < TOLERANCE, "input {index}: rule {}, differences {numeric}, largest {largest}", analytic[index]);
    }
}

#[test]
fn arithmetic() {
    check(&[&[2, 3], &[2, 3]], smooth, |g, x| g.add(x[0], x[1]));
    check(&[&[2, 3], &[3]], smooth, |g, x| g.sub(x[0], x[1]));
    check(&[&[3], &[2, 3]], smooth, |g, x| g.sub(x[0], x[1]));
    check(&[&[2, 1, 3], &[4, 1]], smooth, |g, x| g.mul(x[0], x[1]));
    check(&[&[2, 3], &[2, 1]], smooth, |g, x| g.div(x[0], x[1]));
    check(&[&[], &[2, 3]], smooth, |g, x| g.div(x[0], x[1]));
    check(&[&[2, 1, 3]], smooth, |g, x| g.expand(x[0], &[4, 2, 5, 3]));
    // One value read twice: contributions add up.
    check(&[&[4]], smooth, |g, x| g.mul(x[0], x[0]));
}

#[test]
fn pointwise() {
    check(&[&[12]], spaced, |g, x| g.relu(x[0]));
    check(&[&[12]], spaced, |g, x| g.leaky_relu(x[0], 0.2));
    check(&[&[12]], smooth, |g, x| g.neg(x[0]));
    check(&[&[12]], smooth, |g, x| g.exp(x[0]));
    check(&[&[12]], smooth, |g, x| g.log(x[0]));
    check(&[&[12]], smooth, |g, x| g.sqrt(x[0]));
    check(&[&[12]], spaced, |g, x| g.sigmoid(x[0]));
    check(&[&[12]], spaced, |g, x| g.tanh(x[0]));
    check(&[&[12]], spaced, |g, x| g.softplus(x[0]));
    check(&[&[3, 4]], spaced, |g, x| g.log_softmax(x[0]));
}

#[test]
fn layout() {
    check(&[&[2, 6]], smooth, |g, x| g.reshape(x[0], &[3, 4]));
    check(&[&[2, 3, 2]], smooth, |g, x| g.flatten(x[0]));
    check(&[&[2, 12]], smooth, |g, x| g.unflatten(x[0], [3, 2, 2]));
    check(&[&[2, 3, 4, 6]], smooth, |g, x| g.space_to_depth(x[0], 2));
    check(&[&[2, 8, 2, 3]], smooth, |g, x| g.depth_to_space(x[0], 2));
    check(&[&[2, 3, 4]], smooth, |g, x| g.transpose(x[0], &[2, 0, 1]));
    let ranges = [Range { axis: 0, start: 1, end: 3, step: 1 }, Range { axis: 1, start: 1, end: 7, step: 2 }];
    check(&[&[4, 8]], smooth, |g, x| g.slice(x[0], &ranges));
    check(&[&[2, 7]], smooth, |g, x| g.slice(x[0], &[Range { axis: 1, start: 0, end: 7, step: 3 }]));
    check(&[&[2, 3, 4]], smooth, |g, x| g.flip(x[0], &[0, 2]));
    check(&[&[2, 3], &[2, 1], &[2, 2]], smooth, |g, x| g.concat(x, 1));
    check(&[&[2, 3]], smooth, |g, x| g.pad(x[0], &[(1, 0), (2, 3)]));
}

#[test]
fn reduce() {
    for keep in [false, true] {
        check(&[&[2, 3, 4]], smooth, |g, x| g.reduce_sum(x[0], &[0, 2], keep));
        check(&[&[2, 3, 4]], smooth, |g, x| g.reduce_mean(x[0], &[1], keep));
        check(&[&[2, 3, 4]], spaced, |g, x| g.reduce_max(x[0], &[1], keep));
    }
    check(&[&[6]], smooth, |g, x| g.reduce_mean(x[0], &[0], false));
}

#[test]
fn matrix_products() {
    check(&[&[2, 3], &[3, 4]], smooth, |g, x| g.matmul(x[0], x[1]));
    check(&[&[2, 2, 3], &[2, 3, 4]], smooth, |g, x| g.matmul(x[0], x[1]));
    for transpose_a in [false, true] {
        for transpose_b in [false, true] {
            let a: &[usize] = if transpose_a { &[3, 2] } else { &[2, 3] };
            let b: &[usize] = if transpose_b { &[4, 3] } else { &[3, 4] };
            check(&[a, b, &[4]], smooth, |g, x| g.gemm(x[0], x[1], Some(x[2]), transpose_a, transpose_b));
        }
    }
}

#[test]
fn rows_of_a_table() {
    check(&[&[4, 3]], smooth, |g, x| {
        // Row 2 is read twice, row 1 not at all.
        let rows = g.integer_constant(&[3, 1], &[2, 0, 2]);
        g.gather(x[0], rows)
    });
}

#[test]
fn a_matrix_added_to_a_product() {
    check(&[&[2, 3], &[3, 4], &[2, 4]], smooth, |g, x| g.gemm(x[0], x[1], Some(x[2]), false, false));
}

/// Steps, samples, units of the recurrence.
const RECURRENCE: [usize; 3] = [4, 2, 3];

#[test]
fn recurrence() {
    let [steps, batch, units] = RECURRENCE;
    let shapes: [&[usize]; 2] = [&[steps, batch, 4 * units], &[4 * units, units]];
    for unrolled in [false, true] {
        check(&shapes, small, |g, x| {
            g.unroll(unrolled);
            g.lstm(x[0], x[1], None)
        });
        check(&shapes, small, |g, x| {
            g.unroll(unrolled);
            let mask = g.constant(&[batch, units], &[2.0, 0.0, 2.0, 0.0, 2.0, 2.0]);
            g.lstm(x[0], x[1], Some(mask))
        });
        check(&[&[1, batch, 4 * units], &[4 * units, units]], small, |g, x| {
            g.unroll(unrolled);
            // One step: the recurrent weights play no part but for this sum.
            let h = g.lstm(x[0], x[1], None)?;
            let sum = g.reduce_sum(x[1], &[0, 1], false)?;
            g.add(h, sum)
        });
    }
}

/// The recurrence for training against ONNX's own operator.
#[test]
fn the_recurrence_is_onnxs_lstm() {
    let [steps, batch, units] = RECURRENCE;
    let width = 5;
    let mut graph = Graph::new();
    let x = graph.input("x", &[steps, batch, width]).unwrap();
    let [w, r, b] = [("w", vec![4 * units, width]), ("r", vec![4 * units, units]), ("b", vec![4 * units])]
        .map(|(name, shape)| graph.input(name, &shape).unwrap());
    let rows = graph.reshape(x, &[steps * batch, width]).unwrap();
    let z = graph.gemm(rows, w, Some(b), false, true).unwrap();
    let z = graph.reshape(z, &[steps, batch, 4 * units]).unwrap();
    let ours = graph.lstm(z, r, None).unwrap();
    let zeros = graph.constant(&[4 * units], &vec![0.0; 4 * units]);
    let b = graph.concat(&[b, zeros], 0).unwrap();
    let [w, r, b] = [(w, vec![1, 4 * units, width]), (r, vec![1, 4 * units, units]), (b, vec![1, 8 * units])]
        .map(|(value, shape)| graph.reshape(value, &shape).unwrap());
    let theirs = graph.onnx_lstm_states(x, w, r, b).unwrap();
    let last = graph.onnx_lstm(x, w, r, b).unwrap();
    for (name, value) in [("ours", ours), ("theirs", theirs), ("last", last)] {
        graph.output(name, value).unwrap();
    }
    let mut model = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
    let sizes = [steps * batch * width, 4 * units * width, 4 * units * units, 4 * units];
    let values: Vec<Vec<f32>> = sizes.iter().map(|&size| small(size)).collect();
    let inputs: [(&str, &[usize], &[f32]); 4] = [
        ("x", &[steps, batch, width], &values[0]),
        ("w", &[4 * units, width], &values[1]),
        ("r", &[4 * units, units], &values[2]),
        ("b", &[4 * units], &values[3]),
    ];
    let outputs = model.run(&inputs).unwrap();
    for (ours, theirs) in outputs[0].2.iter().zip(&outputs[1].2) {
        assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
    }
    assert_eq!(outputs[1].2[(steps - 1) * batch * units..], outputs[2].2);
}

#[test]
fn convolutions() {
    // Input channels, filters, kernel, stride, height, width: few and many channels (two forms of the weight gradient), even
    // and odd sizes, a stride that leaves rows over, a kernel smaller than the stride.
    let cases = [
        (1, 2, 3, 1, 5, 4),
        (2, 3, 3, 1, 4, 5),
        (4, 2, 3, 1, 4, 4),
        (2, 2, 3, 2, 6, 5),
        (1, 2, 4, 2, 6, 6),
        (2, 3, 1, 2, 4, 5),
    ];
    for (channels, filters, kernel, stride, height, width) in cases {
        for padding in [Padding::Valid, Padding::Same] {
            let conv = Conv2d::new(padding, kernel, stride, height, width);
            let shapes: [&[usize]; 3] =
                [&[2, channels, height, width], &[filters, channels, kernel, kernel], &[filters]];
            check(&shapes, smooth, |g, x| g.conv2d(x[0], x[1], Some(x[2]), conv));
        }
    }
}

/// Few places and many channels: one product over patches.
#[test]
fn convolutions_of_small_images() {
    for (filters, kernel, stride, height, width) in [(8, 3, 1, 2, 2), (3, 3, 1, 1, 3), (3, 2, 2, 3, 4), (9, 3, 2, 4, 3)]
    {
        let conv = Conv2d::new(Padding::Same, kernel, stride, height, width);
        let shapes: [&[usize]; 3] = [&[2, 8, height, width], &[filters, 8, kernel, kernel], &[filters]];
        check(&shapes, small, |g, x| g.conv2d_trained(x[0], x[1], Some(x[2]), conv));
    }
}

/// The forms that a training step has for particular shapes.
#[test]
fn convolutions_of_few_filters_and_of_large_strided_kernels() {
    for (channels, filters, kernel, padding) in
        [(4, 1, 3, Padding::Same), (8, 2, 3, Padding::Valid), (4, 1, 4, Padding::Same)]
    {
        let conv = Conv2d::new(padding, kernel, 1, 5, 4);
        let shapes: [&[usize]; 3] = [&[2, channels, 5, 4], &[filters, channels, kernel, kernel], &[filters]];
        check(&shapes, small, |g, x| g.conv2d_trained(x[0], x[1], Some(x[2]), conv));
    }
    // One row is left over, as the stride does not reach it.
    let conv = Conv2d::new(Padding::Valid, 4, 2, 7, 6);
    check(&[&[1, 33, 7, 6], &[1, 33, 4, 4]], small, |g, x| g.conv2d(x[0], x[1], None, conv));
}

#[test]
fn transposed_convolutions() {
    // Input channels, filters, kernel, stride: phases of one size and of several.
    for (channels, filters, kernel, stride) in [(2, 3, 4, 2), (3, 2, 3, 2), (1, 2, 2, 2), (2, 1, 3, 1), (2, 2, 5, 3)] {
        for padding in [Padding::Valid, Padding::Same] {
            let (height, width) = match padding {
                Padding::Valid => (2 * stride + kernel, stride + kernel),
                Padding::Same => (3 * stride, 2 * stride),
            };
            let conv = Conv2d::new(padding, kernel, stride, height, width);
            let shapes: [&[usize]; 3] = [&[2, channels, 3, 2], &[channels, filters, kernel, kernel], &[filters]];
            check(&shapes, smooth, |g, x| g.conv_transpose2d(x[0], x[1], Some(x[2]), conv));
            check(&shapes, smooth, |g, x| {
                let y = g.conv_transpose2d_trained(x[0], x[1], Some(x[2]), conv)?;
                assert_eq!(g.shape(y), [2, filters, height, width]);
                Ok(y)
            });
        }
    }
}

/// Output and gradients against PyTorch's, see `host/tests/vectors/conv_transpose.py`.
#[test]
fn a_transposed_convolution_is_pytorchs() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/conv_transpose.json")).unwrap();
    let expected = |name: &str| -> Vec<f32> { serde_json::from_value(vectors[name].clone()).unwrap() };
    let wave = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let sizes: [&[usize]; 3] = [&[2, 3, 3, 5], &[3, 4, 4, 4], &[4]];
    let values = [wave(90, 0.7), wave(192, 0.3), wave(4, 1.1)];
    for trained in [false, true] {
        let mut graph = Graph::new();
        let names = ["x", "weights", "bias"];
        let inputs: Vec<Value> = names.iter().zip(sizes).map(|(name, size)| graph.input(name, size).unwrap()).collect();
        let conv = Conv2d::new(Padding::Same, 4, 2, 6, 10);
        let y = match trained {
            true => graph.conv_transpose2d_trained(inputs[0], inputs[1], Some(inputs[2]), conv).unwrap(),
            false => graph.conv_transpose2d(inputs[0], inputs[1], Some(inputs[2]), conv).unwrap(),
        };
        let direction = graph.constant(&[2, 4, 6, 10], &wave(480, 0.9));
        let product = graph.mul(y, direction).unwrap();
        let loss = graph.reduce_sum(product, &[0, 1, 2, 3], false).unwrap();
        let gradients = gradients(&mut graph, loss, &inputs).unwrap();
        for (name, value) in ["y", "dx", "dweights", "dbias"].into_iter().zip([y].into_iter().chain(gradients)) {
            graph.output(name, value).unwrap();
        }
        let mut model = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
        let given: Vec<(&str, &[usize], &[f32])> =
            (0..3).map(|index| (names[index], sizes[index], values[index].as_slice())).collect();
        for (name, _, ours) in model.run(&given).unwrap() {
            let theirs = expected(&name);
            assert_eq!(ours.len(), theirs.len(), "{name}");
            let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let close = ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-5 * largest);
            assert!(close, "{name}, trained form: {trained}");
        }
    }
}

#[test]
fn pooling() {
    check(&[&[2, 2, 4, 6]], spaced, |g, x| g.max_pool2d(x[0], 2));
    check(&[&[1, 2, 5, 7]], spaced, |g, x| g.max_pool2d(x[0], 2));
    check(&[&[1, 1, 7, 6]], spaced, |g, x| g.max_pool2d(x[0], 3));
    check(&[&[2, 2, 4, 6]], smooth, |g, x| g.average_pool2d(x[0], 2));
    check(&[&[2, 2, 3, 2]], smooth, |g, x| g.global_average_pool(x[0]));
    check(&[&[2, 2, 2, 3]], smooth, |g, x| g.upsample2d(x[0], 2));
}

#[test]
fn batch_norm() {
    check(&[&[3, 2, 2, 2], &[2], &[2]], smooth, |g, x| Ok(g.batch_norm(x[0], x[1], x[2])?.0));
    check(&[&[5, 3], &[3], &[3]], small, |g, x| Ok(g.batch_norm(x[0], x[1], x[2])?.0));
}

#[test]
fn losses() {
    let targets = [0.2, 0.3, 0.5, 0.0, 1.0, 0.0];
    check(&[&[2, 3]], spaced, |g, x| {
        let targets = g.constant(&[2, 3], &targets);
        loss::cross_entropy(g, x[0], targets, 0.1)
    });
    check(&[&[2, 3]], spaced, |g, x| {
        let targets = g.constant(&[2, 3], &targets);
        loss::binary_cross_entropy(g, x[0], targets)
    });
    check(&[&[2, 3]], spaced, |g, x| {
        let targets = g.constant(&[2, 3], &targets);
        loss::mean_squared_error(g, x[0], targets)
    });
}

#[test]
fn equal_maxima_share_the_gradient() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[1, 1, 2, 2]).unwrap();
    let y = graph.max_pool2d(x, 2).unwrap();
    let sum = graph.reduce_sum(y, &[0, 1, 2, 3], false).unwrap();
    let gradient = gradients(&mut graph, sum, &[x]).unwrap()[0];
    graph.output("dx", gradient).unwrap();
    let mut model = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
    let outputs = model.run(&[("x", &[1, 1, 2, 2], &[3.0_f32, 3.0, 1.0, 3.0])]).unwrap();
    let third = 1.0 / 3.0;
    for (value, expected) in outputs[0].2.iter().zip([third, third, 0.0, third]) {
        assert!((value - expected).abs() < 1e-6, "{:?}", outputs[0].2);
    }
}
