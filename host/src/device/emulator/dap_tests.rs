use super::super::fake::Fake;
use super::*;
use proptest::prelude::*;

fn dap() -> Dap<Fake> {
    Dap::new(CoreDebug::new(Fake::new(&[0xBF00; 4]), 0..0x1000).unwrap())
}

/// Register addresses of the access port in bank 0.
const AP_CSW: u8 = 0x0;
const AP_TAR: u8 = 0x4;
const INCREMENT: u32 = 1 << 4;

#[test]
fn the_debug_port_identifies_itself_and_grants_power() {
    let mut dap = dap();
    assert_eq!(dap.read_dp(0), DPIDR);
    dap.write_dp(4, POWER_UP_REQUESTS);
    assert_eq!(dap.read_dp(4), 0xF000_0000);
    dap.write_dp(8, 0xF0);
    assert_eq!(dap.read_ap(0xC).unwrap(), AP_IDR);
    assert_eq!(dap.read_ap(0x8).unwrap(), rom_table::BASE | 3);
}

#[test]
fn other_access_ports_are_absent() {
    let mut dap = dap();
    dap.write_dp(8, 1 << 24 | 0xF0);
    assert_eq!(dap.read_ap(0xC).unwrap(), 0);
    dap.write_ap(AP_TAR, 0x2000_0000).unwrap();
    dap.write_dp(8, 0);
    assert_eq!(dap.read_ap(AP_TAR).unwrap(), 0);
}

proptest! {
    /// What is written by transfers of one size reads back by transfers of another, at any place.
    #[test]
    fn memory_is_the_same_at_every_transfer_size(
        data in proptest::collection::vec(any::<u8>(), 1..40),
        start in 0x2000_0000u32..0x2000_0010,
        write_size in 0u32..3,
    ) {
        let size = 1usize << write_size;
        let start = start & !(size as u32 - 1);
        let mut data = data;
        data.resize(data.len().next_multiple_of(size), 0xA5);
        let mut dap = dap();
        let lane = |address: u32| address % 4 * 8;
        let words: Vec<u32> = data.chunks(size).zip((start..).step_by(size)).map(|(chunk, address)| {
            let mut word = [0; 4];
            word[..size].copy_from_slice(chunk);
            u32::from_le_bytes(word) << lane(address)
        }).collect();
        dap.write_ap(AP_CSW, write_size | INCREMENT).unwrap();
        dap.write_ap(AP_TAR, start).unwrap();
        dap.write_data(&words).unwrap();
        dap.write_ap(AP_CSW, INCREMENT).unwrap();
        dap.write_ap(AP_TAR, start).unwrap();
        let mut bytes = vec![0; data.len()];
        dap.read_data(&mut bytes).unwrap();
        let bytes: Vec<u8> = bytes.iter().zip(start..).map(|(word, address)| (word >> lane(address)) as u8).collect();
        prop_assert_eq!(bytes, data);
    }

    /// No sequence of register accesses makes the model fail or touch the stub while the core runs.
    #[test]
    fn any_sequence_of_accesses_is_survived(
        accesses in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u8..4, prop_oneof![
            any::<u32>(),
            (0u32..0x100).prop_map(|offset| 0xE000_ED00 + offset),
            (0u32..0x40).prop_map(|bits| 0xA05F_0000 | bits),
            Just(0x05FA_0004u32),
        ]), 0..60),
    ) {
        let mut dap = dap();
        for (is_ap, is_read, register, value) in accesses {
            match (is_ap, is_read) {
                (false, true) => drop(dap.read_dp(register * 4)),
                (false, false) => dap.write_dp(register * 4, value),
                (true, true) => drop(dap.read_ap(register * 4).unwrap()),
                (true, false) => dap.write_ap(register * 4, value).unwrap(),
            }
        }
    }
}

#[test]
fn without_increment_each_access_is_of_the_same_place() {
    let mut dap = dap();
    dap.write_ap(AP_CSW, 2).unwrap();
    dap.write_ap(AP_TAR, 0x2000_0000).unwrap();
    dap.write_data(&[1, 2, 3]).unwrap();
    let mut values = [0; 2];
    dap.read_data(&mut values).unwrap();
    assert_eq!(values, [3, 3]);
}
