//! Deprecated methods in source code, before they are called: which lines of a tree name one, what to call instead, and
//! what a text search cannot see. Findings carry places and method names, never a line's content: code holds webhook
//! addresses.
//!
//! - [`text`] the methods that one text names (pure)
//! - [`join`] a name put together from pieces, where that is certain (pure)
//! - [`arrays`] a name joined from a list by dots (pure)
//! - [`constants`] what a text's constants and variables hold (pure)
//! - [`pieces`] a text, and quotes, comments, operators and words in it (pure)
//! - [`n8n`] nodes for Bitrix24 in a workflow of n8n (pure)
//! - [`walk`] the files of a tree, as `.gitignore` leaves them, on all cores
//! - [`alive`] which of the findings an event log has seen called
//! - [`output`] the report as a table, JSON, SARIF 2.1.0 or GitHub's workflow commands

pub mod alive;
pub mod arrays;
pub mod constants;
mod found;
pub mod join;
pub mod n8n;
mod names;
pub mod output;
pub mod pieces;
pub mod text;
pub mod walk;

pub use found::{Found, Known, Place, Report, Unseen, Why};
