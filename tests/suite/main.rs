//! One binary for every test that crosses crates.

mod end_to_end;
mod host_traces;
mod laws;
mod program;
