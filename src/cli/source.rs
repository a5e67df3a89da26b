//! A TOML file under reading: turns spans into places, and a wrong value into a message with its place.

use std::ops::Range;

use super::failure::Failure;
use super::text::nearest;
use crate::places::Places;

/// A TOML file by name and text. Its messages say where a value stands.
pub struct Source<'a> {
    pub name: &'a str,
    places: Places<'a>,
}

impl<'a> Source<'a> {
    pub fn new(name: &'a str, text: &'a str) -> Self {
        Self {
            name,
            places: Places::new(text.as_bytes()),
        }
    }
}

impl Source<'_> {
    /// Line and column of a span's begin.
    pub fn position(&self, at: &Range<usize>) -> (usize, usize) {
        self.places.of(at.start)
    }

    /// `FILE:LINE:COLUMN` of a span.
    pub fn place(&self, at: &Range<usize>) -> String {
        let (line, column) = self.position(at);
        format!("{}:{line}:{column}", self.name)
    }

    pub fn wrong(&self, at: Range<usize>, why: &str) -> Failure {
        Failure::usage(format!("{}: {why}", self.place(&at)))
    }

    pub fn unknown<'k>(
        &self,
        at: Range<usize>,
        key: &str,
        known: impl Iterator<Item = &'k str>,
    ) -> Failure {
        let hint = match nearest(key, known) {
            Some(name) => format!("did you mean {name}?"),
            None => "docs/CONFIGURATION.md lists all".to_owned(),
        };
        self.wrong(at, &format!("there is no key {}; {hint}", shown(key)))
    }
}

/// Shows a key that is not a known name: cut, and hidden where it may be an address with a secret.
pub fn shown(key: &str) -> String {
    if key.contains(['/', ':']) {
        "of that name".to_owned()
    } else {
        key.chars().take(60).collect()
    }
}
