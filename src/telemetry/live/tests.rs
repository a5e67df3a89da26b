//! The state from events and from a log, and what is told of it.

use super::state::MOST_ROWS;
use super::*;
use crate::catalogue::{Catalogue, Mode, Rule};
use crate::telemetry::caller::{Auth, Caller};
use crate::translate::{Action, Encoding, Reason};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const NOON: u64 = 1_795_694_400_000;

fn rule() -> Arc<Rule> {
    static RULE: LazyLock<Arc<Rule>> = LazyLock::new(|| Catalogue::builtin().rules()[0].clone());
    RULE.clone()
}

fn event(user: usize, at: u64, action: Action) -> DeprecationEvent {
    DeprecationEvent {
        timestamp: UNIX_EPOCH + Duration::from_millis(at),
        request_id: "r".into(),
        client_request_id: None,
        trace_id: None,
        rule: rule(),
        action,
        reason: (action == Action::Refused).then_some(Reason::Blocked),
        mode: Some(Mode::Rewrite),
        encoding: Encoding::Form,
        batch_key: (user == 2).then(|| "k".to_owned()),
        changes: if action == Action::Rewritten {
            vec!["a is set".to_owned()]
        } else {
            Vec::new()
        },
        target: "/rest/1/***/x".into(),
        caller: Arc::new(Caller {
            auth: Auth::Webhook,
            user: Some(user.to_string()),
            key: format!("webhook:{user}"),
            address: "192.0.2.7".parse().ok(),
            user_agent: Some("<script>".to_owned()),
            ..Caller::default()
        }),
        status: Some(200),
        error: None,
        duration: Duration::ZERO,
    }
}

fn events() -> Vec<DeprecationEvent> {
    vec![
        event(1, NOON - DAY, Action::Rewritten),
        event(1, NOON - 2 * HOUR, Action::Refused),
        event(1, NOON, Action::Observed),
        event(2, NOON - 40 * DAY, Action::Rewritten),
    ]
}

fn callers() -> Callers {
    Callers::parse("[[caller]]\nname = \"shop\"\nuser = 1\n").unwrap()
}

fn record(live: &Live, events: &[DeprecationEvent]) {
    let callers = callers();
    for event in events {
        live.record(
            std::slice::from_ref(event),
            &[callers.name_of(&event.caller)],
        );
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(NOON)
}

#[test]
fn a_row_counts_what_a_caller_does_with_a_method() {
    let live = Live::default();
    record(&live, &events());
    let snapshot = live.snapshot_at(now());
    let [first, second] = &snapshot.rows[..] else {
        panic!("{snapshot:?}")
    };
    assert_eq!(
        (first.key.as_str(), first.name.as_deref()),
        ("webhook:1", Some("shop"))
    );
    assert_eq!(
        (first.rewritten, first.refused, first.observed, first.batch),
        (1, 1, 1, 0)
    );
    assert_eq!((first.first_seen, first.last_seen), (NOON - DAY, NOON));
    assert_eq!(
        (first.action.as_str(), &first.changes[..]),
        ("observed", &["a is set".to_owned()][..])
    );
    assert_eq!((first.days.len(), first.hours.len()), (DAYS, HOURS));
    assert_eq!(first.days[DAYS - 2..], [1, 2]);
    assert_eq!(
        (
            first.hours[HOURS - 1],
            first.hours[HOURS - 3],
            first.hours[HOURS - 25]
        ),
        (1, 1, 1)
    );
    assert_eq!((second.batch, second.name.as_deref()), (1, None));
    assert_eq!(
        second.days.iter().sum::<u32>(),
        0,
        "too long ago for the trend"
    );
    assert_eq!(
        (snapshot.last_use, snapshot.known_since),
        (Some(NOON), NOON - 40 * DAY)
    );
}

#[test]
fn a_state_read_from_the_log_is_the_one_that_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut lines = Vec::new();
    for event in events() {
        event.write_line(None, &mut lines);
    }
    let many: Vec<DeprecationEvent> = (0..130)
        .map(|at| DeprecationEvent {
            error: (at % 2 == 0).then(|| "X".to_owned()),
            ..event(2, NOON - HOUR, Action::Refused)
        })
        .collect();
    crate::telemetry::event::write_lines(&many, &[None; 130], &mut lines);
    lines.extend_from_slice(b"\n{\"event\":\"depre\nnoise\n{\"event\":\"other\"}\n");
    let change = ModeChanged {
        timestamp: now(),
        method: "m".to_owned(),
        from: Mode::Rewrite,
        to: Mode::Block,
        scope: None,
        cause: "reload",
        origin: None,
    };
    change.write_line(&mut lines);
    std::fs::write(&path, &lines).unwrap();

    let before = Live::default();
    record(&before, &events());
    record(&before, &many);
    before.modes_changed(std::slice::from_ref(&change));
    let after = Live::default();
    let rebuilt = after
        .rebuild_from(&path, ReadPart::default(), &callers())
        .unwrap();
    assert_eq!(
        rebuilt,
        Rebuilt {
            events: 56,
            skipped: 3,
            bytes: lines.len() as u64,
            tail: false
        }
    );
    let plain = |live: &Live| {
        let mut snapshot = live.snapshot_at(now());
        snapshot.version = 0;
        snapshot.rows.iter_mut().for_each(|row| row.version = 0);
        snapshot
    };
    assert_eq!(plain(&after), plain(&before));

    // What came in while the log was read is added to, not lost.
    let meanwhile = Live::default();
    record(&meanwhile, &[event(1, NOON + HOUR, Action::Rewritten)]);
    meanwhile
        .rebuild_from(&path, ReadPart::default(), &callers())
        .unwrap();
    record(&before, &[event(1, NOON + HOUR, Action::Rewritten)]);
    assert_eq!(plain(&meanwhile), plain(&before));
}

#[test]
fn of_a_large_log_the_tail_is_read_and_the_page_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut lines = Vec::new();
    for event in events() {
        event.write_line(None, &mut lines);
    }
    std::fs::write(&path, &lines).unwrap();
    let live = Live::default();
    let part = ReadPart {
        most: lines.len() as u64 / 2,
        ..ReadPart::default()
    };
    let rebuilt = live.rebuild_from(&path, part, &callers()).unwrap();
    assert!(
        rebuilt.tail && rebuilt.events < 4 && rebuilt.skipped == 0,
        "{rebuilt:?}"
    );
    assert!(live.snapshot().note.unwrap().contains("only its last"));

    let whole = ReadPart {
        until: lines.iter().position(|byte| *byte == b'\n').unwrap() as u64 + 1,
        ..ReadPart::default()
    };
    assert_eq!(
        Live::default()
            .rebuild_from(&path, whole, &callers())
            .unwrap()
            .events,
        1
    );
    let nothing =
        Live::default().rebuild_from(&dir.path().join("none"), ReadPart::default(), &callers());
    assert_eq!(nothing.unwrap(), Rebuilt::default());
}

#[test]
fn watchers_are_told_of_changes_and_get_only_the_rows_that_changed() {
    let live = Live::default();
    let mut watcher = live.subscribe();
    record(&live, &events()[..1]);
    assert!(watcher.has_changed().unwrap());
    let version = *watcher.borrow_and_update();
    assert_eq!(version, live.version());
    assert_eq!(live.changed_since(version), []);
    record(&live, &events()[3..]);
    let changed = live.changed_since(version);
    assert_eq!(
        changed
            .iter()
            .map(|row| row.key.as_str())
            .collect::<Vec<_>>(),
        ["webhook:2"]
    );
    let row = live.row("webhook:1", &changed[0].method).unwrap();
    assert_eq!(row.user_agent.as_deref(), Some("<script>"));
    assert_eq!(live.row("webhook:1", "none"), None);

    let version = live.version();
    live.rename(&Callers::default());
    assert_eq!(live.changed_since(version).len(), 1, "one had a name");
}

#[test]
fn callers_that_somebody_invents_push_out_those_not_seen_for_longest() {
    let live = Live::default();
    for user in 0..2 * MOST_ROWS {
        record(&live, &[event(user, NOON + user as u64, Action::Observed)]);
    }
    let snapshot = live.snapshot();
    assert!(snapshot.rows.len() <= MOST_ROWS && snapshot.rows.len() > MOST_ROWS / 2);
    assert_eq!(
        snapshot.forgotten + snapshot.rows.len() as u64,
        2 * MOST_ROWS as u64
    );
    assert_eq!(
        snapshot.rows[0].key,
        format!("webhook:{}", 2 * MOST_ROWS - 1)
    );
}
