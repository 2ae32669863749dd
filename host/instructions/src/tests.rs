//! Decoding against snippets as LLVM assembles them, and the counting against hand-made ways of a core.

use crate::Class::*;
use crate::{Class, Count, Instruction, Malformed, Tally, Watcher, decode, is_wide};

/// Halfwords, source and class. Each line is what `llvm-mc -triple thumbv8.1m.main -mattr=+mve.fp,+fp64,+dsp
/// -show-encoding` makes of the source.
#[rustfmt::skip]
const SNIPPETS: &[(&[u16], &str, Class)] = &[
    (&[0x2001], "movs r0, #1", Alu),
    (&[0x1888], "adds r0, r1, r2", Alu),
    (&[0x4348], "muls r0, r1, r0", Multiply),
    (&[0x44C8], "add r8, r9", Alu),
    (&[0x4770], "bx lr", Branch),
    (&[0x4798], "blx r3", Call),
    (&[0x4B02], "ldr r3, [pc, #8]", Load),
    (&[0x5088], "str r0, [r1, r2]", StoreIndexed),
    (&[0x5448], "strb r0, [r1, r1]", StoreIndexed),
    (&[0x5688], "ldrsb r0, [r1, r2]", Load),
    (&[0x5B5F], "ldrh r7, [r3, r5]", Load),
    (&[0x6060], "str r0, [r4, #4]", Store),
    (&[0x6872], "ldr r2, [r6, #4]", Load),
    (&[0x8051], "strh r1, [r2, #2]", Store),
    (&[0x78D1], "ldrb r1, [r2, #3]", Load),
    (&[0x9001], "str r0, [sp, #4]", Store),
    (&[0x9D02], "ldr r5, [sp, #8]", Load),
    (&[0xA801], "add r0, sp, #4", Alu),
    (&[0xB082], "sub sp, #8", Alu),
    (&[0xB120], "cbz r0, #8", Branch),
    (&[0xB920], "cbnz r0, #8", Branch),
    (&[0xB530], "push {r4, r5, lr}", StoreMultiple),
    (&[0xBD70], "pop {r4, r5, r6, pc}", LoadMultiple),
    (&[0xB248], "sxtb r0, r1", Alu),
    (&[0xBF08], "it eq", Other),
    (&[0x2001], "moveq r0, #1", Alu),
    (&[0xBF00], "nop", Other),
    (&[0xBE00], "bkpt #0", Other),
    (&[0xC006], "stm r0!, {r1, r2}", StoreMultiple),
    (&[0xCB07], "ldm r3!, {r0, r1, r2}", LoadMultiple),
    (&[0xD002], "beq #4", Branch),
    (&[0xE7FC], "b #-8", Branch),
    (&[0xDF00], "svc #0", Other),
    (&[0xE8B9, 0x00FF], "ldm.w r9!, {r0, r1, r2, r3, r4, r5, r6, r7}", LoadMultiple),
    (&[0xE92D, 0x41F0], "push.w {r4, r5, r6, r7, r8, lr}", StoreMultiple),
    (&[0xE8BD, 0x8130], "pop.w {r4, r5, r8, pc}", LoadMultiple),
    (&[0xE9D2, 0x0102], "ldrd r0, r1, [r2, #8]", LoadMultiple),
    (&[0xE8E2, 0x0102], "strd r0, r1, [r2], #8", StoreMultiple),
    (&[0xE851, 0x0F00], "ldrex r0, [r1]", Load),
    (&[0xE841, 0x0200], "strex r2, r0, [r1]", Store),
    (&[0xE8DF, 0xF000], "tbb [pc, r0]", Load),
    (&[0xE8DF, 0xF011], "tbh [pc, r1, lsl #1]", Load),
    (&[0xEA89, 0x08CA], "eor.w r8, r9, r10, lsl #3", Alu),
    (&[0xEAC1, 0x4002], "pkhbt r0, r1, r2, lsl #16", Alu),
    (&[0xF240, 0x40D2], "movw r0, #1234", Alu),
    (&[0xF501, 0x7080], "add.w r0, r1, #256", Alu),
    (&[0xF301, 0x0007], "ssat r0, #8, r1", Alu),
    (&[0xF3C1, 0x00C3], "ubfx r0, r1, #3, #4", Alu),
    (&[0xF001, 0xF800], "bl #4096", Call),
    (&[0xF001, 0xB800], "b.w #4096", Branch),
    (&[0xF041, 0x8000], "bne.w #4096", Branch),
    (&[0xF3BF, 0x8F4F], "dsb sy", Other),
    (&[0xF3EF, 0x8010], "mrs r0, primask", Other),
    (&[0xF380, 0x8810], "msr primask, r0", Other),
    (&[0xF3AF, 0x8000], "nop.w", Other),
    (&[0xF8C9, 0x8064], "str.w r8, [r9, #100]", Store),
    (&[0xF849, 0x802A], "str.w r8, [r9, r10, lsl #2]", StoreIndexed),
    (&[0xF809, 0x8B01], "strb r8, [r9], #1", Store),
    (&[0xF8D9, 0x8064], "ldr.w r8, [r9, #100]", Load),
    (&[0xF859, 0x802A], "ldr.w r8, [r9, r10, lsl #2]", Load),
    (&[0xF8DF, 0x1064], "ldr.w r1, [pc, #100]", Load),
    (&[0xF859, 0x8B04], "ldr r8, [r9], #4", Load),
    (&[0xF8D1, 0xF004], "ldr.w pc, [r1, #4]", Load),
    (&[0xFA01, 0xF002], "lsl.w r0, r1, r2", Alu),
    (&[0xFA2F, 0xF091], "sxtb16 r0, r1, ror #8", Alu),
    (&[0xFA91, 0xF002], "sadd16 r0, r1, r2", Alu),
    (&[0xFAB1, 0xF081], "clz r0, r1", Alu),
    (&[0xFB09, 0xF80A], "mul r8, r9, r10", Multiply),
    (&[0xFB01, 0x3002], "mla r0, r1, r2, r3", Multiply),
    (&[0xFB01, 0x3012], "mls r0, r1, r2, r3", Multiply),
    (&[0xFB11, 0x3002], "smlabb r0, r1, r2, r3", DspMultiply),
    (&[0xFB21, 0x3002], "smlad r0, r1, r2, r3", DspMultiply),
    (&[0xFB51, 0xF012], "smmulr r0, r1, r2", DspMultiply),
    (&[0xFB51, 0x3012], "smmlar r0, r1, r2, r3", DspMultiply),
    (&[0xFB82, 0x0103], "smull r0, r1, r2, r3", LongMultiply),
    (&[0xFBE2, 0x0103], "umlal r0, r1, r2, r3", LongMultiply),
    (&[0xFBC2, 0x01C3], "smlald r0, r1, r2, r3", LongMultiply),
    (&[0xFB91, 0xF0F2], "sdiv r0, r1, r2", Divide),
    (&[0xFBB1, 0xF0F2], "udiv r0, r1, r2", Divide),
    (&[0xEE30, 0x0A81], "vadd.f32 s0, s1, s2", Float),
    (&[0xEE00, 0x1A10], "vmov s0, r1", Float),
    (&[0xEC51, 0x0B12], "vmov r0, r1, d2", Float),
    (&[0xEC41, 0x0B12], "vmov d2, r0, r1", Float),
    (&[0xEEF1, 0xFA10], "vmrs APSR_nzcv, fpscr", Float),
    (&[0xEDD0, 0x0A01], "vldr s1, [r0, #4]", FloatLoad),
    (&[0xED90, 0x1B02], "vldr d1, [r0, #8]", FloatLoad),
    (&[0xED8D, 0x1B02], "vstr d1, [sp, #8]", FloatStore),
    (&[0xED2D, 0x8B04], "vpush {d8, d9}", FloatStore),
    (&[0xECB0, 0x0A03], "vldmia r0!, {s0, s1, s2}", FloatLoad),
    (&[0xECB0, 0x1F04], "vldrw.u32 q0, [r0], #16", VectorLoad),
    (&[0xED82, 0x3E00], "vstrb.8 q1, [r2]", VectorStore),
    (&[0xEC91, 0x4E86], "vldrb.s16 q2, [r1, q3]", VectorLoad),
    (&[0xFC90, 0x1F01], "vld40.32 {q0, q1, q2, q3}, [r0]", VectorLoad),
    (&[0xFC80, 0x1E00], "vst20.8 {q0, q1}, [r0]", VectorStore),
    (&[0xEEF0, 0x0F22], "vmlava.s8 r0, q0, q1", Vector),
    (&[0xEF22, 0x0844], "vadd.i32 q0, q1, q2", Vector),
    (&[0xEF22, 0x0644], "vmax.s32 q0, q1, q2", Vector),
    (&[0xEE23, 0x1E60], "vmul.i32 q0, q1, r0", Vector),
    (&[0xEF24, 0x0442], "vshl.s32 q0, q1, q2", Vector),
    (&[0xFF22, 0x0B44], "vqrdmulh.s32 q0, q1, q2", Vector),
    (&[0xEE23, 0x1E05], "vrmulh.s32 q0, q1, q2", Vector),
    (&[0xFE71, 0x0F4D], "vpst", Vector),
    (&[0xEF22, 0x0844], "vaddt.i32 q0, q1, q2", Vector),
    (&[0xF002, 0xE801], "vctp.8 r2", Loop),
    (&[0xF043, 0xE001], "dls lr, r3", Loop),
    (&[0xF043, 0xC009], "wls lr, r3, #16", Loop),
    (&[0xF003, 0xC009], "wlstp.8 lr, r3, #16", Loop),
    (&[0xF00F, 0xC009], "le lr, #-16", Loop),
    (&[0xF01F, 0xC009], "letp lr, #-16", Loop),
    (&[0xEA51, 0x8002], "csel r0, r1, r2, eq", Alu),
];

/// The instruction that the table has for `source`.
fn snippet(source: &str) -> Instruction {
    let (code, ..) = SNIPPETS.iter().find(|(_, text, _)| *text == source).unwrap();
    decode(code[0], code.get(1).copied().unwrap_or(0))
}

#[test]
fn assembled_snippets_have_their_class() {
    for (code, source, class) in SNIPPETS {
        assert_eq!(is_wide(code[0]), code.len() == 2, "{source}");
        assert_eq!(snippet(source).class, *class, "{source}");
    }
    for class in Class::ALL {
        assert!(SNIPPETS.iter().any(|snippet| snippet.2 == class), "no snippet of {}", class.name());
        assert_eq!(Class::ALL[class as usize], class);
    }
}

#[test]
fn transfers_know_their_words() {
    let words = [
        ("push {r4, r5, lr}", 3),
        ("pop {r4, r5, r6, pc}", 4),
        ("stm r0!, {r1, r2}", 2),
        ("ldm r3!, {r0, r1, r2}", 3),
        ("ldm.w r9!, {r0, r1, r2, r3, r4, r5, r6, r7}", 8),
        ("push.w {r4, r5, r6, r7, r8, lr}", 6),
        ("pop.w {r4, r5, r8, pc}", 4),
        ("ldrd r0, r1, [r2, #8]", 2),
        ("strd r0, r1, [r2], #8", 2),
        ("vldr s1, [r0, #4]", 1),
        ("vldr d1, [r0, #8]", 2),
        ("vpush {d8, d9}", 4),
        ("vldmia r0!, {s0, s1, s2}", 3),
        ("ldr r8, [r9], #4", 0),
    ];
    for (source, words) in words {
        assert_eq!(snippet(source).words, words, "{source}");
    }
}

#[test]
fn loads_know_what_they_fill_and_read() {
    let loads = [
        ("ldr r3, [pc, #8]", 3, 1 << 15),
        ("ldrsb r0, [r1, r2]", 0, 0b110),
        ("ldr r2, [r6, #4]", 2, 1 << 6),
        ("ldr r5, [sp, #8]", 5, 1 << 13),
        ("ldr.w r8, [r9, #100]", 8, 1 << 9),
        ("ldr.w r8, [r9, r10, lsl #2]", 8, 1 << 9 | 1 << 10),
        ("ldr.w r1, [pc, #100]", 1, 1 << 15),
        ("tbb [pc, r0]", 15, 1 << 15 | 1),
    ];
    for (source, loaded, address) in loads {
        let load = snippet(source);
        assert_eq!((load.loaded, load.address), (Some(loaded), address), "{source}");
    }
}

/// What a core counts that executes `way`: sources, and the addresses that they lie at.
fn count(way: &[(&str, u64)]) -> Tally {
    let mut watcher = Watcher::default();
    for (source, address) in way {
        let (code, ..) = SNIPPETS.iter().find(|(_, text, _)| text == source).unwrap();
        watcher.execute(&snippet(source), *address, 2 * code.len() as u64);
    }
    *watcher.tally()
}

#[test]
fn a_jump_is_counted_where_it_went_elsewhere() {
    let tally = count(&[
        ("beq #4", 0x100),
        ("pop.w {r4, r5, r8, pc}", 0x102),
        ("bl #4096", 0x200),
        ("movs r0, #1", 0x300),
        ("adds r0, r1, r2", 0x302),
    ]);
    assert_eq!(tally.of(Branch), Count { executed: 1, ..Count::default() });
    assert_eq!(tally.of(LoadMultiple), Count { executed: 1, words: 4, taken: 1, pipelined: 0 });
    assert_eq!(tally.of(Call), Count { executed: 1, taken: 1, ..Count::default() });
    assert_eq!(tally.of(Alu), Count { executed: 2, ..Count::default() });
    assert_eq!(tally.executed(), 5);
}

#[test]
fn a_load_is_pipelined_behind_one_that_it_does_not_wait_for() {
    let behind = |first, second| {
        let tally = count(&[(first, 0x100), (second, 0x102)]);
        Class::ALL.iter().map(|class| tally.of(*class).pipelined).sum::<u64>()
    };
    assert_eq!(behind("ldr r2, [r6, #4]", "ldr r5, [sp, #8]"), 1);
    assert_eq!(behind("ldr r2, [r6, #4]", "str r0, [r1, r2]"), 0, "waits for r2");
    assert_eq!(behind("ldrb r1, [r2, #3]", "ldrsb r0, [r1, r2]"), 0, "waits for r1");
    assert_eq!(behind("ldr r5, [sp, #8]", "str r0, [r1, r2]"), 1);
    assert_eq!(behind("str r0, [sp, #4]", "ldr r5, [sp, #8]"), 0, "nothing is pipelined behind a store");
    let apart = count(&[("ldr r2, [r6, #4]", 0x100), ("ldr r5, [sp, #8]", 0x200)]);
    assert_eq!(apart.of(Load).pipelined, 0, "a jump lies between");
}

#[test]
fn counts_survive_their_way_as_text_and_nothing_else_is_taken_for_them() {
    let tally = count(&[("pop.w {r4, r5, r8, pc}", 0x102), ("ldr r2, [r6, #4]", 0x200), ("ldr r5, [sp, #8]", 0x202)]);
    let text = tally.to_string();
    assert_eq!(text.parse(), Ok(tally));
    assert_eq!(format!("{text} 0").parse::<Tally>(), Err(Malformed));
    assert_eq!(text.rsplit_once(' ').unwrap().0.parse::<Tally>(), Err(Malformed));
    assert_eq!("".parse::<Tally>(), Err(Malformed));
}

#[test]
fn tallies_add_up() {
    let tally = count(&[("ldr r2, [r6, #4]", 0x200), ("ldr r5, [sp, #8]", 0x202)]);
    let mut sum = tally;
    sum += tally;
    assert_eq!(sum, tally * 2);
    assert_eq!(sum - tally, tally);
}
