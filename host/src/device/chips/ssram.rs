//! Flash algorithm (CMSIS-Pack: Init, UnInit, EraseSector, ProgramPage) for memory that is RAM but
//! is to behave as NOR flash: erasing sets all bits of a 4 KiB sector, programming can only clear bits.
//!
//! `mps.yaml` holds the machine code; after a change here:
//!
//! ```sh
//! rustc --edition 2024 --target thumbv6m-none-eabi --crate-type lib --emit obj -o ssram.o ssram.rs
//! llvm-objcopy -O binary -j .algorithm ssram.o ssram.bin && base64 -w0 ssram.bin && llvm-nm ssram.o
//! ```

#![no_std]

core::arch::global_asm!(
    r#"
    .section .algorithm, "ax"
    .syntax unified
    .thumb
Init:                       // (address, clock, function) -> 0
    movs r0, #0
    bx   lr
UnInit:                     // (function) -> 0
    movs r0, #0
    bx   lr
EraseSector:                // (address) -> 0
    movs r1, #1
    lsls r1, r1, #12
    movs r2, #0
    mvns r2, r2
1:  subs r1, #4
    str  r2, [r0, r1]
    bne  1b
    b    Init
ProgramPage:                // (address, bytes, data) -> 0, or 1 where a bit would have to be set
    push {{r4, r5, lr}}
    cmp  r1, #0
    beq  3f
2:  subs r1, #4
    ldr  r3, [r0, r1]
    ldr  r4, [r2, r1]
    ands r3, r4
    str  r3, [r0, r1]
    cmp  r3, r4
    bne  4f
    cmp  r1, #0
    bne  2b
3:  movs r0, #0
    pop  {{r4, r5, pc}}
4:  movs r0, #1
    pop  {{r4, r5, pc}}
    "#
);
