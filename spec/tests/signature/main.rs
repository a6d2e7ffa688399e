//! Signatures against outside vectors, crafted and random input, and the rule restated in plain arithmetic.

mod batch;
mod crafted;
mod curve;
mod form;
mod vectors;
