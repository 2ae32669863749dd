//! Camera drivers: their exact traffic, against scripts of what goes over the wires; and, against chips that are imitated
//! here, what a camera is told in all and what happens when one stops, lies or is another.

mod arducam;
mod fakes;
mod reader;
mod sensors;
mod view;
