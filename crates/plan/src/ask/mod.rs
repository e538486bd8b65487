//! The questions to nodes: a script each, and the pure function that understands its answer.

pub mod counted;
pub mod health;
pub mod pods;
pub mod since;
pub mod survey;
pub mod witnesses;
pub mod written;
