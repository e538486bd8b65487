//! The questions to nodes: a script each, and the pure function that understands its answer.

pub mod health;
pub mod pods;
pub mod survey;
pub mod witnesses;
