//! A TOML file under reading: turns spans into places, and a wrong value into a message with its place.

use std::ops::Range;

use super::failure::Failure;
use super::text::{nearest, position};

/// A TOML file by name and text. Its messages say where a value stands.
pub struct Source<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

impl Source<'_> {
    /// `FILE:LINE` of a span.
    pub fn place(&self, at: Range<usize>) -> String {
        format!("{}:{}", self.name, position(self.text, at.start).0)
    }

    pub fn wrong(&self, at: Range<usize>, why: &str) -> Failure {
        let (line, column) = position(self.text, at.start);
        Failure::usage(format!("{}:{line}:{column}: {why}", self.name))
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
