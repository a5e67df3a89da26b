//! The fields of a line of the deprecation log (`docs/EVENTS.md`): one event, one JSON object, one line.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::caller::Caller;
use super::json::Object;
use super::metrics::labels::{Label, Sent};
use super::reader::{CALL, CALLS};
use crate::catalogue::{Mode, Rule};
use crate::translate::sent::MOST_NAMES;
use crate::translate::{Action, Encoding, Reason};

/// The version of the line's shape: raised when a field changes its meaning, not when one is added.
pub const SCHEMA: u64 = 1;

/// The most changes that a line names; a client can send any number of stray parameters.
pub const MOST_CHANGES: usize = 32;

/// So many uses of one method in one request have a line each; see [`write_lines`].
pub const MOST_SINGLE: usize = 50;

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
    /// The names of the parameters and fields that it sends, where it was looked into for them.
    pub parameters: Vec<String>,
    /// The path only, its code as `***`.
    pub target: Arc<str>,
    /// Who called.
    pub caller: Arc<Caller>,
    /// The status that the client gets; nothing for a client that left before there was one.
    pub status: Option<u16>,
    /// The portal's error code, or ours.
    pub error: Option<String>,
    /// Whether the portal may have the call, where it gave no whole answer.
    pub sent: Option<Sent>,
    /// From the request's head to the answer's head.
    pub duration: Duration,
    /// Whether the portal has let the caller in: it answered the call, with anything but 401 or 403. Stands in no line.
    pub is_let_in: bool,
    /// How much of it the call waited for its turn before the portal's limit, where it did.
    pub waited: Option<Duration>,
}

impl DeprecationEvent {
    /// Appends the event as one JSON object and a line feed. `caller_name` is the name that the callers file gives.
    pub fn write_line(&self, caller_name: Option<&str>, out: &mut Vec<u8>) {
        self.write(None, caller_name, out);
    }

    /// `many` is set where the line stands for several uses.
    fn write(&self, many: Option<&Many>, caller_name: Option<&str>, out: &mut Vec<u8>) {
        let differ = many.map(|many| many.differ).unwrap_or_default();
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA)
            .moment("timestamp", self.timestamp)
            .text("event", if many.is_some() { CALLS } else { CALL })
            .text("request_id", &self.request_id)
            .text_if("client_request_id", self.client_request_id.as_deref())
            .text_if("trace_id", self.trace_id.as_deref())
            .text("rule", &self.rule.method)
            .text("method", &self.rule.method)
            .text_if("replacement", self.rule.replacement.as_deref());
        if let Some(many) = many {
            line.number("count", many.count);
            if differ.error {
                line.number("errors", many.errors);
            }
        }
        line.text("action", self.action.as_str());
        if !differ.reason {
            line.text_if("reason", self.reason.map(Reason::as_str));
        }
        if !differ.mode {
            line.text_if("mode", self.mode.map(Mode::as_str));
        }
        if !differ.encoding {
            line.text("encoding", self.encoding.as_str());
        }
        if !differ.batch_key {
            line.text_if("batch_key", self.batch_key.as_deref());
        }
        if !differ.changes {
            write_changes(&self.changes, line.member("changes"));
        }
        if many.is_none() {
            write_parameters(&self.parameters, &mut line);
        }
        line.text("target", &self.target);
        self.caller.write(caller_name, line.member("caller"));
        if let Some(parts) = self.rule.documentation_parts() {
            line.joined("documentation", &parts);
        }
        if let Some(status) = self.status {
            line.number("status", u64::from(status));
        }
        if !differ.error {
            line.text_if("error", self.error.as_deref());
        }
        line.text_if("sent", self.sent.map(Label::as_str));
        line.milliseconds("duration_ms", self.duration);
        if let Some(waited) = self.waited {
            line.milliseconds("waited_ms", waited);
        }
        line.end();
        out.push(b'\n');
    }
}

/// A call that may be deprecated, or hold deprecated ones: of which methods, nobody knows.
#[derive(Clone, Debug)]
pub struct UnreadCall {
    /// As of a [`DeprecationEvent`].
    pub timestamp: SystemTime,
    /// As of a [`DeprecationEvent`].
    pub request_id: Arc<str>,
    /// As of a [`DeprecationEvent`].
    pub client_request_id: Option<Arc<str>>,
    /// As of a [`DeprecationEvent`].
    pub trace_id: Option<Arc<str>>,
    /// Why it is not read.
    pub reason: Reason,
    /// As of a [`DeprecationEvent`].
    pub target: Arc<str>,
    /// Who called, as far as the head tells.
    pub caller: Arc<Caller>,
}

impl UnreadCall {
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
/// rest summed up, in one line for each action. One request could otherwise write many times its own size. `names` are the
/// names that the callers file gives.
pub fn write_lines(events: &[DeprecationEvent], names: &[Option<&str>], out: &mut Vec<u8>) {
    if events.len() <= MOST_SINGLE {
        for (event, name) in events.iter().zip(names) {
            event.write_line(*name, out);
        }
        return;
    }
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut rest: Vec<(Many, &DeprecationEvent, Option<&str>)> = Vec::new();
    let mut place: HashMap<(usize, &str, &str), usize> = HashMap::new();
    for (event, name) in events.iter().zip(names) {
        let singles = seen.entry(event.rule.id).or_default();
        if *singles < MOST_SINGLE {
            *singles += 1;
            event.write_line(*name, out);
            continue;
        }
        let alike = (
            event.rule.id,
            event.action.as_str(),
            event.caller.key.as_str(),
        );
        let at = *place.entry(alike).or_insert_with(|| {
            rest.push((Many::default(), event, *name));
            rest.len() - 1
        });
        let (many, first, _) = &mut rest[at];
        many.add(event, first);
    }
    for (many, first, name) in rest {
        first.write(Some(&many), name, out);
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
    fn add(&mut self, event: &DeprecationEvent, first: &DeprecationEvent) {
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
        out.push(b',');
        super::json::string(out, &format!("and {more} more"));
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
        super::json::string(out, super::json::cut(name, super::json::LONGEST_TEXT));
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
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::telemetry::caller::Auth;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn event() -> DeprecationEvent {
        DeprecationEvent {
            timestamp: UNIX_EPOCH + Duration::from_millis(1_795_652_717_042),
            request_id: "01JD".into(),
            client_request_id: Some("their-id".into()),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
            rule: Catalogue::builtin()
                .find(b"crm.lead.details.configuration.reset")
                .unwrap()
                .clone(),
            action: Action::Rewritten,
            reason: None,
            mode: Some(Mode::Rewrite),
            encoding: Encoding::Json,
            batch_key: None,
            changes: vec!["entityTypeId is set to 1".to_owned()],
            parameters: Vec::new(),
            target: "/rest/1/***/crm.lead.details.configuration.reset".into(),
            caller: Arc::new(Caller {
                auth: Auth::Webhook,
                user: Some("1".to_owned()),
                fingerprint: Some("0123456789abcdef".to_owned()),
                address: Some("192.0.2.7".parse().unwrap()),
                user_agent: Some("curl/8.5.0".to_owned()),
                sdk: Some("curl 8.5.0".to_owned()),
                key: "webhook:example.bitrix24.com:1:0123456789abcdef".to_owned(),
                ..Caller::default()
            }),
            status: Some(200),
            error: None,
            sent: None,
            duration: Duration::from_micros(41_250),
            is_let_in: true,
            waited: None,
        }
    }

    fn line(event: &DeprecationEvent, name: Option<&str>) -> String {
        let mut out = Vec::new();
        event.write_line(name, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_is_a_line_of_json_with_the_fields_of_the_documentation() {
        let rule = event().rule;
        let expected = format!(
            concat!(
                r#"{{"schema":1,"timestamp":"2026-11-26T00:25:17.042Z","event":"deprecated_call","request_id":"01JD","#,
                r#""client_request_id":"their-id","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","#,
                r#""rule":"crm.lead.details.configuration.reset","method":"crm.lead.details.configuration.reset","#,
                r#""replacement":"crm.item.details.configuration.reset","action":"rewritten","mode":"rewrite","#,
                r#""encoding":"json","changes":["entityTypeId is set to 1"],"#,
                r#""target":"/rest/1/***/crm.lead.details.configuration.reset","#,
                r#""caller":{{"key":"webhook:example.bitrix24.com:1:0123456789abcdef","name":"shop","auth":"webhook","#,
                r#""user":"1","fingerprint":"0123456789abcdef","address":"192.0.2.7","user_agent":"curl/8.5.0","#,
                r#""sdk":"curl 8.5.0"}},"documentation":"{}","status":200,"duration_ms":41.250}}"#,
                "\n"
            ),
            rule.documentation_url().unwrap()
        );
        assert_eq!(line(&event(), Some("shop")), expected);
    }

    #[test]
    fn the_documentation_shows_every_field() {
        let text = include_str!("../../docs/EVENTS.md");
        let refused = DeprecationEvent {
            action: Action::Refused,
            reason: Some(Reason::Blocked),
            batch_key: Some("a".to_owned()),
            error: Some("X".to_owned()),
            parameters: vec!["scope".to_owned()],
            caller: Arc::new(Caller {
                application: Some("local.1".to_owned()),
                ..(*event().caller).clone()
            }),
            ..event()
        };
        let mut mode_changed = Vec::new();
        mode_change().write_line(&mut mode_changed);
        let mut sums = Vec::new();
        let many = batch(52, Action::Refused, |at| Some(format!("E{at}")));
        write_lines(&many, &vec![None; 52], &mut sums);
        let sum = sums.split(|byte| *byte == b'\n').nth(50).unwrap().to_vec();
        let lines = [line(&refused, Some("shop")).into_bytes(), mode_changed, sum];
        for line in lines {
            let fields: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&line).unwrap();
            for (name, value) in &fields {
                assert!(
                    text.contains(&format!("`{name}`")),
                    "docs/EVENTS.md lacks {name}"
                );
                for inner in value.as_object().into_iter().flat_map(|inner| inner.keys()) {
                    assert!(
                        text.contains(&format!("`{name}.{inner}`")),
                        "docs/EVENTS.md lacks {name}.{inner}"
                    );
                }
            }
        }
    }

    /// The uses of one request, which carries so many commands of a batch with this action.
    fn batch(
        count: usize,
        action: Action,
        error: impl Fn(usize) -> Option<String>,
    ) -> Vec<DeprecationEvent> {
        (0..count)
            .map(|at| DeprecationEvent {
                action,
                reason: (action == Action::Refused).then_some(Reason::Blocked),
                batch_key: Some(format!("k{at}")),
                error: error(at),
                ..event()
            })
            .collect()
    }

    fn lines(events: &[DeprecationEvent]) -> Vec<EventLine> {
        let mut out = Vec::new();
        write_lines(events, &vec![Some("shop"); events.len()], &mut out);
        let lines = out
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines.map(|line| EventLine::parse(line).unwrap()).collect()
    }

    #[test]
    fn beyond_fifty_uses_of_a_method_in_a_request_the_rest_is_one_line() {
        for action in [Action::Observed, Action::Rewritten, Action::Refused] {
            let fifty = lines(&batch(50, action, |_| None));
            assert!(fifty.iter().all(|line| line.event == "deprecated_call"));
            assert_eq!(fifty.len(), 50);
            let many = lines(&batch(2500, action, |_| Some("X".to_owned())));
            assert_eq!(many.len(), 51);
            assert_eq!(many[49].batch_key.as_deref(), Some("k49"));
            let sum = &many[50];
            assert_eq!(
                (sum.event.as_str(), sum.count),
                ("deprecated_calls", Some(2450))
            );
            assert_eq!(sum.action, action.as_str());
            assert_eq!((sum.batch_key.as_ref(), sum.errors), (None, None));
            let one = EventLine {
                event: "deprecated_calls".to_owned(),
                count: Some(2450),
                batch_key: None,
                ..many[0].clone()
            };
            assert_eq!(*sum, one, "all that they share is there");
        }
    }

    #[test]
    fn a_sum_leaves_out_what_differs_and_counts_the_errors() {
        let mut events = batch(60, Action::Observed, |at| {
            (at % 2 == 0).then(|| format!("E{at}"))
        });
        events[55].changes = vec!["another".to_owned()];
        events[56].mode = Some(Mode::Observe);
        events[57].encoding = Encoding::Query;
        let sum = lines(&events).pop().unwrap();
        assert_eq!(
            (sum.count, sum.errors, sum.error),
            (Some(10), Some(5), None)
        );
        assert!(sum.changes.is_empty() && sum.mode.is_none() && sum.encoding.is_empty());
        assert_eq!(
            (sum.status, sum.caller.name.as_deref()),
            (Some(200), Some("shop"))
        );
    }

    #[test]
    fn uses_are_summed_up_by_method_and_by_what_was_done() {
        let mut events = batch(60, Action::Rewritten, |_| None);
        events.extend(batch(3, Action::Refused, |_| None));
        let other = Catalogue::builtin().rules()[1].clone();
        events.extend(
            batch(50, Action::Observed, |_| None)
                .into_iter()
                .map(|event| DeprecationEvent {
                    rule: other.clone(),
                    ..event
                }),
        );
        let lines = lines(&events);
        let sums: Vec<_> = lines
            .iter()
            .filter(|line| line.event == "deprecated_calls")
            .collect();
        let told: Vec<_> = sums
            .iter()
            .map(|sum| (sum.action.as_str(), sum.count))
            .collect();
        assert_eq!(told, [("rewritten", Some(10)), ("refused", Some(3))]);
        assert_eq!(
            lines.len(),
            102,
            "the other method has a line for each of its fifty"
        );
    }

    fn mode_change() -> ModeChanged {
        ModeChanged {
            timestamp: UNIX_EPOCH,
            method: "crm.lead.details.configuration.get".to_owned(),
            from: Mode::Rewrite,
            to: Mode::Brownout,
            scope: Some("caller shop".to_owned()),
            cause: "schedule",
            origin: Some("proxy.toml:12".to_owned()),
        }
    }

    #[test]
    fn a_change_of_mode_is_a_line_too() {
        let mut out = Vec::new();
        mode_change().write_line(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"schema":1,"timestamp":"1970-01-01T00:00:00.000Z","event":"mode_changed","#,
                r#""rule":"crm.lead.details.configuration.get","method":"crm.lead.details.configuration.get","#,
                r#""from":"rewrite","to":"brownout","scope":"caller shop","cause":"schedule","origin":"proxy.toml:12"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn of_many_changes_a_line_names_the_first_and_counts_the_rest() {
        let event = DeprecationEvent {
            changes: (0..40).map(|n| format!("change {n}")).collect(),
            ..event()
        };
        let read = EventLine::parse(line(&event, None).as_bytes()).unwrap();
        assert_eq!(read.changes.len(), MOST_CHANGES + 1);
        assert_eq!(read.changes.last().unwrap(), "and 8 more");
    }

    #[test]
    fn lines_of_other_versions_can_be_read_and_torn_ones_are_told() {
        let newer = EventLine::parse(
            br#"{"schema":2,"event":"deprecated_call","method":"a.b","new":{"x":[1]}}"#,
        )
        .unwrap();
        assert_eq!(
            (newer.schema, newer.method.as_str(), newer.millis()),
            (2, "a.b", None)
        );
        let whole = line(&event(), None);
        assert!(EventLine::parse(&whole.as_bytes()[..whole.len() / 2]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_the_line_is_one_line_of_json_and_reads_back(
            texts in prop::collection::vec(prop::option::of(any::<String>()), 9),
            long in 0usize..2000,
            changes in prop::collection::vec(any::<String>(), 0..5),
            status in prop::option::of(100u16..600),
        ) {
            let text = |at: usize| texts[at].clone();
            let cut_text = |at: usize| texts[at].as_deref().map(|text| super::super::json::cut(text, 512).to_owned());
            let caller = Caller {
                user: text(0),
                application: text(1),
                user_agent: Some("\u{1f600}".repeat(long)),
                sdk: text(2),
                key: text(3).unwrap_or_default(),
                ..Caller::default()
            };
            let event = DeprecationEvent {
                request_id: text(4).unwrap_or_default().into(),
                client_request_id: text(5).map(Into::into),
                batch_key: text(6),
                error: text(7),
                changes: changes.clone(),
                status,
                caller: Arc::new(caller),
                ..event()
            };
            let line = line(&event, texts[8].as_deref());
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            let read = EventLine::parse(line.as_bytes()).unwrap();
            prop_assert_eq!(read.caller.user, cut_text(0));
            prop_assert_eq!(read.caller.application, cut_text(1));
            prop_assert_eq!(read.caller.user_agent.unwrap().chars().count(), long.min(128));
            prop_assert_eq!(read.client_request_id, cut_text(5));
            prop_assert_eq!(read.batch_key, cut_text(6));
            prop_assert_eq!(read.error, cut_text(7));
            prop_assert_eq!(read.caller.name, cut_text(8));
            prop_assert_eq!(read.changes, changes);
            prop_assert_eq!(read.status, status);
            prop_assert_eq!(read.duration_ms, 41.25);
        }
    }
}
