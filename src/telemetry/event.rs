//! The fields of a line of the deprecation log (`docs/EVENTS.md`): one event, one JSON object, one line.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::caller::Caller;
use super::json::Object;
use crate::catalogue::{Mode, Rule};
use crate::translate::{Action, Encoding, Reason};

/// The version of the line's shape: raised when a field changes its meaning, not when one is added.
pub const SCHEMA: u64 = 1;

/// The most changes that a line names; a client can send any number of stray parameters.
pub const MOST_CHANGES: usize = 32;

/// One use of a deprecated method, single or as a command of a batch.
#[derive(Clone, Debug)]
pub struct DeprecationEvent {
    /// When the request's head came.
    pub timestamp: SystemTime,
    /// Ours, of the whole request: the commands of a batch share it.
    pub request_id: Arc<str>,
    /// The client's own id of the request, masked.
    pub client_request_id: Option<Arc<str>>,
    /// The trace id of the request's `traceparent`.
    pub trace_id: Option<Arc<str>>,
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
    pub batch_key: Option<String>,
    /// What was changed, in words; parameters' names, never their values.
    pub changes: Vec<String>,
    /// The path only, its code as `***`.
    pub target: Arc<str>,
    /// Who called.
    pub caller: Arc<Caller>,
    /// The status that the client gets; nothing for a client that left before there was one.
    pub status: Option<u16>,
    /// The portal's error code, or ours.
    pub error: Option<String>,
    /// From the request's head to the answer's head.
    pub duration: Duration,
}

impl DeprecationEvent {
    /// Appends the event as one JSON object and a line feed. `caller_name` is the name that the callers file gives.
    pub fn write_line(&self, caller_name: Option<&str>, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA)
            .moment("timestamp", self.timestamp)
            .text("event", "deprecated_call")
            .text("request_id", &self.request_id)
            .text_if("client_request_id", self.client_request_id.as_deref())
            .text_if("trace_id", self.trace_id.as_deref())
            .text("rule", &self.rule.method)
            .text("method", &self.rule.method)
            .text_if("replacement", self.rule.replacement.as_deref())
            .text("action", self.action.as_str())
            .text_if("reason", self.reason.map(Reason::as_str))
            .text_if("mode", self.mode.map(mode_word))
            .text("encoding", self.encoding.as_str())
            .text_if("batch_key", self.batch_key.as_deref());
        write_changes(&self.changes, line.member("changes"));
        line.text("target", &self.target);
        self.caller.write(caller_name, line.member("caller"));
        line.text_if("documentation", self.rule.documentation_url().as_deref());
        if let Some(status) = self.status {
            line.number("status", u64::from(status));
        }
        line.text_if("error", self.error.as_deref())
            .milliseconds("duration_ms", self.duration);
        line.end();
        out.push(b'\n');
    }
}

/// The word for a mode that events, metrics and options use.
pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Compare => "compare",
        Mode::Rewrite => "rewrite",
        Mode::Brownout => "brownout",
        Mode::Block => "block",
    }
}

fn write_changes(changes: &[String], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, change) in changes.iter().take(MOST_CHANGES).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        super::json::string(out, super::json::cut(change, super::json::LONGEST_TEXT));
    }
    if let Some(more) = changes
        .len()
        .checked_sub(MOST_CHANGES)
        .filter(|&more| more > 0)
    {
        super::json::string(&mut *separated(out), &format!("and {more} more"));
    }
    out.push(b']');
}

fn separated(out: &mut Vec<u8>) -> &mut Vec<u8> {
    out.push(b',');
    out
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
            .text("from", mode_word(self.from))
            .text("to", mode_word(self.to))
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
    /// `deprecated_call` or `mode_changed`.
    pub event: String,
    pub request_id: String,
    pub client_request_id: Option<String>,
    pub trace_id: Option<String>,
    pub rule: String,
    pub method: String,
    pub replacement: Option<String>,
    pub action: String,
    pub reason: Option<String>,
    pub mode: Option<String>,
    pub encoding: String,
    pub batch_key: Option<String>,
    pub changes: Vec<String>,
    pub target: String,
    pub caller: LineCaller,
    pub documentation: Option<String>,
    pub status: Option<u16>,
    pub error: Option<String>,
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
