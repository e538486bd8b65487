//! The inventory file: text to a validated [`Cluster`].
//!
//! [`parse`] finds every mistake in one go and says of each where it is and what would be right; what it
//! returns has every default filled in, so nothing downstream checks again. Pure: the caller reads the file.
//! Reading order: `raw` (the file as written), `lower` (its values, one by one), `check` (rules across
//! them), `cluster` (the result).

mod parse;
mod places;

mod document;
mod form;
mod raw;
mod value;

mod lower;
mod pods;

mod check;
mod not_yet;

pub mod change;
pub mod cluster;
mod domain;
mod effective;
mod error;
mod example;
mod keep;
mod kit;
mod schema;

pub use change::{Key, KeyChange, Kind, changes};
pub use check::{can_be_laid, is_laid};
pub use cluster::*;
pub use effective::effective;
pub use error::{Mistake, Mistakes, Severity};
pub use example::{ExampleNode, commented_example};
pub use keep::Keep;
pub use kit::{KIT_BEGIN, KIT_END, Kit};
pub use parse::{Parsed, parse};
pub use schema::schema;

/// What `init` and the lab write where nobody asks for another version.
pub const DEFAULT_KUBERNETES: semver::Version = semver::Version::new(1, 36, 3);
