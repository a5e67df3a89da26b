//! The methods that are looked for, and how their names can begin (pure).

use std::collections::{BTreeSet, HashMap};

/// The names looked for, and how they can begin.
#[derive(Debug)]
pub struct Names {
    pub(super) by_name: HashMap<String, usize>,
    pub(super) beginnings: BTreeSet<String>,
}

impl Names {
    /// The method of this lower-case name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Whether some name begins with this lower-case text and goes on.
    pub fn go_on_from(&self, beginning: &str) -> bool {
        self.beginnings
            .range(beginning.to_owned()..)
            .next()
            .is_some_and(|name| name.starts_with(beginning) && name.len() > beginning.len())
    }
}

/// Whether this byte can stand in a name's segment.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
