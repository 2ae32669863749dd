//! Says which instructions the target has: stable rustc hides `cfg(target_feature = …)` of Cortex-M cores.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(dsp)");
    println!("cargo::rustc-check-cfg=cfg(mve)");
    println!("cargo::rustc-check-cfg=cfg(thumb1)");
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    // Every Cortex-M4 and M7 has it; on a Cortex-M33 it is an option, so the board's crate asks for it.
    let optional = target.starts_with("thumbv8m.main") && env::var_os("CARGO_FEATURE_DSP").is_some();
    if target.starts_with("thumbv7em") || optional {
        println!("cargo::rustc-cfg=dsp");
    }
    // Helium is an option of the Cortex-M55 and its successors, which all have DSP; the feature brings that too.
    if target.starts_with("thumbv8m.main") && env::var_os("CARGO_FEATURE_MVE").is_some() {
        println!("cargo::rustc-cfg=mve");
    }
    // Cortex-M0: eight registers that every instruction can use, and no SIMD.
    if target.starts_with("thumbv6m") {
        println!("cargo::rustc-cfg=thumb1");
    }
}
