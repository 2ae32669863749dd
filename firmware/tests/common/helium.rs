//! The loops behind the Helium form against their definitions, at every length round the edges of what they unroll and of a
//! vector register. The host tests what stands for the instructions, the target the instructions.

use firmware::kernels::dsp::{Runs, smmulr};
use firmware::kernels::gates;
use firmware::kernels::mve::{
    FourStage, Rows, Tile, activations, copy_patches, fits_tile, gather_tiles, logits, lookup, multiply_2x4,
    multiply_4x1, pool_4x4, step_units,
};

/// `N` bytes of a sequence, or nothing but extremes.
fn values<const N: usize>(seed: u32) -> [i8; N] {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    core::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match seed % 3 {
            0 => [i8::MIN, i8::MAX][(state >> 31) as usize],
            _ => (state >> 24) as i8,
        }
    })
}

/// `Σ a·b` over tiles.
fn product<'t>(a: impl Iterator<Item = &'t Tile>, b: impl Iterator<Item = &'t Tile>) -> i32 {
    let products = a.flatten().zip(b.flatten()).map(|(a, b)| i32::from(*a) * i32::from(*b));
    products.sum()
}

/// Rows of a dense layer times its input.
pub fn dense_loops_take_any_length() {
    for length in 0..=9 {
        let (inputs, weights) = (values::<160>(length), values::<1920>(length + 1));
        let (inputs, weights) = (inputs.as_chunks().0, weights.as_chunks().0.as_chunks().0);
        let length = length as usize;
        let (whole, last) = (&inputs[..length], &inputs[length]);
        let mut sums = [[77; 4]; 3];
        multiply_4x1(whole, last, weights, &mut sums);
        for (sums, weights) in sums.iter().zip(weights.chunks(length + 1)) {
            let row = |row: usize| product(weights.iter().map(|rows: &[Tile; 4]| &rows[row]), inputs.iter());
            assert_eq!(*sums, [0, 1, 2, 3].map(row), "{length} tiles before the last");
        }
    }
}

/// Pairs of rows of a convolution times four places, alone and with the pool and the stage behind.
pub fn convolution_loops_take_any_length() {
    for length in 1..=19 {
        let (patches, weights) = (values::<1216>(length), values::<2432>(length + 1));
        let (patches, weights) = (patches.as_chunks().0, weights.as_chunks().0.as_chunks().0);
        let length = length as usize;
        let patches = [0, 1, 2, 3].map(|place| &patches[place * length..][..length]);
        let sum = |pair: usize, row: usize, place: usize| {
            let weights: &[[Tile; 2]] = &weights[pair * length..][..length];
            product(weights.iter().map(|rows| &rows[row]), patches[place].iter())
        };
        let sums = multiply_2x4(&weights[..length], patches);
        assert_eq!(sums, [0, 1].map(|row| [0, 1, 2, 3].map(|place| sum(0, row, place))), "{length} tiles");
        let (bias, multipliers) = ([[1000, -2000, 30_000, 4]; 3], [[1 << 14, 1 << 15, i32::MAX, 3 << 13]; 3]);
        let stage = FourStage { bias: &bias, multipliers: &multipliers, left_shift: 3, zero_point: -5 };
        let fours = 4.min(76 / length / 2);
        let mut outputs = [[77; 4]; 4];
        pool_4x4(patches, weights, stage, &mut outputs[..fours]);
        for (four, output) in outputs[..fours.min(3)].iter().enumerate() {
            for (row, output) in output.iter().enumerate() {
                let largest = [0, 1, 2, 3].map(|place| sum(2 * four + row / 2, row % 2, place)).into_iter().max();
                let value = smmulr((largest.unwrap() + bias[four][row]) << 3, multipliers[four][row]) - 5;
                assert_eq!(i32::from(*output), value.clamp(-128, 127), "{length} tiles, row {}", 4 * four + row);
            }
        }
        assert_eq!(outputs[3], [77; 4], "there is no stage for a fourth four");
    }
}

/// Accumulators over the whole range.
fn accumulators<const N: usize>(seed: u32) -> [i32; N] {
    let [a, b, c, d] = [1, 4, 7, 10].map(|add| values::<N>(seed + add));
    core::array::from_fn(|index| i32::from_le_bytes([a[index], b[index], c[index], d[index]].map(|byte| byte as u8)))
}

/// From accumulators to outputs.
pub fn stages_take_any_length() {
    for length in 0..=9 {
        for left_shift in [0, 1, 7, 31] {
            let (sums, bias) = (accumulators::<10>(left_shift), accumulators::<10>(left_shift + 1));
            let multipliers = accumulators::<10>(left_shift + 2).map(|multiplier| multiplier & i32::MAX);
            let rows = Rows { bias: &bias, multipliers: &multipliers[..length], left_shift: left_shift as u8 };
            let expected = |row: usize| smmulr(sums[row].wrapping_add(bias[row]) << left_shift, multipliers[row]);
            let (mut i8s, mut i32s) = ([77; 10], sums);
            activations(rows, 9, &sums, &mut i8s);
            logits(rows, &mut i32s);
            for row in 0..10 {
                let (small, large) = match row < length {
                    true => ((expected(row) + 9).clamp(-128, 127), expected(row)),
                    false => (77, sums[row]),
                };
                assert_eq!((i32::from(i8s[row]), i32s[row]), (small, large), "row {row} of {length}");
            }
        }
    }
}

/// The states of an LSTM.
pub fn units_take_any_number() {
    for count in 0..=9 {
        for cell_shift in 8..=15 {
            let seed = u32::from(cell_shift) + 8 * count as u32;
            // Within the table, at its ends, and far beyond.
            let logits = accumulators::<40>(seed).map(|logit| logit >> [0, 18, 20, 21][(logit & 3) as usize]);
            let logits: &[[i32; 4]] = logits.as_chunks().0;
            let cell = accumulators::<10>(seed + 1).map(|cell| (cell >> 16) as i16);
            let (mut expected, mut seen) = ((cell, [77; 10]), (cell, [77; 10]));
            for ((logits, cell), hidden) in logits.iter().zip(&mut expected.0).zip(&mut expected.1).take(count) {
                *hidden = gates::step(*logits, cell, cell_shift);
            }
            step_units(&logits[..count], &mut seen.0, &mut seen.1, cell_shift);
            assert_eq!(seen, expected, "{count} units, cell shift {cell_shift}");
        }
    }
}

/// The patches of four places.
pub fn patches_have_any_shape() {
    let input = values::<300>(1);
    let starts = [0, 7, 40, 111];
    for (count, length) in (1..=5).flat_map(|count| (1..=35).map(move |length| (count, length))) {
        let runs = Runs { count, length, step: 36 };
        let patch_bytes = (count * length).next_multiple_of(16);
        let source = |place: usize, index: usize| input[starts[place] + index / length * 36 + index % length];
        let mut patches = [77; 4 * 176];
        copy_patches(&input, starts, runs, &mut patches, patch_bytes);
        for (place, patch) in patches.chunks(patch_bytes).take(4).enumerate() {
            for (index, value) in patch.iter().enumerate() {
                let expected = if index < count * length { source(place, index) } else { 77 };
                assert_eq!(*value, expected, "{count} × {length}, value {index}");
            }
        }
        if fits_tile(runs) {
            let mut tiles = [[77; 16]; 4];
            gather_tiles(&input, starts, runs, &mut tiles);
            for (place, tile) in tiles.iter().enumerate() {
                for (index, value) in tile.iter().enumerate() {
                    let expected = if index < count * length { source(place, index) } else { 0 };
                    assert_eq!(*value, expected, "tile of {count} × {length}, value {index}");
                }
            }
        }
    }
}

/// Values through a table.
pub fn lookups_take_any_length() {
    let (table, input) = (values::<256>(1), values::<40>(2));
    for length in 0..=40 {
        let mut output = [77; 40];
        lookup(&table, &input[..length], &mut output);
        for (index, value) in output.iter().enumerate() {
            let expected = if index < length { table[(i32::from(input[index]) + 128) as usize] } else { 77 };
            assert_eq!(*value, expected, "value {index} of {length}");
        }
    }
}
