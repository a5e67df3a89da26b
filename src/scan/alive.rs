//! Which of the methods found in source code an event log has seen called: dead code can wait, living code cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use serde::Deserialize;

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
    /// Lines that are no event.
    pub unreadable: u64,
}

#[derive(Deserialize)]
struct Line<'l> {
    event: &'l str,
    #[serde(default)]
    timestamp: &'l str,
    #[serde(default)]
    method: String,
    #[serde(default)]
    caller: Caller,
}

#[derive(Deserialize, Default)]
struct Caller {
    #[serde(default)]
    key: String,
}

impl Log {
    /// Reads event lines.
    ///
    /// # Errors
    /// When reading fails; a line that is no event is only counted.
    pub fn read(mut lines: impl BufRead) -> io::Result<Self> {
        let mut log = Log::default();
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            if !line.trim_ascii().is_empty() {
                match serde_json::from_slice::<Line<'_>>(&line) {
                    Ok(event) => log.take(event),
                    Err(_) => log.unreadable += 1,
                }
            }
            line.clear();
        }
        Ok(log)
    }

    fn take(&mut self, event: Line<'_>) {
        if event.event != "deprecated_call" {
            return;
        }
        let (seen, callers) = self
            .seen
            .entry(event.method.to_ascii_lowercase())
            .or_default();
        seen.calls += 1;
        if event.timestamp > seen.last.as_str() {
            event.timestamp.clone_into(&mut seen.last);
        }
        callers.insert(event.caller.key);
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
