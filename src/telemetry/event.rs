//! The fields of a line of the deprecation log (`docs/EVENTS.md`): one event, one JSON object, one line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::caller::Caller;
use super::json::{LONGEST_TEXT, Object, cut, milliseconds, string, timestamp};
use super::metrics::labels::{Label, Sent};
use super::reader::{CALL, CALLS};
use crate::catalogue::{Mode, Rule};
use crate::digits;
use crate::translate::sent::MOST_NAMES;
use crate::translate::{Action, Encoding, Reason};

/// The version of the line's shape: raised when a field changes its meaning, not when one is added.
pub const SCHEMA: u64 = 1;

/// The most changes that a line names; a client can send any number of stray parameters.
pub const MOST_CHANGES: usize = 32;

/// So many uses of one method in one request have a line each; see [`write_lines`].
pub const MOST_SINGLE: usize = 50;

/// A member's name as it stands in a line behind others.
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// One use of a deprecated method, single or as a command of a batch.
#[derive(Clone, Debug)]
pub struct DeprecationEvent<'a> {
    /// When the request's head came.
    pub timestamp: SystemTime,
    /// Ours, of the whole request: the commands of a batch share it.
    pub request_id: Cow<'a, str>,
    /// The client's own id of the request, masked.
    pub client_request_id: Option<Cow<'a, str>>,
    /// The trace id of the request's `traceparent`.
    pub trace_id: Option<Cow<'a, str>>,
    /// The rule that the call fell under: `rule`, `method`, `replacement` and `documentation` of the line.
    pub rule: Arc<Rule>,
    /// What was done to the call, even if the portal was never reached.
    pub action: Action,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// The mode that the rule was in for this call.
    pub mode: Option<Mode>,
    /// How its parameters travelled.
    pub encoding: Encoding,
    /// The key of the command in its batch, `outer/inner` where batches are nested.
    pub batch_key: Option<Cow<'a, str>>,
    /// What was changed, in words; parameters' names, never their values.
    pub changes: Cow<'a, [String]>,
    /// The names of the parameters and fields that it sends, where it was looked into for them.
    pub parameters: Cow<'a, [String]>,
    /// The path only, its code as `***`.
    pub target: Cow<'a, str>,
    /// Who called.
    pub caller: Arc<Caller>,
    /// The status that the client gets; nothing for a client that left before there was one.
    pub status: Option<u16>,
    /// The portal's error code, or ours.
    pub error: Option<Cow<'a, str>>,
    /// Whether the portal may have the call, where it gave no whole answer.
    pub sent: Option<Sent>,
    /// From the request's head to the answer's head.
    pub duration: Duration,
    /// Whether the portal has let the caller in: it answered the call, with anything but 401 or 403. Stands in no line.
    pub is_let_in: bool,
    /// How much of it the call waited for its turn before the portal's limit, where it did.
    pub waited: Option<Duration>,
}

impl DeprecationEvent<'_> {
    /// Appends the event as one JSON object and a line feed. `caller_name` is the name that the callers file gives.
    pub fn write_line(&self, caller_name: Option<&str>, out: &mut Vec<u8>) {
        let parts = LineParts::of(&self.rule, &self.caller, caller_name);
        self.write(None, &parts, out);
    }

    /// `many` is set where the line stands for several uses.
    fn write(&self, many: Option<&Many>, parts: &LineParts, out: &mut Vec<u8>) {
        let differ = many.map(|many| many.differ).unwrap_or_default();
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA);
        quoted(line.ready(member!("timestamp")), |out| {
            timestamp(out, self.timestamp);
        });
        word(
            line.ready(member!("event")),
            if many.is_some() { CALLS } else { CALL },
        );
        text(line.ready(member!("request_id")), &self.request_id);
        line.text_if("client_request_id", self.client_request_id.as_deref())
            .text_if("trace_id", self.trace_id.as_deref())
            .members(&parts.rule);
        if let Some(many) = many {
            line.number("count", many.count);
            if differ.error {
                line.number("errors", many.errors);
            }
        }
        word(line.ready(member!("action")), self.action.as_str());
        if let (Some(reason), false) = (self.reason, differ.reason) {
            line.word("reason", reason.as_str());
        }
        if let (Some(mode), false) = (self.mode, differ.mode) {
            word(line.ready(member!("mode")), mode.as_str());
        }
        if !differ.encoding {
            word(line.ready(member!("encoding")), self.encoding.as_str());
        }
        if !differ.batch_key {
            line.text_if("batch_key", self.batch_key.as_deref());
        }
        if !differ.changes {
            write_changes(&self.changes, line.ready(member!("changes")));
        }
        if many.is_none() {
            write_parameters(&self.parameters, &mut line);
        }
        text(line.ready(member!("target")), &self.target);
        line.members(&parts.caller);
        if let Some(status) = self.status {
            digits::decimal(line.ready(member!("status")), u64::from(status));
        }
        if !differ.error {
            line.text_if("error", self.error.as_deref());
        }
        if let Some(sent) = self.sent {
            line.word("sent", sent.as_str());
        }
        milliseconds(line.ready(member!("duration_ms")), self.duration);
        if let Some(waited) = self.waited {
            line.milliseconds("waited_ms", waited);
        }
        line.end();
        out.push(b'\n');
    }
}

/// The members of a line that are the same in all lines of one rule and one caller, as they stand in it.
#[derive(Debug)]
pub struct LineParts {
    /// `,"rule":…,"method":…` and `"replacement"` where there is one.
    rule: Vec<u8>,
    /// `,"caller":{…}` and `"documentation"` where there is one.
    caller: Vec<u8>,
}

impl LineParts {
    /// The parts of a rule, and of a caller to whom the callers file gives this name.
    pub fn of(rule: &Rule, caller: &Caller, name: Option<&str>) -> Self {
        let mut parts = Self {
            rule: Vec::new(),
            caller: Vec::new(),
        };
        Object::more(&mut parts.rule)
            .text("rule", &rule.method)
            .text("method", &rule.method)
            .text_if("replacement", rule.replacement.as_deref());
        let mut line = Object::more(&mut parts.caller);
        caller.write(name, line.member("caller"));
        if let Some(documentation) = rule.documentation_parts() {
            line.joined("documentation", &documentation);
        }
        parts
    }
}

/// A call that may be deprecated, or hold deprecated ones: of which methods, nobody knows.
#[derive(Clone, Debug)]
pub struct UnreadCall<'a> {
    /// As of a [`DeprecationEvent`].
    pub timestamp: SystemTime,
    /// As of a [`DeprecationEvent`].
    pub request_id: Cow<'a, str>,
    /// As of a [`DeprecationEvent`].
    pub client_request_id: Option<Cow<'a, str>>,
    /// As of a [`DeprecationEvent`].
    pub trace_id: Option<Cow<'a, str>>,
    /// Why it is not read.
    pub reason: Reason,
    /// As of a [`DeprecationEvent`].
    pub target: Cow<'a, str>,
    /// Who called, as far as the head tells.
    pub caller: Arc<Caller>,
}

impl UnreadCall<'_> {
    /// Appends the event as one JSON object and a line feed. `caller_name` is the name that the callers file gives.
    pub fn write_line(&self, caller_name: Option<&str>, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA)
            .moment("timestamp", self.timestamp)
            .text("event", "unread_call")
            .text("request_id", &self.request_id)
            .text_if("client_request_id", self.client_request_id.as_deref())
            .text_if("trace_id", self.trace_id.as_deref())
            .text("reason", self.reason.as_str())
            .text("target", &self.target);
        self.caller.write(caller_name, line.member("caller"));
        line.end();
        out.push(b'\n');
    }
}

/// Appends the lines of one request's uses: each by itself, but of a method with more than [`MOST_SINGLE`] of them the
/// rest summed up, in one line for each action. One request could otherwise write many times its own size. `parts` gives
/// those of each event; `add` is given what writes a line.
pub fn write_lines<'p>(
    events: &[DeprecationEvent<'_>],
    parts: impl Fn(usize) -> &'p LineParts,
    mut add: impl FnMut(&dyn Fn(&mut Vec<u8>)),
) {
    let mut write = |at: usize, many: Option<&Many>| {
        add(&|line| events[at].write(many, parts(at), line));
    };
    if events.len() <= MOST_SINGLE {
        (0..events.len()).for_each(|at| write(at, None));
        return;
    }
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut rest: Vec<(Many, usize)> = Vec::new();
    let mut place: HashMap<(usize, &str, &str), usize> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        let singles = seen.entry(event.rule.id).or_default();
        if *singles < MOST_SINGLE {
            *singles += 1;
            write(at, None);
            continue;
        }
        let alike = (
            event.rule.id,
            event.action.as_str(),
            event.caller.key.as_str(),
        );
        let sum = *place.entry(alike).or_insert_with(|| {
            rest.push((Many::default(), at));
            rest.len() - 1
        });
        let (many, first) = &mut rest[sum];
        many.add(event, &events[*first]);
    }
    for (many, first) in rest {
        write(first, Some(&many));
    }
}

/// Several uses of one method in one request with one action, told in one line: what is different among them is left out.
#[derive(Clone, Copy, Debug, Default)]
struct Many {
    count: u64,
    /// How many were answered with an error code; told where the codes differ.
    errors: u64,
    differ: Differ,
}

#[derive(Clone, Copy, Debug, Default)]
struct Differ {
    reason: bool,
    mode: bool,
    encoding: bool,
    batch_key: bool,
    changes: bool,
    error: bool,
}

impl Many {
    fn add(&mut self, event: &DeprecationEvent<'_>, first: &DeprecationEvent<'_>) {
        self.count += 1;
        self.errors += u64::from(event.error.is_some());
        self.differ.reason |= event.reason != first.reason;
        self.differ.mode |= event.mode != first.mode;
        self.differ.encoding |= event.encoding != first.encoding;
        self.differ.batch_key |= event.batch_key != first.batch_key;
        self.differ.changes |= event.changes != first.changes;
        self.differ.error |= event.error != first.error;
    }
}

/// A text of others, cut.
fn text(out: &mut Vec<u8>, text: &str) {
    string(out, cut(text, LONGEST_TEXT));
}

/// A word of ours, which needs no escapes.
fn word(out: &mut Vec<u8>, word: &'static str) {
    quoted(out, |out| out.extend_from_slice(word.as_bytes()));
}

fn quoted(out: &mut Vec<u8>, inside: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    inside(out);
    out.push(b'"');
}

fn write_changes(changes: &[String], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, change) in changes.iter().take(MOST_CHANGES).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(out, change);
    }
    if let Some(more) = changes
        .len()
        .checked_sub(MOST_CHANGES)
        .filter(|&more| more > 0)
    {
        out.push(b',');
        string(out, &format!("and {more} more"));
    }
    out.push(b']');
}

/// Writes the names of parameters, where there are any.
pub(super) fn write_parameters(parameters: &[String], line: &mut Object<'_>) {
    if parameters.is_empty() {
        return;
    }
    let out = line.member("parameters");
    out.push(b'[');
    for (at, name) in parameters.iter().take(MOST_NAMES).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(out, name);
    }
    out.push(b']');
}

/// A change of a rule's mode, for all callers or for some: also a line of the deprecation log.
#[derive(Clone, Debug)]
pub struct ModeChanged {
    /// When it took effect.
    pub timestamp: SystemTime,
    /// The rule's legacy method.
    pub method: String,
    /// The mode before.
    pub from: Mode,
    /// The mode after.
    pub to: Mode,
    /// Whom it concerns, as the configuration says it; nothing for all callers.
    pub scope: Option<String>,
    /// What brought it about: `start`, `reload`, `schedule`, `admin`, `guard`, …
    pub cause: &'static str,
    /// The line of the configuration that says so, as `FILE:LINE`.
    pub origin: Option<String>,
}

impl ModeChanged {
    /// Appends the event as one JSON object and a line feed.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA)
            .moment("timestamp", self.timestamp)
            .text("event", "mode_changed")
            .text("rule", &self.method)
            .text("method", &self.method)
            .text("from", self.from.as_str())
            .text("to", self.to.as_str())
            .text_if("scope", self.scope.as_deref())
            .text("cause", self.cause)
            .text_if("origin", self.origin.as_deref());
        line.end();
        out.push(b'\n');
    }
}

/// A line of the deprecation log, read back: for reports and the status page. Fields that a line lacks are empty, fields
/// that this version does not know are skipped, so that logs of older and newer versions can be read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EventLine {
    pub schema: u64,
    pub timestamp: String,
    /// `deprecated_call`, `deprecated_calls`, `unread_call` or `mode_changed`.
    pub event: String,
    pub request_id: String,
    pub client_request_id: Option<String>,
    pub trace_id: Option<String>,
    pub rule: String,
    pub method: String,
    pub replacement: Option<String>,
    /// Of `deprecated_calls`: how many uses, and how many of them failed where the codes differ.
    pub count: Option<u64>,
    pub errors: Option<u64>,
    pub action: String,
    pub reason: Option<String>,
    pub mode: Option<String>,
    pub encoding: String,
    pub batch_key: Option<String>,
    pub changes: Vec<String>,
    pub parameters: Vec<String>,
    pub target: String,
    pub caller: LineCaller,
    pub documentation: Option<String>,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub sent: Option<String>,
    pub duration_ms: f64,
    /// Of `mode_changed`: before and after.
    pub from: Option<String>,
    pub to: Option<String>,
    pub scope: Option<String>,
    pub cause: Option<String>,
}

/// The caller of an [`EventLine`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LineCaller {
    pub key: String,
    pub name: Option<String>,
    pub auth: String,
    pub user: Option<String>,
    pub fingerprint: Option<String>,
    pub application: Option<String>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub sdk: Option<String>,
}

impl EventLine {
    /// Reads one line, with or without its line feed.
    ///
    /// # Errors
    /// The line is no JSON object, or a field has another type than the log gives it: torn by a crash, or not ours.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The timestamp in milliseconds since 1970; nothing when it is not one of ours.
    pub fn millis(&self) -> Option<u64> {
        super::json::read_timestamp(&self.timestamp)
    }
}

#[cfg(test)]
mod tests;
