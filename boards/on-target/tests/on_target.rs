//! See the crate's head for how these run.

#![no_std]
#![no_main]

#[path = "../../../firmware/tests/common/golden.rs"]
mod golden;
#[path = "../../../firmware/tests/common/helium.rs"]
mod helium;

use core::panic::PanicInfo;

/// Says what failed; the runner shows it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    semihosting::eprintln!("{info}");
    semihosting::process::abort()
}

#[embedded_test::tests]
mod tests {
    use crate::{golden, helium};
    use firmware::kernels::dsp::{LINE, PairStage, Runs, copy_lines, multiply_4x1, multiply_4x1_widened, pool_2x4};
    use firmware::kernels::dsp::{Steps, Sums, combine, multiply_4x2, transform};
    use firmware::kernels::dsp::{products_1x4, smlad, smmulr, sxtb16, sxtb16_ror8, widen_lines};
    use firmware::kernels::variants::VARIANTS;
    use firmware::kernels::{DepthwiseConv2d, OutputStage, Shape, Window, optimized, reference};
    use firmware::link::{Device, ErrorCode, FRAME_BYTES, Reply, Request};
    use firmware::model::{Error, Model};
    use firmware::plan::Interpreter;
    use firmware::text::Reader;
    use on_target::{TEXT, Vectors, vectors};
    use {cortex_m as _, cortex_m_rt as _};

    /// Each form of the kernels with its vectors; every packing has some.
    fn forms() -> impl Iterator<Item = (&'static firmware::kernels::variants::Variant, Vectors)> {
        VARIANTS.iter().map(|variant| (variant, vectors(variant.packing).unwrap()))
    }

    /// Aligned as a section of a container is, which loops over packed weights rely on.
    #[repr(align(16))]
    struct Aligned<T>(T);

    /// Bytes as the weights that they are.
    fn signed<const N: usize>(bytes: &[u8]) -> Aligned<[i8; N]> {
        Aligned(core::array::from_fn(|index| bytes.get(index).map_or(0, |byte| *byte as i8)))
    }

    /// The input that `build.rs` traced.
    fn fill(input: &mut [i8]) {
        let mut state = 7u32.wrapping_mul(0x9e37_79b9) | 1;
        for value in input {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            *value = (state >> 11) as i8;
        }
    }

    #[test]
    fn conv2d_equals_exact_arithmetic() {
        let (input, weights) = (golden::conv2d_input(), golden::conv2d_weights());
        let mut output = [77; 24];
        reference::conv2d(&golden::conv2d(&weights), &input, &mut output, &mut []);
        assert_eq!(output, golden::CONV2D_OUTPUT);
        for (variant, vectors) in forms().filter(|(_, vectors)| !vectors.conv2d.is_empty()) {
            let Aligned(weights) = &signed::<256>(vectors.conv2d);
            let conv = golden::conv2d(&weights[..vectors.conv2d.len()]);
            let mut scratch = [0; 256];
            assert!((variant.conv2d_scratch_bytes)(conv.input, conv.window, conv.pool) <= size_of_val(&scratch));
            output.fill(77);
            (variant.conv2d)(&conv, &input, &mut output, &mut scratch);
            assert_eq!(output, golden::CONV2D_OUTPUT, "{}", variant.name);
        }
    }

    /// The loop for 3×3 weights and the general one, each with a stride of one and of two.
    #[test]
    fn depthwise_conv2d_equals_the_reference() {
        let (mut input, mut weights) = ([0; 7 * 6 * 5], [0; 5 * 15]);
        fill(&mut input);
        fill(&mut weights);
        for (kernel, stride) in [([3, 3], 1), ([3, 3], 2), ([3, 5], 1), ([2, 2], 2)] {
            let window = Window { kernel, stride: [stride; 2], padding: [1; 4] };
            let shape = Shape { height: 7, width: 6, channels: 5 };
            let [height, width] = window.positions(shape).unwrap();
            let stage = OutputStage {
                bias: &[300, -500, 0, 7, 9000],
                multipliers: &[9_000_000; 5],
                left_shift: 1,
                zero_point: 4,
                output_min: -128,
                output_max: 100,
            };
            let output = Shape { height, width, channels: 5 };
            let conv = DepthwiseConv2d { input: shape, output, window, input_zero_point: -9, weights: &weights, stage };
            let (mut expected, mut seen) = ([0; 7 * 6 * 5], [0; 7 * 6 * 5]);
            reference::depthwise_conv2d(&conv, &input, &mut expected, &mut []);
            optimized::depthwise_conv2d(&conv, &input, &mut seen, &mut [0xa5a5_a5a5; 256]);
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn dense_equals_exact_arithmetic() {
        let (input, weights) = (golden::dense_input(), golden::dense_weights());
        let (mut activations, mut logits) = ([77; 4], [77; 4]);
        reference::dense(&golden::dense(&weights), &input, &mut activations, &mut []);
        assert_eq!(activations, golden::DENSE_ACTIVATIONS);
        for (variant, vectors) in forms() {
            let Aligned(weights) = &signed::<256>(vectors.dense);
            let dense = golden::dense(&weights[..vectors.dense.len()]);
            logits.fill(77);
            (variant.dense_logits)(&dense, &input, &mut logits, &mut []);
            assert_eq!(logits, golden::DENSE_LOGITS, "{}", variant.name);
        }
    }

    /// `S₁` and `S₂` go on, by their definition.
    fn add([first, second]: [i32; 2], words: &[[i8; 4]], taps: impl Iterator<Item = u32>) -> [i32; 2] {
        let words = words.iter().map(|word| u32::from_le_bytes(word.map(|byte| byte as u8)));
        words.zip(taps).fold([first, second], |[first, second], (word, taps)| {
            [smlad(word, taps, first), smlad(sxtb16_ror8(word), taps, second)]
        })
    }

    /// Both words of a widened four.
    fn widen(four: &[i8]) -> [u32; 2] {
        let word = u32::from_le_bytes(core::array::from_fn(|index| four[index] as u8));
        [sxtb16(word), sxtb16_ror8(word)]
    }

    /// The loops are entered in the middle, at a place that their length gives.
    #[test]
    fn loops_take_any_length() {
        let Aligned(values) = &Aligned(golden::lcg::<720>(5));
        for length in 0..=20 {
            let rows = [1, 2, 3, 4].map(|row| &values[20 * row..][..20]);
            let product =
                |row: &[i8]| values[..length].iter().zip(row).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            assert_eq!(products_1x4(&values[..length], rows), rows.map(product), "{length} products");
            let weights = &values.as_chunks::<4>().0.as_chunks::<4>().0.as_chunks::<2>().0[..length];
            let eights = &values[13..].as_chunks::<8>().0[..length];
            let mut widened = [[0; 4]; 20];
            for (widened, eight) in widened.iter_mut().zip(eights) {
                let [[a, b], [c, d]] = [widen(&eight[..4]), widen(&eight[4..])];
                *widened = [a, b, c, d];
            }
            let mut sums = [[-9, 8], [7, -6]];
            for (eight, pairs) in widened.iter().zip(weights) {
                sums = [0, 1].map(|pair| add(sums[pair], &pairs[pair], eight.iter().copied()));
            }
            let start = [[-9, 8], [7, -6]];
            assert_eq!(multiply_4x1(start, weights, eights), sums, "{length} eights");
            assert_eq!(multiply_4x1_widened(start, weights, &widened), sums, "{length} widened eights");
        }
    }

    #[test]
    fn pools_take_any_length() {
        let values = golden::lcg::<720>(6);
        for length in 1..=35 {
            let mut block = [[0; 4]; 36];
            for (index, word) in block.as_flattened_mut().iter_mut().enumerate() {
                *word = widen(&values[index..])[index % 2];
            }
            let block = &block[..=length];
            let weights = &values.as_chunks().0[40..40 + 2 * length];
            let (bias, multipliers) = ([[100, -2000], [30_000, 4]], [[1 << 22, 1 << 23], [3 << 21, i32::MAX]]);
            let stage = PairStage { bias: &bias, multipliers: &multipliers, left_shift: 2, zero_point: -5 };
            let mut outputs = [[77; 2]; 3];
            pool_2x4(block, weights, stage, &mut outputs);
            for (pair, weights) in weights.chunks(length).enumerate() {
                let sums = [0, 1, 2, 3].map(|place| {
                    let taps = block[1..].iter().map(|taps| taps[place]);
                    let [first, second] = add([block[0][place] as i32, 0], weights, taps);
                    [first.wrapping_sub(second << 8), second]
                });
                for row in 0..2 {
                    let largest = sums.iter().map(|sums| sums[row]).max().unwrap();
                    let value = smmulr((largest + bias[pair][row]) << 2, multipliers[pair][row]) - 5;
                    assert_eq!(i32::from(outputs[pair][row]), value.clamp(-128, 127), "{length} words");
                }
            }
            assert_eq!(outputs[2], [77; 2], "there is no stage for a third pair");
        }
    }

    #[test]
    fn lines_are_copied_and_widened() {
        let values = golden::lcg::<300>(7);
        let starts = [0, 5, 33, 71];
        for (count, length) in (1..=4).flat_map(|count| (1..=8).map(move |length| (count, length))) {
            let runs = Runs { count, length, step: 19 };
            let source = |place: usize, run: usize| &values[starts[place] + 19 * run..];
            if (count - 1) * length + length.next_multiple_of(4) <= LINE {
                let mut lines = [[77; LINE]; 4];
                copy_lines(&values, starts, runs, &mut lines);
                for (place, line) in lines.iter().enumerate() {
                    for (run, copied) in line[..count * length].chunks(length).enumerate() {
                        assert_eq!(copied, &source(place, run)[..length], "{count} × {length}");
                    }
                }
            }
            if length % 4 == 0 {
                let mut words = [[[77; 4]; 2]; 9];
                let sums = widen_lines(&values, starts, runs, &mut words);
                for place in 0..4 {
                    for index in 0..count * length / 4 {
                        let (run, four) = (index / (length / 4), index % (length / 4));
                        let expected = widen(&source(place, run)[4 * four..]);
                        assert_eq!(words[index].map(|word| word[place]), expected, "{count} × {length}");
                    }
                    let sum = (0..count).flat_map(|run| &source(place, run)[..length]);
                    assert_eq!(sums[place], sum.map(|value| i32::from(*value)).sum::<i32>());
                }
                assert_eq!(words[count * length / 4], [[77; 4]; 2]);
            }
        }
    }

    /// The loops of Winograd's convolution, one behind the other: outputs of 3×3 taps over 4×4 places.
    #[test]
    fn winograd_takes_any_number_of_channels() {
        const SIDE: usize = 4;
        let (input, values) = (golden::lcg::<720>(8), golden::lcg::<720>(9));
        for fours in 1..=5 {
            let (channels, pairs) = (4 * fours, 2 * fours);
            let steps = Steps { row: SIDE * channels, column: channels };
            let mut words = [[0x7777; 2]; 16 * 10];
            let words = &mut words[..16 * pairs];
            // The second tile begins a place later, and is transformed four by four channels.
            transform(&input, steps, fours, words, 0, 0);
            (0..fours).for_each(|four| transform(&input[channels + 4 * four..], steps, 1, words, 2 * four, 1));
            let mut weights = Aligned([[0; 16]; 16 * 10]);
            let tap =
                |row: usize, tap: usize, channel: usize| i32::from(values[(row * 31 + tap * channels + channel) % 720]);
            for (index, weights) in weights.0[..16 * pairs].iter_mut().enumerate() {
                let (position, pair) = (index / pairs, index % pairs);
                let first = pair / 2 * 4 + pair % 2;
                for (half, bytes) in weights.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    let weight = transformed(|index| tap(half / 2, index, first + half % 2 * 2), position);
                    *bytes = (weight as i16).to_le_bytes().map(|byte| byte as i8);
                }
            }
            let mut sums: Sums = [[77; 8]; 16];
            multiply_4x2(&weights.0[..16 * pairs], words, &mut sums);
            let mut pooled = sums;
            combine(&mut sums, false);
            combine(&mut pooled, true);
            for (lane, pooled) in pooled[0].iter().enumerate() {
                let outputs = [0, 1, 2, 3].map(|place| sums[place][lane]);
                let expected = [0, 1, 2, 3].map(|place| {
                    let corner = place / 2 * SIDE + place % 2 + lane / 4;
                    let taps = (0..9).flat_map(|index| (0..channels).map(move |channel| (index, channel)));
                    let products = taps.map(|(index, channel)| {
                        let value = input[(corner + index / 3 * SIDE + index % 3) * channels + channel];
                        tap(lane % 4, index, channel) * i32::from(value)
                    });
                    products.sum::<i32>()
                });
                assert_eq!(outputs, expected, "{channels} channels, lane {lane}");
                assert_eq!(Some(pooled), expected.iter().max());
            }
        }
    }

    /// `2G · w · 2Gᵀ` at a position.
    fn transformed(tap: impl Fn(usize) -> i32, position: usize) -> i32 {
        const G: [[i32; 3]; 4] = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]];
        (0..9).map(|index| G[position / 4][index / 3] * G[position % 4][index % 3] * tap(index)).sum()
    }

    #[test]
    fn helium_dense_loops_take_any_length() {
        helium::dense_loops_take_any_length();
    }

    #[test]
    fn helium_convolution_loops_take_any_length() {
        helium::convolution_loops_take_any_length();
    }

    #[test]
    fn helium_stages_take_any_length() {
        helium::stages_take_any_length();
    }

    #[test]
    fn helium_lookups_take_any_length() {
        helium::lookups_take_any_length();
    }

    #[test]
    fn helium_units_take_any_number() {
        helium::units_take_any_number();
    }

    #[test]
    fn helium_patches_have_any_shape() {
        helium::patches_have_any_shape();
    }

    #[test]
    fn a_damaged_container_is_refused() {
        for (_, Vectors { container, .. }) in forms() {
            assert!(Model::parse(container).is_ok());
            assert!(Model::parse(&container[..container.len() - 16]).is_err());
            assert!(Model::parse(&[]).is_err());
        }
    }

    #[test]
    fn an_arena_that_is_too_small_is_refused() {
        for (_, Vectors { container, .. }) in forms() {
            let model = Model::parse(container).unwrap();
            let (mut arena, mut scratch) = ([0; 4], [0; 300]);
            let refused = Interpreter::new(model, &mut arena, &mut scratch).map(drop);
            let needed_bytes = model.arena_bytes() as u32;
            assert_eq!(refused, Err(Error::ArenaTooSmall { needed_bytes, available_bytes: 16 }));
        }
    }

    #[test]
    fn every_op_writes_what_the_host_computed() {
        for (variant, Vectors { container, trace, .. }) in forms() {
            let (mut arena, mut scratch) = ([0; 300], [0; 300]);
            let mut interpreter = Interpreter::new(Model::parse(container).unwrap(), &mut arena, &mut scratch).unwrap();
            fill(interpreter.input_mut());
            let mut rest = trace;
            for index in 0..interpreter.model().op_count() {
                interpreter.run_op(index).unwrap();
                let output = interpreter.model().op(index).unwrap().output;
                let seen = interpreter.tensor_bytes(output).unwrap();
                let (expected, behind) = rest.split_at(seen.len());
                assert_eq!(seen, expected, "{}, op {index}", variant.name);
                rest = behind;
            }
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_text_is_answered_as_on_the_host() {
        for (variant, Vectors { texts, .. }) in forms() {
            for [container, answers] in texts {
                let (mut arena, mut scratch) = ([0x5a5a_5a5a; 100], [0x5a5a_5a5a; 100]);
                let model = Model::parse(container).unwrap();
                let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch).unwrap();
                let mut reader = Reader::new(&model).unwrap();
                let answers = answers.as_chunks::<8>().0;
                assert_eq!(answers.len(), TEXT.len() + 1);
                for (length, answer) in answers.iter().enumerate() {
                    reader.restart(&mut interpreter).unwrap();
                    reader.push(&mut interpreter, &TEXT[..length]).unwrap();
                    reader.answer(&mut interpreter).unwrap();
                    let seen = interpreter.tensor_bytes(model.output_index()).unwrap();
                    assert_eq!(seen, answer, "{}, {length} bytes", variant.name);
                }
            }
        }
    }

    #[test]
    fn the_link_answers() {
        let (_, Vectors { container, trace, .. }) = forms().next().unwrap();
        let (mut arena, mut scratch) = ([0; 300], [0; 300]);
        let interpreter = Model::parse(container).and_then(|model| Interpreter::new(model, &mut arena, &mut scratch));
        let mut device = Device::new("bench", interpreter);
        let mut input = [0; 84];
        fill(&mut input);
        let input = input.map(|value| value as u8);
        let logits = &trace[trace.len() - 12..];
        expect(&mut device, Request::Write { offset: 0, data: &input }, Reply::Done { ticks: 0 });
        expect(&mut device, Request::Run { first: 0, count: 4 }, Reply::Done { ticks: 100 });
        expect(&mut device, Request::Read { tensor: 4, offset: 0, length: 12 }, Reply::Data(logits));
        expect(&mut device, Request::Run { first: 0, count: 5 }, Reply::Error(ErrorCode::OutOfRange));
        answer(&mut device, &[9; 20], Reply::Error(ErrorCode::Malformed));
        answer(&mut device, &[9; FRAME_BYTES], Reply::Error(ErrorCode::TooLong));
    }

    fn expect(device: &mut Device<'_>, request: Request<'_>, reply: Reply<'_>) {
        let mut frame = [0; FRAME_BYTES];
        let frame = postcard::to_slice_cobs(&request, &mut frame).unwrap();
        answer(device, &frame[..frame.len() - 1], reply);
    }

    /// Sends a frame and its ending zero.
    fn answer(device: &mut Device<'_>, frame: &[u8], expected: Reply<'_>) {
        let mut clock = 0;
        let mut ticks = || {
            clock += 100;
            clock
        };
        assert!(frame.iter().all(|byte| device.push(*byte, &mut ticks).is_none()));
        let reply = device.push(0, &mut ticks).unwrap();
        let mut copy = [0; FRAME_BYTES];
        copy[..reply.len()].copy_from_slice(reply);
        assert_eq!(postcard::from_bytes_cobs::<Reply<'_>>(&mut copy[..reply.len()]).unwrap(), expected);
    }
}
