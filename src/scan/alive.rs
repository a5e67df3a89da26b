//! Which of the methods found in source code an event log has seen called: dead code can wait, living code cannot.

use std::collections::{BTreeMap, BTreeSet};

/// What a log says of one method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many calls, batch commands one each.
    pub calls: u64,
    /// How many different callers.
    pub callers: usize,
    /// The last one's time, RFC 3339 in UTC.
    pub last: String,
}

/// Methods, lower-cased, and what a log says of them.
#[derive(Debug, Default)]
pub struct Log {
    seen: BTreeMap<String, (Seen, BTreeSet<String>)>,
}

impl Log {
    /// Takes note of a use of a method: at which time (RFC 3339 in UTC), by whom, how many calls.
    pub fn called(&mut self, method: &str, at: &str, caller: &str, calls: u64) {
        let (seen, callers) = self.seen.entry(method.to_ascii_lowercase()).or_default();
        seen.calls += calls;
        if at > seen.last.as_str() {
            at.clone_into(&mut seen.last);
        }
        if !callers.contains(caller) {
            callers.insert(caller.to_owned());
        }
        seen.callers = callers.len();
    }

    /// What the log says of a method, in any case.
    pub fn of(&self, method: &str) -> Option<&Seen> {
        self.seen
            .get(&method.to_ascii_lowercase())
            .map(|(seen, _)| seen)
    }

    /// The methods that were called, lower-cased.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.seen.keys().map(String::as_str)
    }
}
