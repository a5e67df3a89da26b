//! What a deprecation log says when it is read as a whole (pure: lines in, values and texts out).
//!
//! - [`period`] from when to when, as a person says it
//! - [`rows`] who still calls what: one row for each caller and method
//! - [`output`] the rows as JSON, CSV and Markdown
//! - [`suggest`] entries of the callers file for those without a name
//! - [`zero`] whether nothing was called and somebody looked all the time

pub mod output;
pub mod period;
pub mod rows;
pub mod suggest;
pub mod zero;
