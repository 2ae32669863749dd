//! Sum of two activations, four values at a time.

use super::first_four;
use crate::kernels::Add;

/// Saturates first and applies narrower bounds afterwards, which changes nothing, as clamps nest.
pub fn add(add: &Add, [a, b]: [&[i8]; 2], output: &mut [i8]) {
    let [m, n] = add.multipliers;
    let offset = add.offset();
    let fours = a.chunks(4).zip(b.chunks(4));
    for (output, (a, b)) in output.chunks_mut(4).zip(fours) {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (first_four(a), first_four(b));
        let sum = |a: i8, b: i8| {
            let sum = i32::from(a).wrapping_mul(m).wrapping_add(offset).wrapping_add(i32::from(b).wrapping_mul(n));
            (sum >> add.shift).clamp(-128, 127) as i8
        };
        let sums = [sum(a0, b0), sum(a1, b1), sum(a2, b2), sum(a3, b3)];
        match output.as_mut_array() {
            Some(output) => *output = sums,
            None => output.iter_mut().zip(sums).for_each(|(output, sum)| *output = sum),
        }
    }
    if [add.output_min, add.output_max] != [i8::MIN, i8::MAX] {
        for output in output {
            *output = (*output).max(add.output_min).min(add.output_max);
        }
    }
}
