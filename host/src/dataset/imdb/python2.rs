//! The order in which a dictionary of Python 2 gives out its keys.
//!
//! Keras' word index was made by Python 2 (64-bit, without hash randomisation, which was off by default), and words that
//! are equally frequent stand in it as that Python's `dict` gave them out. `Objects/dictobject.c` and
//! `Objects/stringobject.c` of Python 2.7 are what this follows.

/// The order that results when `keys`, all different, are put in one by one: indices into `keys`.
pub fn dict_order(keys: &[&[u8]]) -> Vec<usize> {
    let hashes: Vec<u64> = keys.iter().map(|key| hash(key)).collect();
    let mut slots: Vec<Option<usize>> = vec![None; 8];
    for index in 0..keys.len() {
        insert(&mut slots, &hashes, index);
        // `dict_set_item_by_hash_or_entry`: at two thirds, grow to more than four times the keys, or twice if they are many.
        let used = index + 1;
        if 3 * used >= 2 * slots.len() {
            let least = used * if used > 50_000 { 2 } else { 4 };
            let old = std::mem::replace(&mut slots, vec![None; (least + 1).next_power_of_two()]);
            old.into_iter().flatten().for_each(|index| insert(&mut slots, &hashes, index));
        }
    }
    slots.into_iter().flatten().collect()
}

/// `insertdict_clean`: the first free slot of the key's sequence.
fn insert(slots: &mut [Option<usize>], hashes: &[u64], index: usize) {
    const PERTURB_SHIFT: u32 = 5;
    let mask = slots.len() as u64 - 1;
    let mut perturb = hashes[index];
    let mut place = perturb & mask;
    while slots[(place & mask) as usize].is_some() {
        place = place.wrapping_mul(5).wrapping_add(perturb).wrapping_add(1);
        perturb >>= PERTURB_SHIFT;
    }
    slots[(place & mask) as usize] = Some(index);
}

/// `string_hash`, with both secrets 0.
fn hash(key: &[u8]) -> u64 {
    let Some(&first) = key.first() else { return 0 };
    let start = u64::from(first) << 7;
    let mixed = key.iter().fold(start, |hash, &byte| hash.wrapping_mul(1_000_003) ^ u64::from(byte));
    match mixed ^ key.len() as u64 {
        u64::MAX => u64::MAX - 1, // −1 stood for an error
        hash => hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hash('a')` and so on in Python 2.7 on 64 bits.
    #[test]
    fn hashes_are_those_of_python_2() {
        assert_eq!(hash(b"a"), 12_416_037_344);
        assert_eq!(hash(b""), 0);
    }

    #[test]
    fn every_key_comes_out_once() {
        let names: Vec<String> = (0..60_000).map(|i| format!("key {i}")).collect();
        let mut order = dict_order(&names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>());
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.into_iter().eq(0..60_000));
    }
}
