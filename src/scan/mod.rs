//! Deprecated methods in source code, before they are called: which lines of a tree name one, what to call instead, and
//! what a text search cannot see. Findings carry places and method names, never a line's content: code holds webhook
//! addresses.
//!
//! - [`text`] the methods that one text names (pure)
//! - [`join`] a name put together from pieces, where that is certain (pure)
//! - [`walk`] the files of a tree, as `.gitignore` leaves them, on all cores
//! - [`alive`] which of the findings an event log has seen called
//! - [`output`] the report as a table, JSON, SARIF 2.1.0 or GitHub's workflow commands

pub mod alive;
mod found;
pub mod join;
mod names;
pub mod output;
pub mod text;
pub mod walk;

pub use found::{Found, Known, Place, Report, Unseen, Why};
