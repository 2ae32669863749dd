//! The cases of `common/helium.rs`, for what stands for Helium's instructions on other cores.

#[path = "common/helium.rs"]
mod helium;

#[test]
fn dense_loops_take_any_length() {
    helium::dense_loops_take_any_length();
}

#[test]
fn convolution_loops_take_any_length() {
    helium::convolution_loops_take_any_length();
}

#[test]
fn stages_take_any_length() {
    helium::stages_take_any_length();
}

#[test]
fn units_take_any_number() {
    helium::units_take_any_number();
}

#[test]
fn patches_have_any_shape() {
    helium::patches_have_any_shape();
}

#[test]
fn lookups_take_any_length() {
    helium::lookups_take_any_length();
}
