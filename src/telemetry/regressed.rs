//! Callers that call again though their migration was done: said once a day and name.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use super::callers::{Callers, Day};
use super::event::{DeprecationEvent, SCHEMA};
use super::json::Object;
use super::reader::REGRESSED;

/// Which names were said to have regressed, on the day that it was last said of any.
#[derive(Debug, Default)]
pub struct Regressed(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    day: Option<Day>,
    names: HashSet<String>,
}

impl Said {
    /// Whether it is still to be said of this name on this day. Days that are over are not said any more.
    fn first(&mut self, day: Day, name: &str) -> bool {
        if self.day.is_none_or(|said| said < day) {
            self.day = Some(day);
            self.names.clear();
        }
        self.day == Some(day) && !self.names.contains(name) && self.names.insert(name.to_owned())
    }
}

impl Regressed {
    /// Appends a line where the use is its caller's first of the day after its migration.
    pub fn write(
        &self,
        callers: &Callers,
        event: &DeprecationEvent<'_>,
        name: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let Some(name) = name.filter(|_| callers.any_migrated()) else {
            return;
        };
        let Some(about) = callers.about(name) else {
            return;
        };
        let at = event
            .timestamp
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        if !about.is_regression(at) || !self.first(Day::of(at), name) {
            return;
        }
        tracing::warn!(
            caller = name,
            method = event.rule.method,
            "a caller whose migration was done calls again"
        );
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA)
            .moment("timestamp", event.timestamp)
            .text("event", REGRESSED)
            .text("request_id", &event.request_id)
            .text("name", name)
            .text_if("owner", about.owner.as_deref())
            .text_if("contact", about.contact.as_deref())
            .text_if("ticket", about.ticket.as_deref());
        if let Some(migrated) = about.migrated {
            line.text("migrated", &migrated.to_string());
        }
        line.text("method", &event.rule.method)
            .text("action", event.action.as_str());
        event.caller.write(Some(name), line.member("caller"));
        line.end();
        out.push(b'\n');
    }

    /// An earlier run has said it.
    pub fn said_before(&self, day: Day, name: &str) {
        self.first(day, name);
    }

    fn first(&self, day: Day, name: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.first(day, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_day_and_name() {
        let mut said = Said::default();
        assert!(said.first(Day(5), "a") && said.first(Day(5), "b") && !said.first(Day(5), "a"));
        assert!(said.first(Day(6), "a") && !said.first(Day(6), "a"));
        // A line of yesterday that is read now.
        assert!(!said.first(Day(5), "c") && said.first(Day(6), "c"));
    }
}
