//! One binary for every test that crosses crates.

mod end_to_end;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod fake_node;
mod host_traces;
#[cfg(test)]
mod lab_cluster;
mod laws;
mod program;
#[cfg(test)]
mod way_out;
