//! Trains small neural networks through ONNX Runtime, quantizes them to int8 and runs them on
//! microcontrollers.
//!
//! Floors, each knowing only those below it:
//!
//! ```text
//! commands                                              what a user types
//! engine · picture · judge                              one verb for every place that runs a model; a user's picture as input; drawings judged
//! export · verify                                       float model → int8 artifacts; the five ways to run them, compared
//! train · quantize · inference · scores                 the loop; ranges and rounding; images through ONNX Runtime; outputs judged
//! dataset · device · runtime · recipe · twin            data; boards; ONNX Runtime; recipe.toml; the firmware on this machine
//! graph · setup · firmware                              ONNX graphs and gradients; provisioning; what runs on the board
//! ```

pub mod artifacts;
pub mod commands;
pub mod dataset;
pub mod device;
pub mod drawings;
pub mod engine;
pub mod export;
pub mod frames;
pub mod graph;
pub mod inference;
pub mod judge;
pub mod linear;
pub mod picture;
pub mod quantize;
pub mod recipe;
pub mod runtime;
pub mod scores;
pub mod setup;
pub mod train;
pub mod twin;
pub mod verify;
