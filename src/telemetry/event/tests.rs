//! Lines as the documentation has them, and as they are read back.

use super::*;
use crate::catalogue::Catalogue;
use crate::telemetry::caller::Auth;
use proptest::prelude::*;
use std::borrow::Cow;
use std::time::UNIX_EPOCH;

fn event() -> DeprecationEvent<'static> {
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
        changes: vec!["entityTypeId is set to 1".to_owned()].into(),
        parameters: Cow::default(),
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

fn line(event: &DeprecationEvent<'_>, name: Option<&str>) -> String {
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
    let text = include_str!("../../../docs/EVENTS.md");
    let refused = DeprecationEvent {
        action: Action::Refused,
        reason: Some(Reason::Blocked),
        batch_key: Some("a".into()),
        error: Some("X".into()),
        parameters: vec!["scope".to_owned()].into(),
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
    write_all(&many, None, &mut sums);
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
) -> Vec<DeprecationEvent<'static>> {
    (0..count)
        .map(|at| DeprecationEvent {
            action,
            reason: (action == Action::Refused).then_some(Reason::Blocked),
            batch_key: Some(format!("k{at}").into()),
            error: error(at).map(Into::into),
            ..event()
        })
        .collect()
}

fn write_all(events: &[DeprecationEvent<'_>], name: Option<&str>, out: &mut Vec<u8>) {
    let parts: Vec<_> = events
        .iter()
        .map(|event| LineParts::of(&event.rule, &event.caller, name))
        .collect();
    write_lines(events, |at| &parts[at], |write| write(out));
}

fn lines(events: &[DeprecationEvent<'_>]) -> Vec<EventLine> {
    let mut out = Vec::new();
    write_all(events, Some("shop"), &mut out);
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
    events[55].changes = vec!["another".to_owned()].into();
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
            batch_key: text(6).map(Into::into),
            error: text(7).map(Into::into),
            changes: Cow::Borrowed(&changes),
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
