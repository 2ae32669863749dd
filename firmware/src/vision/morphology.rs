//! Extremes of what is around each value of a plane: dilation, and closing.

use core::cell::Cell;

/// Most values along a side.
pub const MAX_VALUES: usize = 64;
/// Farthest that is looked.
const MAX_REACH: usize = 4;

/// A morphological closing by values up to `REACH` away: what is dark and narrow takes the brightness around it.
pub fn close<const REACH: usize>(plane: &mut [u8], columns: usize) {
    extreme::<REACH>(plane, columns, 0, u8::max);
    extreme::<REACH>(plane, columns, u8::MAX, u8::min);
}

/// Replaces each value by the extreme of those at most `REACH` places away, along rows and then along columns; `none` is
/// what changes no extreme.
pub fn extreme<const REACH: usize>(plane: &mut [u8], columns: usize, none: u8, pick: impl Fn(u8, u8) -> u8) {
    let columns = columns.max(1);
    let plane = Cell::from_mut(plane).as_slice_of_cells();
    plane.chunks(columns).for_each(|row| extreme_of_line::<REACH>(row.iter(), none, &pick));
    (0..columns).for_each(|x| extreme_of_line::<REACH>(plane.iter().skip(x).step_by(columns), none, &pick));
}

/// Four places at once: their windows have all but three values at each end in common.
fn extreme_of_line<'c, const REACH: usize>(
    line: impl Iterator<Item = &'c Cell<u8>> + Clone,
    none: u8,
    pick: impl Fn(u8, u8) -> u8,
) {
    const { assert!(REACH <= MAX_REACH, "the windows at the end of a line would be missing") };
    let mut padded = [none; MAX_VALUES + 2 * MAX_REACH];
    let mut extremes = [0; MAX_VALUES];
    let inner = padded.iter_mut().skip(REACH).zip(line.clone());
    let count = inner.map(|(to, from)| *to = from.get()).count();
    let windows = padded.windows(2 * REACH + 4).step_by(4);
    for (four, near) in extremes.as_chunks_mut::<4>().0.iter_mut().zip(windows).take(count.div_ceil(4)) {
        let [a, b, c, shared @ .., x, y, z] = near else { return };
        let shared = shared.iter().fold(none, |all, one| pick(all, *one));
        let [bc, xy] = [pick(*b, *c), pick(*x, *y)];
        *four = [pick(*a, bc), pick(bc, *x), pick(*c, xy), pick(xy, *z)].map(|ends| pick(shared, ends));
    }
    line.zip(extremes).for_each(|(place, extreme)| place.set(extreme));
}
