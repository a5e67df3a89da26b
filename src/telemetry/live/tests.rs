//! The state from events and from a log, and what is told of it.

use std::borrow::Cow;
use std::fs::File;

use super::group::{AboutNames, rows_of};
use super::state::MOST_ROWS;
use super::trend::{DAY, DAYS, HOUR, HOURS};
use super::*;
use crate::catalogue::{Catalogue, Mode, Rule};
use crate::telemetry::caller::{Auth, Caller};
use crate::telemetry::event::{LineParts, write_lines};
use crate::translate::{Action, Encoding, Reason};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const NOON: u64 = 1_795_694_400_000;

fn rule() -> Arc<Rule> {
    static RULE: LazyLock<Arc<Rule>> = LazyLock::new(|| Catalogue::builtin().rules()[0].clone());
    RULE.clone()
}

fn event(user: usize, at: u64, action: Action) -> DeprecationEvent<'static> {
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
        batch_key: (user == 2).then(|| "k".into()),
        changes: if action == Action::Rewritten {
            vec!["a is set".to_owned()].into()
        } else {
            Cow::default()
        },
        parameters: Cow::default(),
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
        sent: None,
        is_let_in: true,
        waited: None,
    }
}

fn events() -> Vec<DeprecationEvent<'static>> {
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

fn record(live: &Live, events: &[DeprecationEvent<'_>]) {
    let callers = callers();
    for event in events {
        live.show(&mut None, event, callers.name_of(&event.caller));
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
    let many: Vec<DeprecationEvent<'static>> = (0..130)
        .map(|at| DeprecationEvent {
            error: (at % 2 == 0).then(|| "X".into()),
            ..event(2, NOON - HOUR, Action::Refused)
        })
        .collect();
    let parts = LineParts::of(&many[0].rule, &many[0].caller, None);
    write_lines(&many, |_| &parts, |write| write(&mut lines));
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
        .rebuild_from(
            File::open(&path).unwrap(),
            ReadPart::default(),
            &callers(),
            |_, _| {},
        )
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
        .rebuild_from(
            File::open(&path).unwrap(),
            ReadPart::default(),
            &callers(),
            |_, _| {},
        )
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
    let rebuilt = live
        .rebuild_from(File::open(&path).unwrap(), part, &callers(), |_, _| {})
        .unwrap();
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
            .rebuild_from(File::open(&path).unwrap(), whole, &callers(), |_, _| {})
            .unwrap()
            .events,
        1
    );
}

fn is_told(watcher: &mut Watcher<'_>) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(watcher.changed()).poll(&mut cx).is_ready()
}

#[test]
fn watchers_are_told_of_changes_and_get_only_the_rows_that_changed() {
    let live = Live::default();
    let mut watcher = live.watch();
    assert!(!is_told(&mut watcher));
    record(&live, &events()[..1]);
    assert!(is_told(&mut watcher));
    let version = watcher.version();
    assert!(!is_told(&mut watcher));
    assert_eq!(version, live.version());
    assert_eq!(live.changed_since(version, 10), Some(Vec::new()));
    record(&live, &events()[3..]);
    let changed = live.changed_since(version, 10).unwrap();
    assert_eq!(
        changed
            .iter()
            .map(|row| row.key.as_str())
            .collect::<Vec<_>>(),
        ["webhook:2"]
    );
    let row = live
        .row(Whose::Key("webhook:1"), &changed[0].method)
        .unwrap();
    assert_eq!(row.user_agent.as_deref(), Some("<script>"));
    assert_eq!(live.row(Whose::Key("webhook:1"), "none"), None);

    let version = live.version();
    live.rename(&Callers::default());
    assert_eq!(live.changed_since(version, 10), None, "rows have gone");
    assert!(live.snapshot().rows.iter().all(|row| row.name.is_none()));
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

fn of(
    name: &'static str,
    agent: &str,
    event: DeprecationEvent<'static>,
) -> (DeprecationEvent<'static>, &'static str) {
    let caller = Caller {
        user_agent: Some(agent.to_owned()),
        ..(*event.caller).clone()
    };
    let event = DeprecationEvent {
        caller: Arc::new(caller),
        ..event
    };
    (event, name)
}

fn by_agent() -> Callers {
    let entry = |name: &str| format!("[[caller]]\nname = \"{name}\"\nuser_agent = \"{name}/\"\n");
    Callers::parse(&[entry("shop"), entry("erp")].concat()).unwrap()
}

#[test]
fn integrations_that_share_one_webhook_are_told_apart() {
    let live = Live::default();
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    for (event, name) in [
        of(
            "shop",
            "shop/1",
            event(1, NOON - 3 * HOUR, Action::Rewritten),
        ),
        of("erp", "erp/2", event(1, NOON - 2 * HOUR, Action::Refused)),
        of("shop", "shop/1", event(3, NOON - HOUR, Action::Rewritten)),
        of("", "curl", event(1, NOON, Action::Observed)),
    ] {
        let name = Some(name).filter(|name| !name.is_empty());
        event.write_line(name, &mut lines);
        live.show(&mut None, &event, name);
    }
    let told = |live: &Live| -> Vec<_> {
        let rows = live.snapshot_at(now()).rows.into_iter();
        rows.map(|row| {
            (
                row.name,
                row.key,
                row.rewritten,
                row.refused,
                row.observed,
                row.keys,
            )
        })
        .collect()
    };
    let expected = [
        (None, "webhook:1".to_owned(), 0, 0, 1, 1),
        (Some("shop".to_owned()), "webhook:3".to_owned(), 2, 0, 0, 2),
        (Some("erp".to_owned()), "webhook:1".to_owned(), 0, 1, 0, 1),
    ];
    assert_eq!(told(&live), expected);
    let method = &rule().method;
    let shop = live.row(Whose::Name("shop"), method).unwrap();
    assert_eq!(shop.behind.keys, ["webhook:3", "webhook:1"]);
    assert_eq!((shop.libraries, shop.addresses), (1, 1));
    assert_eq!(shop.behind.libraries, ["shop/1"]);
    assert_eq!(
        live.row(Whose::Key("webhook:1"), method).unwrap().name,
        None
    );
    assert_eq!(live.row(Whose::Key("webhook:3"), method).unwrap(), shop);

    let path = dir.path().join("log");
    std::fs::write(&path, &lines).unwrap();
    let again = Live::default();
    again
        .rebuild_from(
            File::open(&path).unwrap(),
            ReadPart::default(),
            &by_agent(),
            |_, _| {},
        )
        .unwrap();
    assert_eq!(told(&again), expected, "a log tells them apart as well");
}

#[test]
fn another_callers_file_names_only_what_was_of_one_caller() {
    let live = Live::default();
    for (event, _) in [
        of("", "shop/1", event(1, NOON - 3 * HOUR, Action::Rewritten)),
        of("", "erp/2", event(1, NOON - 2 * HOUR, Action::Refused)),
        of("", "shop/1", event(3, NOON - HOUR, Action::Rewritten)),
    ] {
        live.show(&mut None, &event, None);
    }
    live.rename(&by_agent());
    let rows = live.snapshot_at(now()).rows;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.name.as_deref(), row.key.as_str(), row.libraries))
        .collect();
    assert_eq!(
        told,
        [(Some("shop"), "webhook:3", 1), (None, "webhook:1", 2)]
    );
    live.rename(&Callers::default());
    assert!(
        live.snapshot_at(now())
            .rows
            .iter()
            .all(|row| row.name.is_none())
    );
}

#[test]
fn callers_that_the_portal_let_in_are_kept_before_made_up_ones() {
    let live = Live::default();
    let stranger = |user: usize, at: u64| DeprecationEvent {
        status: Some(401),
        is_let_in: false,
        ..event(user, at, Action::Observed)
    };
    // One that is let in later, and whose rows of other methods count from then on.
    record(&live, &[stranger(100_001, NOON)]);
    for user in 0..300 {
        record(&live, &[event(100_000 + user, NOON + 1, Action::Observed)]);
    }
    for user in 0..20_000 {
        record(&live, &[stranger(user, NOON + 2 + user as u64)]);
    }
    let snapshot = live.snapshot();
    assert!(snapshot.rows.len() <= MOST_ROWS);
    let known = snapshot
        .rows
        .iter()
        .filter(|row| row.user.as_ref().unwrap().len() == 6);
    assert_eq!(known.count(), 300);
}

#[test]
fn calls_that_come_while_somebody_looks_change_nothing_under_their_eyes() {
    let live = Live::default();
    record(&live, &events());
    let seen: Vec<_> = live.lock().entries().map(|entry| entry.look()).collect();
    let before = rows_of(seen.clone(), &AboutNames::default(), NOON);
    // A look holds pointers only: the lock is free, and a call copies the entry that it changes.
    record(&live, &[event(1, NOON, Action::Refused)]);
    assert_eq!(rows_of(seen, &AboutNames::default(), NOON), before);
    assert_eq!(
        live.snapshot_at(now()).rows[0].refused,
        before[0].refused + 1
    );
}

#[test]
fn too_many_changes_are_a_reason_to_read_all_again() {
    let live = Live::default();
    record(&live, &[event(1, NOON, Action::Observed)]);
    let version = live.version();
    for user in 0..11 {
        record(&live, &[event(user, NOON, Action::Observed)]);
    }
    assert_eq!(live.changed_since(version, 10), None);
    assert_eq!(live.changed_since(version, 11).unwrap().len(), 11);
}

#[test]
fn a_call_that_knows_its_entry_counts_as_one_that_looks_for_it() {
    let (one, other) = (Live::default(), Live::default());
    let callers = callers();
    let first = event(1, NOON - DAY, Action::Rewritten);
    let mut known = None;
    let mut uses = vec![first.clone()];
    for at in 0..4 {
        uses.push(DeprecationEvent {
            timestamp: UNIX_EPOCH + Duration::from_millis(NOON + at % 3),
            error: (at == 2).then(|| "X".into()),
            ..first.clone()
        });
    }
    for used in &uses {
        let name = callers.name_of(&used.caller);
        one.show(&mut known, used, name);
        other.show(&mut None, &event_of_another_pointer(used), name);
    }
    assert_eq!(one.snapshot_at(now()), other.snapshot_at(now()));
}

fn event_of_another_pointer<'a>(event: &DeprecationEvent<'a>) -> DeprecationEvent<'a> {
    DeprecationEvent {
        caller: Arc::new((*event.caller).clone()),
        ..event.clone()
    }
}

#[test]
fn a_call_whose_entry_is_gone_finds_the_one_that_took_its_place() {
    let live = Live::default();
    let used = event(1, NOON, Action::Observed);
    let mut known = None;
    live.show(&mut known, &used, None);
    live.rename(&callers());
    live.show(&mut known, &used, Some("shop"));
    let rows = live.snapshot_at(now()).rows;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.name.as_deref(), row.observed))
        .collect();
    assert_eq!(told, [(Some("shop"), 2)]);
}

#[test]
fn a_look_shows_every_change_up_to_the_version_that_was_read_before_it() {
    let live = Live::default();
    let calls = 4_000;
    let caller = |user: usize| event(user, NOON, Action::Observed);
    std::thread::scope(|scope| {
        for user in 0..3 {
            let (live, used) = (&live, caller(user));
            scope.spawn(move || {
                let mut known = None;
                for _ in 0..calls {
                    live.show(&mut known, &used, None);
                }
            });
        }
        loop {
            let version = live.version();
            let seen: u64 = live.snapshot().rows.iter().map(|row| row.observed).sum();
            assert!(seen >= version, "{seen} of {version}");
            if version == 3 * calls {
                break;
            }
        }
    });
}
