//! The rules that ship, read from the files that are part of the program.

use super::read::{read_rules, read_watched};
use super::rule::Rule;

/// The exact rules, then the watched ones, which list the exact ones too.
///
/// # Panics
/// Never: a test reads the files.
pub(super) fn rules() -> Vec<Rule> {
    let exact = read_rules(include_str!("rules.json")).expect("rules.json is read by a test");
    let watched = read_watched(include_str!("watched.tsv")).expect("watched.tsv is read by a test");
    exact.into_iter().chain(watched).collect()
}
