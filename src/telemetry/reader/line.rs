//! A line of the deprecation log, read back without copying: text points into the line unless it holds escapes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::telemetry::caller::{Auth, Caller};
use crate::telemetry::json::read_timestamp;

/// The event of one use of a deprecated method.
pub const CALL: &str = "deprecated_call";
/// The event that sums several uses.
pub const CALLS: &str = "deprecated_calls";
/// The event of a call that could not be read, so that nobody knows whether it is deprecated.
pub const UNREAD: &str = "unread_call";
/// The event of a deprecated call by a caller whose migration was done.
pub const REGRESSED: &str = "caller_regressed";
/// The events that a run begins with, repeats, and ends with.
pub const START: &str = "start";
pub const HEARTBEAT: &str = "heartbeat";
pub const STOP: &str = "stop";

/// A text of a line: borrowed from it, or owned where JSON escapes had to be undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Serde borrows a bare `Cow<str>` only; inside an `Option` it would always copy.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrows;
        impl<'de> Visitor<'de> for Borrows {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Borrows)
    }
}

/// One line. Fields that it lacks are empty, fields that this version does not know are skipped, so that logs of older
/// and newer versions can be read. `docs/EVENTS.md` says what each field means.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Line<'a> {
    pub schema: u64,
    #[serde(borrow)]
    pub timestamp: Text<'a>,
    pub event: Text<'a>,
    pub method: Text<'a>,
    pub replacement: Option<Text<'a>>,
    pub action: Text<'a>,
    pub reason: Option<Text<'a>>,
    pub mode: Option<Text<'a>>,
    pub encoding: Text<'a>,
    pub batch_key: Option<Text<'a>>,
    /// A list of texts; see [`Line::changes`].
    pub changes: Option<&'a RawValue>,
    /// The same; see [`Line::parameters`].
    pub parameters: Option<&'a RawValue>,
    pub target: Text<'a>,
    pub caller: LineCaller<'a>,
    pub documentation: Option<Text<'a>>,
    pub status: Option<u16>,
    pub error: Option<Text<'a>>,
    /// Which replica wrote the line.
    pub instance: Option<Text<'a>>,
    /// Of `deprecated_calls`: how many uses it sums up, how many of them were answered with an error, and when the first
    /// and the last of them came.
    pub count: Option<u64>,
    pub errors: Option<u64>,
    pub first: Option<Text<'a>>,
    pub last: Option<Text<'a>>,
    /// Of `caller_regressed`.
    pub name: Option<Text<'a>>,
    /// Of `start`, `heartbeat` and `stop`: which run, of which version, with which rules, and what it has counted.
    pub started: Option<Text<'a>>,
    pub version: Option<Text<'a>>,
    pub rules: Option<Text<'a>>,
    pub methods: Option<u64>,
    pub interval_s: Option<u64>,
    pub heartbeats: Option<u64>,
    pub counts: Option<Counts>,
    /// Before and after, of `mode_changed`.
    pub from: Text<'a>,
    pub to: Text<'a>,
    pub scope: Option<Text<'a>>,
    pub cause: Text<'a>,
}

/// What a run has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Requests of any kind.
    pub requests: u64,
    /// Single REST calls, and batches.
    pub calls: u64,
    pub batches: u64,
    /// Uses of deprecated methods, by what was done to them.
    pub rewritten: u64,
    pub observed: u64,
    pub refused: u64,
    /// Calls of which could not be told whether they are deprecated.
    pub unread: u64,
    /// Lines of the log but `start`, `heartbeat` and `stop`.
    pub lines: u64,
    /// Lines that the log could not take.
    pub dropped: u64,
}

impl Counts {
    fn pairs(&mut self, other: &Self) -> [(&mut u64, u64); 9] {
        [
            (&mut self.requests, other.requests),
            (&mut self.calls, other.calls),
            (&mut self.batches, other.batches),
            (&mut self.rewritten, other.rewritten),
            (&mut self.observed, other.observed),
            (&mut self.refused, other.refused),
            (&mut self.unread, other.unread),
            (&mut self.lines, other.lines),
            (&mut self.dropped, other.dropped),
        ]
    }

    /// By how much each has grown; nothing where one has become smaller.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut grown = *self;
        for (ours, theirs) in grown.pairs(before) {
            *ours = ours.checked_sub(theirs)?;
        }
        Some(grown)
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for (ours, theirs) in sum.pairs(other) {
            *ours = ours.saturating_add(theirs);
        }
        sum
    }
}

/// The caller of a [`Line`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LineCaller<'a> {
    #[serde(borrow)]
    pub key: Text<'a>,
    pub name: Option<Text<'a>>,
    pub auth: Text<'a>,
    pub user: Option<Text<'a>>,
    pub fingerprint: Option<Text<'a>>,
    pub application: Option<Text<'a>>,
    pub address: Option<Text<'a>>,
    pub user_agent: Option<Text<'a>>,
    pub sdk: Option<Text<'a>>,
}

impl<'a> Line<'a> {
    /// Reads one line, with or without its line feed. `None` for a line that is not an event of the deprecation log: torn
    /// by a crash, of the access log, or foreign.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let line: Self = serde_json::from_slice(line).ok()?;
        let ours = match &*line.event {
            CALL | CALLS => !line.method.is_empty(),
            "" | "access" => false,
            _ => true,
        };
        (ours && line.at().is_some()).then_some(line)
    }

    /// The timestamp in milliseconds since 1970.
    pub fn at(&self) -> Option<u64> {
        read_timestamp(&self.timestamp)
    }

    /// How many uses of a deprecated method the line tells of: none for another kind of event.
    pub fn uses(&self) -> u64 {
        match &*self.event {
            CALL => 1,
            CALLS => self.count.unwrap_or(1),
            _ => 0,
        }
    }

    /// When the first and the last use came, in milliseconds since 1970; of a line that sums nothing up, its timestamp.
    pub fn span(&self) -> (u64, u64) {
        let at = self.at().unwrap_or_default();
        let read = |text: &Option<Text<'_>>| text.as_deref().and_then(read_timestamp).unwrap_or(at);
        (read(&self.first), read(&self.last))
    }

    /// Whether it sums up a watched method's uses of an hour, and not those of one request.
    pub fn sums_an_hour(&self) -> bool {
        &*self.event == CALLS && self.first.is_some()
    }

    /// How many of its uses were answered with an error.
    pub fn failed(&self) -> u64 {
        match (self.errors, &self.error) {
            (Some(errors), _) => errors,
            (None, Some(_)) => self.uses(),
            (None, None) => 0,
        }
    }

    /// What was changed in the call, in words.
    pub fn changes(&self) -> Vec<Text<'a>> {
        texts(self.changes)
    }

    /// The names of the parameters that the call was seen to send.
    pub fn parameters(&self) -> Vec<Text<'a>> {
        texts(self.parameters)
    }
}

fn texts(list: Option<&RawValue>) -> Vec<Text<'_>> {
    list.and_then(|list| serde_json::from_str(list.get()).ok())
        .unwrap_or_default()
}

impl LineCaller<'_> {
    /// The caller as the data path knows one; its name is not part of it.
    pub fn owned(&self) -> Caller {
        let text = |text: &Option<Text<'_>>| text.as_deref().map(str::to_owned);
        let auths = [Auth::Webhook, Auth::OAuth, Auth::Session, Auth::None];
        Caller {
            auth: auths
                .into_iter()
                .find(|auth| auth.as_str() == &*self.auth)
                .unwrap_or_default(),
            user: text(&self.user),
            fingerprint: text(&self.fingerprint),
            application: text(&self.application),
            address: self.address.as_ref().and_then(|text| text.parse().ok()),
            user_agent: text(&self.user_agent),
            sdk: text(&self.sdk),
            key: self.key.to_string(),
        }
    }
}

/// What was read, in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All but empty ones.
    pub read: u64,
    /// Those that hold an event of the deprecation log.
    pub events: u64,
    /// Those that do not: torn by a crash, foreign, or too long.
    pub skipped: u64,
    /// Bytes, after decompression.
    #[serde(skip)]
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_borrowed_unless_it_holds_escapes() {
        let bytes = br#"{"schema":1,"timestamp":"2026-11-26T00:25:17.042Z","event":"deprecated_call","method":"a.b","replacement":"c.d","target":"\/rest"}"#;
        let line = Line::read(bytes).unwrap();
        assert!(matches!(line.method.0, Cow::Borrowed("a.b")));
        assert!(matches!(line.replacement, Some(Text(Cow::Borrowed("c.d")))));
        assert_eq!(&*line.target, "/rest");
        assert_eq!((line.at(), line.uses()), (Some(1_795_652_717_042), 1));
    }

    #[test]
    fn what_is_no_event_of_this_log_is_told_from_events_of_newer_versions() {
        let read = |text: &str| Line::read(text.as_bytes()).is_some();
        let line = |event: &str| {
            format!(
                r#"{{"schema":2,"timestamp":"2026-11-26T00:25:17.042Z","event":"{event}","method":"a.b","new":{{"x":[1]}}}}"#
            )
        };
        assert!(read(&line("deprecated_call")) && read(&line("something_new")));
        assert!(!read(&line("access")) && !read(&line("")));
        let whole = line("deprecated_call");
        for end in 1..whole.len() {
            assert!(!read(&whole[..end]), "{end}");
        }
        for foreign in [
            "",
            "null",
            "7",
            "[]",
            "{}",
            r#"{"event":"deprecated_call","method":"a.b"}"#,
            r#"{"timestamp":"2026-11-26T00:25:17.042Z","event":"deprecated_call"}"#,
            r#"{"timestamp":"yesterday","event":"deprecated_call","method":"a.b"}"#,
            r#"{"timestamp":"2026-11-26T00:25:17.042Z","event":5}"#,
        ] {
            assert!(!read(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_summed_line_tells_of_as_many_uses_as_it_counts() {
        let uses = |rest: &str| {
            let text = format!(r#"{{"schema":1,"timestamp":"2026-11-26T00:25:17.042Z",{rest}}}"#);
            Line::read(text.as_bytes()).unwrap().uses()
        };
        assert_eq!(
            uses(r#""event":"deprecated_calls","method":"a.b","count":51"#),
            51
        );
        assert_eq!(uses(r#""event":"mode_changed","method":"a.b""#), 0);
    }

    #[test]
    fn a_caller_is_the_one_that_was_written() {
        let text = r#"{"schema":1,"timestamp":"2026-11-26T00:25:17.042Z","event":"deprecated_call","method":"a.b",
            "changes":["x is \"y\"","z"],"caller":{"key":"k","name":"shop","auth":"oauth","user":"1","application":"local.1",
            "fingerprint":"f","address":"192.0.2.7","user_agent":"a \u00e9","sdk":"curl 8"}}"#;
        let line = Line::read(text.as_bytes()).unwrap();
        assert_eq!(
            line.caller.owned(),
            Caller {
                auth: Auth::OAuth,
                user: Some("1".to_owned()),
                fingerprint: Some("f".to_owned()),
                application: Some("local.1".to_owned()),
                address: "192.0.2.7".parse().ok(),
                user_agent: Some("a \u{e9}".to_owned()),
                sdk: Some("curl 8".to_owned()),
                key: "k".to_owned(),
            }
        );
        let changes: Vec<String> = line.changes().iter().map(ToString::to_string).collect();
        assert_eq!(changes, ["x is \"y\"", "z"]);
    }
}
