//! Observed calls of watched methods, summed up: one line for each caller, method and hour, where ops chose so
//! (`--watched-log hourly`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::caller::Caller;
use super::callers::Callers;
use super::event::{DeprecationEvent, SCHEMA, write_parameters};
use super::json::Object;
use super::reader::CALLS;
use crate::catalogue::Rule;
use crate::translate::Action;
use crate::translate::sent::MOST_NAMES;

/// The most sums that wait for their hour to end.
pub const MOST: usize = 10_000;

/// The sums of the hours that are not written yet.
#[derive(Debug, Default)]
pub struct Sums {
    /// By the rule's method, then by the caller's key, then by hour.
    sums: HashMap<String, HashMap<String, Vec<Sum>>>,
    lines: usize,
    /// All calls in them.
    pub calls: u64,
}

#[derive(Debug)]
struct Sum {
    hour: u64,
    rule: Arc<Rule>,
    caller: Arc<Caller>,
    count: u64,
    errors: u64,
    first: SystemTime,
    last: SystemTime,
    /// The names of parameters that its calls were seen to send.
    parameters: Vec<String>,
}

/// The hour of a moment, since 1970.
pub fn hour_of(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
        / 3600
}

impl Sums {
    /// Adds a call. Says whether there is no room for another sum.
    pub fn add(&mut self, event: &DeprecationEvent<'_>) -> bool {
        let hour = hour_of(event.timestamp);
        self.calls += 1;
        let failed = u64::from(event.error.is_some());
        let known = self
            .sums
            .get_mut(&event.rule.method)
            .and_then(|callers| callers.get_mut(&event.caller.key));
        if let Some(sum) = known.and_then(|sums| sums.iter_mut().find(|sum| sum.hour == hour)) {
            sum.count += 1;
            sum.errors += failed;
            for name in event.parameters.iter() {
                if sum.parameters.len() < MOST_NAMES && !sum.parameters.contains(name) {
                    sum.parameters.push(name.clone());
                }
            }
            sum.first = sum.first.min(event.timestamp);
            if event.timestamp >= sum.last {
                sum.last = event.timestamp;
                sum.caller = Arc::clone(&event.caller);
            }
            return false;
        }
        let callers = self.sums.entry(event.rule.method.clone()).or_default();
        callers
            .entry(event.caller.key.clone())
            .or_default()
            .push(Sum {
                hour,
                rule: Arc::clone(&event.rule),
                caller: Arc::clone(&event.caller),
                count: 1,
                errors: failed,
                first: event.timestamp,
                last: event.timestamp,
                parameters: event.parameters.to_vec(),
            });
        self.lines += 1;
        self.lines >= MOST
    }

    /// Whether an hour that is over has sums.
    pub fn is_due(&self, now: SystemTime) -> bool {
        let hour = hour_of(now);
        self.sums
            .values()
            .flat_map(HashMap::values)
            .flatten()
            .any(|sum| sum.hour < hour)
    }

    /// Writes a line for each sum, and forgets them. Gives the number of lines and of calls.
    pub fn write(&mut self, now: SystemTime, callers: &Callers, out: &mut Vec<u8>) -> (u64, u64) {
        let taken = std::mem::take(self);
        let mut sums: Vec<Sum> = taken
            .sums
            .into_values()
            .flat_map(HashMap::into_values)
            .flatten()
            .collect();
        sums.sort_by_key(|sum| sum.first);
        for sum in &sums {
            sum.write(now, callers.name_of(&sum.caller), out);
        }
        (sums.len() as u64, taken.calls)
    }
}

impl Sum {
    fn write(&self, now: SystemTime, name: Option<&str>, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA)
            .moment("timestamp", now)
            .text("event", CALLS)
            .text("rule", &self.rule.method)
            .text("method", &self.rule.method)
            .text_if("replacement", self.rule.replacement.as_deref())
            .text("action", Action::Observed.as_str());
        write_parameters(&self.parameters, &mut line);
        self.caller.write(name, line.member("caller"));
        line.number("count", self.count)
            .moment("first", self.first)
            .moment("last", self.last)
            .number("errors", self.errors);
        line.end();
        out.push(b'\n');
    }
}
