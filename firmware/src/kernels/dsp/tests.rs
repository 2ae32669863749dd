//! The instructions against their definitions.

use super::*;
use proptest::prelude::*;

fn halves(word: u32) -> [i64; 2] {
    [word & 0xffff, word >> 16].map(|half| i64::from(half) - if half >= 0x8000 { 0x1_0000 } else { 0 })
}

proptest! {
    #[test]
    fn smlad_is_its_definition(a: u32, b: u32, accumulator: i32) {
        let [[a_low, a_high], [b_low, b_high]] = [halves(a), halves(b)];
        let exact = i64::from(accumulator) + a_low * b_low + a_high * b_high;
        prop_assert_eq!(i64::from(smlad(a, b, accumulator)), (exact + (1 << 31)).rem_euclid(1 << 32) - (1 << 31));
    }

    #[test]
    fn sxtb16_is_its_definition(bytes: [i8; 4]) {
        let word = u32::from_le_bytes(bytes.map(|byte| byte as u8));
        let [b0, b1, b2, b3] = bytes.map(i64::from);
        prop_assert_eq!(halves(sxtb16(word)), [b0, b2]);
        prop_assert_eq!(halves(sxtb16_ror8(word)), [b1, b3]);
    }

    #[test]
    fn smmulr_is_its_definition(a: i32, b: i32) {
        let exact = (i128::from(a) * i128::from(b) * 2 + (1 << 32)).div_euclid(1 << 33);
        prop_assert_eq!(i128::from(smmulr(a, b)), exact);
    }
}

#[test]
fn extremes() {
    assert_eq!(smlad(0x8000_8000, 0x8000_8000, 0), i32::MIN);
    assert_eq!(smlad(0x7fff_7fff, 0x8000_8000, i32::MIN), i32::MIN.wrapping_sub(2 * 0x7fff * 0x8000));
    for a in [i32::MIN, -1, 0xffff, 0x10_0000, 0x7fff_0000, i32::MAX] {
        for b in [i32::MIN, -1, 0xffff, 0x10_0000, 0x7fff_0000, i32::MAX] {
            let exact = (i64::from(a) * i64::from(b) + (1 << 31)) >> 32;
            assert_eq!(i64::from(smmulr(a, b)), exact, "{a}, {b}");
        }
    }
    assert_eq!(sxtb16(0x0080_007f), 0xff80_007f);
}
