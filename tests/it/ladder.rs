//! The ladder: which mode a rule is in, for whom and when, with the catalogue that ships and a clock that the test sets.

use std::io::Write;

use b24_migration_proxy::catalogue::{Catalogue, Mode, Rule};
use b24_migration_proxy::ladder::rehearsal::{PastCall, Rehearsal};
use b24_migration_proxy::ladder::share::Share;
use b24_migration_proxy::ladder::standing::{Planned, changes};
use b24_migration_proxy::ladder::window::{Window, moment};
use b24_migration_proxy::ladder::{
    Because, CallerView, Entry, Methods, Policy, Setting, Step, StoppedBy, Wrong,
};
use b24_migration_proxy::telemetry::caller::{Auth, Caller};
use b24_migration_proxy::telemetry::callers::{Network, Pattern, Selector};
use b24_migration_proxy::telemetry::reader::Line;
use jiff::Timestamp;
use rustix::process::Signal;

use super::support::client::{get, post};
use super::support::portal::Portal;
use super::support::proxy::{self, Proxy};
use crate::support::time::wait_for;

const RESET: &str = "crm.lead.details.configuration.reset";
const GET: &str = "crm.lead.details.configuration.get";
const WATCHED: &str = "crm.lead.list";

fn at(text: &str) -> Timestamp {
    moment(text).unwrap_or_else(|why| panic!("{why}"))
}

/// Any moment, where it does not matter.
fn now() -> Timestamp {
    at("2026-12-01T08:00Z")
}

fn rule<'c>(catalogue: &'c Catalogue, method: &str) -> &'c Rule {
    catalogue.find(method.as_bytes()).expect("a rule")
}

fn setting(text: &str) -> Setting {
    let (method, word) = match text.split_once('=') {
        Some((method, word)) => (Some(method.to_owned()), word),
        None => (None, text),
    };
    Setting {
        method,
        step: Step::parse(word).expect("a step"),
        origin: "--mode".to_owned(),
        by_hand: true,
    }
}

/// An entry of these methods (blanks between), with this step.
fn entry(methods: &str, step: &str, origin: &str) -> Entry {
    let mut entry = Entry::new(Step::parse(step).expect("a step"), origin);
    entry.methods = methods
        .split_whitespace()
        .map(|text| Methods::parse(text).expect("methods"))
        .collect();
    entry
}

fn of_user(mut entry: Entry, user: &str) -> Entry {
    entry.callers.user = Some(user.to_owned());
    entry
}

fn within(mut entry: Entry, window: &str) -> Entry {
    entry.windows.push(Window::parse(window).expect("a window"));
    entry
}

fn webhook(user: &str) -> Caller {
    Caller {
        auth: Auth::Webhook,
        user: Some(user.to_owned()),
        fingerprint: Some(format!("fingerprint of {user}")),
        key: format!("webhook:x.bitrix24.com:{user}:fp"),
        ..Caller::default()
    }
}

fn build(settings: &[&str], entries: Vec<Entry>) -> Result<Policy, Wrong> {
    let settings = settings.iter().map(|text| setting(text)).collect();
    Policy::build(&Catalogue::builtin(), settings, entries, now(), None)
}

fn built(settings: &[&str], entries: Vec<Entry>) -> Policy {
    build(settings, entries).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn mode_of(policy: &Policy, method: &str, caller: &Caller, moment: &str) -> Mode {
    let catalogue = Catalogue::builtin();
    let view = CallerView::unnamed(caller);
    policy
        .mode(rule(&catalogue, method), &view, at(moment))
        .mode
}

fn complaint(settings: &[&str], entries: Vec<Entry>) -> String {
    build(settings, entries)
        .expect_err("cannot be meant")
        .to_string()
}

#[test]
fn without_configuration_translated_rules_rewrite_and_watched_methods_are_observed() {
    let catalogue = Catalogue::builtin();
    let policy = Policy::usual(&catalogue);
    assert_eq!(policy.fixed(rule(&catalogue, RESET)), Some(Mode::Rewrite));
    assert_eq!(policy.fixed(rule(&catalogue, WATCHED)), Some(Mode::Observe));
    assert!(!policy.is_guarded());
    let caller = webhook("1");
    let decision = policy.mode(
        rule(&catalogue, RESET),
        &CallerView::unnamed(&caller),
        now(),
    );
    assert_eq!(
        (decision.mode, decision.because),
        (Mode::Rewrite, Because::Default)
    );
}

#[test]
fn a_mode_for_all_is_for_translated_rules_and_a_methods_own_wins_over_it() {
    let catalogue = Catalogue::builtin();
    let policy = built(
        &["crm.lead.list=block", &format!("{GET}=compare"), "observe"],
        vec![],
    );
    assert_eq!(policy.fixed(rule(&catalogue, RESET)), Some(Mode::Observe));
    assert_eq!(policy.fixed(rule(&catalogue, GET)), Some(Mode::Compare));
    assert_eq!(policy.fixed(rule(&catalogue, WATCHED)), Some(Mode::Block));
    assert_eq!(
        policy.fixed(rule(&catalogue, "crm.deal.list")),
        Some(Mode::Observe)
    );
    let later = built(&["observe", "rewrite"], vec![]);
    assert_eq!(later.fixed(rule(&catalogue, RESET)), Some(Mode::Rewrite));
}

#[test]
fn of_entries_the_first_that_matches_wins_over_those_behind_and_over_settings() {
    let policy = built(
        &["block"],
        vec![
            of_user(entry(RESET, "observe", "f:1"), "7"),
            of_user(
                entry(
                    "crm.*.details.configuration.*",
                    "brownout until 2027-01-01",
                    "f:5",
                ),
                "7",
            ),
            entry(RESET, "rewrite", "f:9"),
        ],
    );
    assert_eq!(
        mode_of(&policy, RESET, &webhook("7"), "2026-12-01"),
        Mode::Observe
    );
    assert_eq!(
        mode_of(&policy, RESET, &webhook("8"), "2026-12-01"),
        Mode::Rewrite
    );
    assert_eq!(
        mode_of(&policy, GET, &webhook("7"), "2026-12-01"),
        Mode::Brownout
    );
    assert_eq!(
        mode_of(&policy, GET, &webhook("8"), "2026-12-01"),
        Mode::Block
    );
}

#[test]
fn callers_are_selected_by_all_that_a_call_shows_of_them() {
    let mut caller = webhook("7");
    caller.application = Some("local.5f".to_owned());
    caller.address = Some("192.0.2.9".parse().expect("an address"));
    caller.user_agent = Some("Make/1.2 (EU)".to_owned());
    let selectors = [
        Selector {
            user: Some("7".to_owned()),
            ..Selector::default()
        },
        Selector {
            application: Some("local.5f".to_owned()),
            ..Selector::default()
        },
        Selector {
            fingerprint: Some("fingerprint of 7".to_owned()),
            ..Selector::default()
        },
        Selector {
            address: Some(Network::parse("192.0.2.0/24").expect("a network")),
            ..Selector::default()
        },
        Selector {
            user_agent: Some(Pattern::new("make*eu")),
            ..Selector::default()
        },
    ];
    for selector in selectors {
        let mut one = entry(RESET, "block", "f:1");
        one.callers = selector.clone();
        let policy = built(&[], vec![one]);
        assert_eq!(
            mode_of(&policy, RESET, &caller, "2026-12-01"),
            Mode::Block,
            "{selector:?}"
        );
        let other = webhook("8");
        assert_eq!(
            mode_of(&policy, RESET, &other, "2026-12-01"),
            Mode::Rewrite,
            "{selector:?}"
        );
    }
}

#[test]
fn a_caller_may_be_selected_by_its_name() {
    let catalogue = Catalogue::builtin();
    let mut one = entry(RESET, "block", "f:1");
    one.caller = Some("1C".to_owned());
    let policy = built(&[], vec![one]);
    let caller = webhook("7");
    let mut view = CallerView::unnamed(&caller);
    assert_eq!(
        policy.mode(rule(&catalogue, RESET), &view, now()).mode,
        Mode::Rewrite
    );
    view.name = Some("1C");
    assert_eq!(
        policy.mode(rule(&catalogue, RESET), &view, now()).mode,
        Mode::Block
    );
}

#[test]
fn a_canary_is_the_same_callers_every_time() {
    let mut canary = entry("", "rewrite", "f:1");
    canary.share = Some(Share::parse("10%").expect("a share"));
    let policy = built(&["observe"], vec![canary]);
    let in_it = |day: &str| -> Vec<usize> {
        (0..500)
            .filter(|user| {
                mode_of(&policy, RESET, &webhook(&user.to_string()), day) == Mode::Rewrite
            })
            .collect()
    };
    let callers = in_it("2026-12-01");
    assert!((25..75).contains(&callers.len()), "{}", callers.len());
    assert_eq!(in_it("2027-06-01"), callers);
    assert_eq!(
        mode_of(&policy, WATCHED, &webhook("1"), "2026-12-01"),
        Mode::Observe
    );
}

#[test]
fn an_access_token_that_changes_does_not_move_a_caller_in_or_out_of_a_canary() {
    let mut canary = entry("", "rewrite", "f:1");
    canary.share = Some(Share::parse("50%").expect("a share"));
    let policy = built(&["observe"], vec![canary]);
    let with_token = |token: usize| Caller {
        auth: Auth::OAuth,
        fingerprint: Some(format!("{token}")),
        key: "oauth:b24jssdk:192.0.2.1".to_owned(),
        ..Caller::default()
    };
    let first = mode_of(&policy, RESET, &with_token(0), "2026-12-01");
    assert!(
        (1..50).all(|token| mode_of(&policy, RESET, &with_token(token), "2026-12-01") == first)
    );
}

#[test]
fn a_brownout_is_open_in_its_windows_and_says_until_when() {
    let catalogue = Catalogue::builtin();
    let policy = built(
        &[],
        vec![within(
            entry(RESET, "brownout", "f:1"),
            "2026-12-01T09:00Z for 30m",
        )],
    );
    let caller = webhook("7");
    for (moment, mode) in [
        ("2026-12-01T08:59Z", Mode::Rewrite),
        ("2026-12-01T09:00Z", Mode::Brownout),
        ("2026-12-01T09:29Z", Mode::Brownout),
        ("2026-12-01T09:30Z", Mode::Rewrite),
    ] {
        assert_eq!(mode_of(&policy, RESET, &caller, moment), mode, "{moment}");
    }
    let view = CallerView::unnamed(&caller);
    let decision = policy.mode(rule(&catalogue, RESET), &view, at("2026-12-01T09:05Z"));
    assert_eq!(decision.until, Some(at("2026-12-01T09:30Z")));
    assert!(policy.is_guarded());
}

#[test]
fn a_brownout_without_an_end_ends_after_an_hour_and_a_reload_does_not_prolong_it() {
    let policy = built(&[&format!("{RESET}=brownout")], vec![]);
    let caller = webhook("7");
    assert_eq!(
        mode_of(&policy, RESET, &caller, "2026-12-01T08:59Z"),
        Mode::Brownout
    );
    assert_eq!(
        mode_of(&policy, RESET, &caller, "2026-12-01T09:00Z"),
        Mode::Rewrite
    );
    let again = Policy::build(
        &Catalogue::builtin(),
        vec![setting(&format!("{RESET}=brownout"))],
        vec![],
        at("2026-12-01T08:40Z"),
        Some(&policy),
    )
    .unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(
        mode_of(&again, RESET, &caller, "2026-12-01T08:59Z"),
        Mode::Brownout
    );
    assert_eq!(
        mode_of(&again, RESET, &caller, "2026-12-01T09:00Z"),
        Mode::Rewrite
    );
}

#[test]
fn a_brownout_that_a_restart_would_begin_anew_has_to_name_its_end() {
    let told = complaint(&[], vec![of_user(entry("", "brownout", "f:1"), "7")]);
    assert!(
        told.starts_with("f:1: a brownout needs an end")
            && told.contains("mode = \"brownout until 2026-12-01T09:00Z\""),
        "{told}"
    );
    let unattended = |words: &str| {
        let setting = Setting {
            by_hand: false,
            ..setting(words)
        };
        Policy::build(&Catalogue::builtin(), vec![setting], vec![], now(), None)
    };
    let told = unattended(&format!("{WATCHED}=brownout"))
        .expect_err("its end would move")
        .to_string();
    assert!(
        told.contains("write crm.lead.list=brownout until 2026-12-01T09:00Z"),
        "{told}"
    );
    let ends = unattended(&format!("{WATCHED}=brownout until 2026-12-01T09:00Z"))
        .unwrap_or_else(|wrong| panic!("{wrong}"));
    let caller = webhook("7");
    assert_eq!(
        mode_of(&ends, WATCHED, &caller, "2026-12-01T08:59Z"),
        Mode::Brownout
    );
    assert_eq!(
        mode_of(&ends, WATCHED, &caller, "2026-12-01T09:00Z"),
        Mode::Observe
    );
}

#[test]
fn a_methods_own_mode_may_have_days() {
    let policy = built(
        &[&format!("{RESET}=block from 2027-03-01"), "observe"],
        vec![],
    );
    let caller = webhook("7");
    assert_eq!(
        mode_of(&policy, RESET, &caller, "2027-02-28"),
        Mode::Observe
    );
    assert_eq!(mode_of(&policy, RESET, &caller, "2027-03-01"), Mode::Block);
}

#[test]
fn a_later_setting_for_the_method_takes_a_brownout_back() {
    let policy = built(
        &[&format!("{RESET}=brownout"), &format!("{RESET}=observe")],
        vec![],
    );
    assert_eq!(
        mode_of(&policy, RESET, &webhook("7"), "2026-12-01T08:30Z"),
        Mode::Observe
    );
}

#[test]
fn a_rule_goes_to_its_next_step_by_itself_and_says_so_before() {
    let catalogue = Catalogue::builtin();
    let policy = built(
        &[],
        vec![entry(
            "crm.lead.details.configuration.*",
            "block from 2027-03-01",
            "f:3",
        )],
    );
    let caller = webhook("7");
    assert_eq!(
        mode_of(&policy, RESET, &caller, "2027-02-28T23:59:59Z"),
        Mode::Rewrite
    );
    assert_eq!(mode_of(&policy, RESET, &caller, "2027-03-01"), Mode::Block);
    let standing = policy.standing(rule(&catalogue, RESET), now());
    assert_eq!(standing.mode, Mode::Rewrite);
    assert_eq!(standing.next, Some((at("2027-03-01"), Mode::Block)));
    assert_eq!(standing.sunset, Some(at("2027-03-01")));
    assert_eq!(
        policy.sunset(rule(&catalogue, "crm.deal.details.configuration.reset")),
        None
    );
    assert_eq!(policy.next_turn(now()), Some(at("2027-03-01")));
}

#[test]
fn a_day_that_another_entry_stands_in_the_way_of_is_no_sunset() {
    let catalogue = Catalogue::builtin();
    let block = || entry(RESET, "block from 2027-03-01", "f:9");
    let sunset = |before: Entry| built(&[], vec![before, block()]).sunset(rule(&catalogue, RESET));
    assert_eq!(sunset(entry(RESET, "observe", "f:1")), None);
    let on_the_day = Some(at("2027-03-01"));
    assert_eq!(
        sunset(entry(RESET, "observe until 2027-01-01", "f:1")),
        on_the_day
    );
    assert_eq!(
        sunset(entry(RESET, "brownout until 2027-03-02", "f:1")),
        on_the_day
    );
    assert_eq!(
        sunset(of_user(entry(RESET, "observe", "f:1"), "7")),
        on_the_day
    );
}

#[test]
fn what_is_planned_for_some_callers_is_known_before() {
    let catalogue = Catalogue::builtin();
    let policy = built(
        &[],
        vec![
            within(
                of_user(entry(RESET, "brownout", "f:1"), "7"),
                "every Tuesday 10:00 Europe/Berlin for 15m",
            ),
            of_user(entry(RESET, "block from 2027-03-01", "f:5"), "8"),
            of_user(entry(RESET, "brownout until 2026-01-01", "f:9"), "9"),
        ],
    );
    let planned = |moment: &str| -> Vec<String> {
        let standing = policy.standing(rule(&catalogue, RESET), at(moment));
        let of =
            |planned: &Planned| format!("{} {:?} {}", planned.scope, planned.mode, planned.from);
        standing.planned.iter().map(of).collect()
    };
    let block = "user 8 Block 2027-03-01T00:00:00Z";
    assert_eq!(
        planned("2026-12-01T08:00Z"),
        ["user 7 Brownout 2026-12-01T09:00:00Z", block]
    );
    assert_eq!(planned("2026-12-01T09:05Z"), [block], "one is going on");
}

#[test]
fn changes_between_two_moments_are_told_for_all_and_for_some() {
    let policy = built(
        &[],
        vec![
            within(
                of_user(entry(GET, "brownout", "f:1"), "7"),
                "2026-12-01T09:00Z for 30m",
            ),
            entry(RESET, "block from 2026-12-01T09:10Z", "f:6"),
        ],
    );
    let before = policy.standings(at("2026-12-01T08:00Z"));
    let after = policy.standings(at("2026-12-01T09:10Z"));
    let told: Vec<String> = changes(&before, &after)
        .into_iter()
        .map(|change| {
            format!(
                "{} {:?}: {:?} -> {:?}, {}",
                change.method, change.scope, change.from, change.to, change.origin
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            format!(
                "{GET} Some(\"user 7\"): Rewrite -> Brownout, f:1: brownout for user 7, 2026-12-01T09:00Z for 30m"
            ),
            format!("{RESET} None: Rewrite -> Block, f:6: block"),
        ]
    );
    assert!(changes(&after, &after).is_empty());
    assert_eq!(changes(&after, &before).len(), 2);
}

#[test]
fn explain_says_what_decides_and_why_the_entries_before_do_not() {
    let catalogue = Catalogue::builtin();
    let policy = built(
        &["observe"],
        vec![
            of_user(entry(RESET, "block", "proxy.toml:4"), "8"),
            entry(RESET, "block from 2027-03-01", "proxy.toml:9"),
            within(
                entry(RESET, "brownout", "proxy.toml:13"),
                "every Tuesday 10:00 Europe/Berlin for 15m",
            ),
        ],
    );
    let caller = webhook("7");
    let view = CallerView::unnamed(&caller);
    let explanation = policy.explain(rule(&catalogue, RESET), &view, now());
    assert_eq!(explanation.decision.mode, Mode::Observe);
    assert_eq!(explanation.decided_by, "--mode: observe");
    assert_eq!(
        explanation.passed_over,
        [
            (
                "proxy.toml:4: block for user 8".to_owned(),
                "it is for other callers".to_owned()
            ),
            (
                "proxy.toml:9: block".to_owned(),
                "it begins at 2027-03-01T00:00:00Z".to_owned()
            ),
            (
                "proxy.toml:13: brownout, every Tuesday 10:00 Europe/Berlin for 15m".to_owned(),
                "no window is open; the next begins at 2026-12-01T09:00:00Z".to_owned()
            ),
        ]
    );
    let explanation = policy.explain(rule(&catalogue, RESET), &view, at("2026-12-01T09:01Z"));
    assert_eq!(explanation.decision.mode, Mode::Brownout);
    assert!(
        explanation
            .decided_by
            .starts_with("proxy.toml:13: brownout")
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place_and_what_would_be_right() {
    for (settings, entries, said) in [
        (
            vec!["brownout"],
            vec![],
            "--mode: a brownout is never for all",
        ),
        (vec!["compare"], vec![], "cannot be sent twice to compare"),
        (
            vec!["block from 2027-03-01"],
            vec![],
            "days are for a method, as METHOD=MODE",
        ),
        (
            vec!["crm.lead.details.configuration.reset=compare"],
            vec![],
            "cannot be sent twice",
        ),
        (
            vec!["crm.lead.list=rewrite"],
            vec![],
            "crm.lead.list is watched",
        ),
        (
            vec!["crm.lead.details.configuration.rest=block"],
            vec![],
            "did you mean crm.lead.details.configuration.reset?",
        ),
        (
            vec!["crm.*=block"],
            vec![],
            "crm.* is a pattern, and here one method is meant",
        ),
        (
            vec![],
            vec![entry("", "brownout", "f:3")],
            "f:3: a brownout is never for all",
        ),
        (
            vec![],
            vec![entry("zebra.*", "block", "f:3")],
            "no method that there is a rule for is like zebra.*",
        ),
        (
            vec![],
            vec![entry("crm.invoice.*", "rewrite", "f:3")],
            "is watched",
        ),
        (
            vec![],
            vec![entry("", "compare", "f:3")],
            "cannot be sent twice",
        ),
    ] {
        let why = complaint(&settings, entries);
        assert!(why.contains(said), "{settings:?}: {why}");
    }
}

#[test]
fn a_pattern_means_those_of_its_methods_that_can_be_in_the_mode() {
    let catalogue = Catalogue::builtin();
    let policy = built(&[], vec![entry("crm.lead.*", "compare", "f:1")]);
    assert_eq!(
        mode_of(&policy, GET, &webhook("1"), "2026-12-01"),
        Mode::Compare
    );
    assert_eq!(policy.fixed(rule(&catalogue, RESET)), Some(Mode::Rewrite));
    assert_eq!(policy.fixed(rule(&catalogue, WATCHED)), Some(Mode::Observe));
}

#[test]
fn watched_methods_are_blocked_only_when_named() {
    let catalogue = Catalogue::builtin();
    let policy = built(&["block"], vec![of_user(entry("", "block", "f:1"), "7")]);
    assert_eq!(policy.fixed(rule(&catalogue, WATCHED)), Some(Mode::Observe));
    let named = built(&[], vec![entry("crm.lead.list", "block", "f:1")]);
    assert_eq!(
        mode_of(&named, WATCHED, &webhook("1"), "2026-12-01"),
        Mode::Block
    );
}

#[test]
fn a_brownout_that_does_harm_is_ended_up_to_the_end_of_its_window() {
    let catalogue = Catalogue::builtin();
    let policy = built(
        &[],
        vec![within(
            entry(RESET, "brownout", "f:1"),
            "every day 09:00 UTC for 30m",
        )],
    );
    let caller = webhook("7");
    let view = CallerView::unnamed(&caller);
    let begin = at("2026-12-01T09:01Z");
    for _ in 0..50 {
        assert!(
            policy
                .answered(&caller.key, 200, at("2026-12-01T08:30Z"))
                .is_empty()
        );
    }
    let decision = policy.mode(rule(&catalogue, RESET), &view, begin);
    assert_eq!(decision.mode, Mode::Brownout);
    policy.refused(&decision, &caller.key, begin);
    let ended: Vec<_> = (0..30)
        .flat_map(|call| {
            policy.answered(
                &caller.key,
                if call >= 18 { 500 } else { 200 },
                at("2026-12-01T09:05Z"),
            )
        })
        .collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].0, ended[0].1.failed, ended[0].1.calls),
        (0, 2, 20)
    );
    assert_eq!(
        mode_of(&policy, RESET, &caller, "2026-12-01T09:06Z"),
        Mode::Rewrite
    );
    assert_eq!(
        mode_of(&policy, RESET, &caller, "2026-12-02T09:06Z"),
        Mode::Brownout
    );
}

#[test]
fn a_brownout_is_ended_at_once_by_hand_and_stays_so_over_a_reload() {
    let entries = || {
        vec![within(
            entry(RESET, "brownout", "f:1"),
            "2026-12-01T09:00Z for 30m",
        )]
    };
    let policy = built(&[], entries());
    let caller = webhook("7");
    assert!(
        !policy.stop(0, at("2026-12-01T08:59Z"), StoppedBy::Admin),
        "it has not begun"
    );
    assert!(policy.stop(0, at("2026-12-01T09:10Z"), StoppedBy::Admin));
    assert_eq!(
        mode_of(&policy, RESET, &caller, "2026-12-01T09:11Z"),
        Mode::Rewrite
    );
    let again = Policy::build(
        &Catalogue::builtin(),
        vec![],
        entries(),
        at("2026-12-01T09:12Z"),
        Some(&policy),
    )
    .unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(
        mode_of(&again, RESET, &caller, "2026-12-01T09:13Z"),
        Mode::Rewrite
    );
    let block = built(&[], vec![entry(RESET, "block", "f:1")]);
    assert!(
        !block.stop(0, now(), StoppedBy::Admin),
        "only a brownout can be stopped"
    );
}

#[test]
fn a_call_whose_body_is_unread_is_refused_only_where_nobody_may_make_it() {
    let catalogue = Catalogue::builtin();
    let unread = Caller::default().with_unread_body();
    let refused = |policy: &Policy, method: &str, moment: &str| {
        policy.refuses_whoever_calls(rule(&catalogue, method), &unread, at(moment))
    };
    let day = "2026-12-01T08:00Z";
    assert!(refused(
        &built(&[&format!("{RESET}=block")], vec![]),
        RESET,
        day
    ));
    // The body may tell that it is user 7.
    let but_one = of_user(entry(RESET, "rewrite", "f:1"), "7");
    let but_one = built(&[&format!("{RESET}=block")], vec![but_one]);
    assert!(!refused(&but_one, RESET, day));
    // Another user may call.
    let only_one = built(&[], vec![of_user(entry(RESET, "block", "f:1"), "7")]);
    assert!(!refused(&only_one, RESET, day));
    let window = within(entry(GET, "block", "f:1"), "2026-12-01T09:00Z for 30m");
    let window = built(&[], vec![window]);
    assert!(!refused(&window, GET, day));
    assert!(refused(&window, GET, "2026-12-01T09:00Z"));
}

#[test]
fn a_rehearsal_says_how_many_calls_of_how_many_callers_would_have_been_refused() {
    let catalogue = Catalogue::builtin();
    let policy = built(&[], vec![of_user(entry(RESET, "block", "f:1"), "7")]);
    let line = |user: &str, method: &str| {
        format!(
            "{{\"schema\":1,\"timestamp\":\"2026-12-01T08:00:00.000Z\",\"event\":\"deprecated_call\",\"method\":\"{method}\",\
             \"caller\":{{\"key\":\"webhook:{user}\",\"auth\":\"webhook\",\"user\":\"{user}\"}}}}"
        )
    };
    let mut rehearsal = Rehearsal::default();
    for text in [
        line("7", RESET),
        line("8", RESET),
        line("7", RESET),
        line("7", GET),
        line("7", RESET).replacen("deprecated_call\",", "deprecated_calls\",\"count\":9,", 1),
        "torn".to_owned(),
    ] {
        if let Some(call) = Line::read(text.as_bytes()).and_then(|line| PastCall::of(&line)) {
            rehearsal.ask(&policy, &catalogue, &call, call.at);
        }
    }
    assert_eq!(
        (
            rehearsal.calls,
            rehearsal.refused_calls(),
            rehearsal.refused_callers()
        ),
        (13, 11, 1)
    );
}

/// A proxy with this configuration, and with this rule file where there is one.
fn serving(portal: &Portal, config: &str, rules: Option<&str>) -> Proxy {
    let wanted = proxy::before(&portal.url());
    let path = |name: &str| wanted.folder().join(name).display().to_string();
    let (config_path, rules_path) = (path("proxy.toml"), path("rules.json"));
    std::fs::write(&config_path, config).expect("written");
    let mut words = vec!["--config", &config_path];
    if let Some(rules) = rules {
        std::fs::write(&rules_path, rules).expect("written");
        words.extend(["--rules", &rules_path]);
    }
    wanted.with(&words).start()
}

#[test]
fn a_served_caller_is_refused_by_its_entry_and_others_are_not() {
    let portal = Portal::plain();
    let config = format!("[[mode]]\nmode = 'block'\nrule = ['{RESET}', '{WATCHED}']\nuser = 7\n");
    let proxy = serving(&portal, &config, None);
    let of = |user: u8, method: &str| format!("/rest/{user}/code/{method}?x=1");
    assert_eq!(proxy.call(get(&of(7, WATCHED))).status(), 410);
    assert_eq!(proxy.call(get(&of(8, WATCHED))).status(), 200);
    assert_eq!(proxy.call(get(&of(7, RESET))).status(), 410);
    assert_eq!(proxy.call(get(&of(8, RESET))).status(), 200);
    assert_eq!(portal.request_count(), 2);
    let mut actions: Vec<_> = proxy
        .events()
        .iter()
        .filter(|event| event["event"] == "deprecated_call")
        .map(|event| event["action"].as_str().unwrap_or("?").to_owned())
        .collect();
    actions.sort();
    assert_eq!(actions, ["observed", "refused", "refused", "rewritten"]);
}

/// A form with a token in it, too long to be read only to see who calls.
fn long_form() -> String {
    format!("auth=token&x={}", "x".repeat(100_000))
}

fn chunked(target: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: b24\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

#[test]
fn what_is_refused_for_all_is_refused_whatever_the_length_of_its_body() {
    let portal = Portal::plain();
    let config = "[[mode]]\nmode = 'block'\nrule = 'crm.lead.add'\n\n\
                  [[mode]]\nmode = 'brownout until 2099-01-01'\nrule = 'crm.lead.add'\nuser = 7\n\n\
                  [[mode]]\nmode = 'block'\nrule = 'crm.deal.add'\naddress = '127.0.0.0/8'\n\n\
                  [[mode]]\nmode = 'block'\nrule = 'crm.deal.add'\nuser = 7\n";
    let proxy = serving(&portal, config, None);
    let form = "application/x-www-form-urlencoded";
    for method in ["crm.lead.add", "crm.deal.add"] {
        let target = format!("/rest/{method}");
        for request in [
            post(&target, form, "auth=token&x=1"),
            post(&target, form, &long_form()),
            chunked(&target, "auth=token&x=1"),
        ] {
            assert_eq!(proxy.call(request).status(), 410, "{method}");
        }
    }
    assert_eq!(portal.request_count(), 0);
    let seen: Vec<String> = proxy
        .events()
        .iter()
        .map(|event| format!("{} {}", event["action"], event["caller"]["auth"]).replace('"', ""))
        .collect();
    let (known, unknown) = ("refused oauth", "refused unknown");
    assert_eq!(seen, [known, unknown, unknown, known, unknown, unknown]);
}

#[test]
fn who_may_be_let_off_is_not_refused_unread() {
    let portal = Portal::plain();
    let config = "[[mode]]\nmode = 'observe'\nrule = 'crm.lead.add'\nfingerprint = '0123456789abcdef'\n\n\
                  [[mode]]\nmode = 'block'\nrule = 'crm.lead.add'\n";
    let proxy = serving(&portal, config, None);
    let form = "application/x-www-form-urlencoded";
    let call = |body: &str| proxy.call(post("/rest/crm.lead.add", form, body)).status();
    assert_eq!(call(&long_form()), 200);
    assert_eq!(call("auth=token"), 410, "it is known not to be the one");
    assert_eq!(proxy.events()[0]["caller"]["auth"], "unknown");
}

#[test]
fn a_blocked_caller_is_known_by_its_body_where_that_is_small() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--mode", "crm.lead.list=block"]);
    let form = "application/x-www-form-urlencoded";
    let target = format!("/rest/{WATCHED}");
    assert_eq!(proxy.call(post(&target, form, "auth=token")).status(), 410);
    assert_eq!(proxy.call(post(&target, form, &long_form())).status(), 410);
    let auths: Vec<_> = proxy
        .events()
        .iter()
        .map(|event| event["caller"]["auth"].clone())
        .collect();
    assert_eq!(auths, ["oauth", "unknown"]);
    let unread = proxy.events()[1]["encoding"].clone();
    assert_eq!(unread, "form", "as its head announces it");
    assert_eq!(portal.request_count(), 0);
}

/// What a portal answers: the status, whether packed, and the body.
type Given = (u16, bool, &'static str);

/// How the answers of a call and of its successor compare, and whether the successor was called.
fn compared(format: &str, fields: &str, legacy: Given, modern: Given) -> (String, bool) {
    let portal = Portal::start(move |visit| {
        while let Some(request) = visit.request() {
            let is_modern = String::from_utf8_lossy(request.target()).contains("crm.item.");
            let (status, packed, text) = if is_modern { modern } else { legacy };
            let (mut field, mut body) = ("", text.as_bytes().to_vec());
            if packed {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(text.as_bytes()).expect("packed");
                (field, body) = (
                    "Content-Encoding: gzip\r\n",
                    encoder.finish().expect("packed"),
                );
            }
            visit.answer_to(&request, status, field, &body);
        }
    });
    let proxy = proxy::start(&portal, &["--mode", &format!("{GET}=compare")]);
    let request = format!("GET /rest/1/code/{GET}{format} HTTP/1.1\r\nHost: b24\r\n{fields}\r\n");
    let answer = proxy.call(request);
    assert_eq!(answer.status(), legacy.0);
    let result = wait_for("it is never counted", || {
        ["equal", "different", "failed", "skipped"]
            .into_iter()
            .find(|result| {
                let metric =
                    format!("b24_proxy_comparisons_total{{method=\"{GET}\",result=\"{result}\"}}");
                proxy.metric(&metric) == 1.0
            })
    });
    (result.to_owned(), portal.request_count() == 2)
}

#[test]
fn answers_are_compared_without_their_time_packed_or_not() {
    let (one, other) = (r#"{"result":[1],"time":1}"#, r#"{"time":2,"result":[1]}"#);
    let gzip = "Accept-Encoding: gzip\r\n";
    let asked = |result: &str| (result.to_owned(), true);
    assert_eq!(
        compared("", "", (200, false, one), (200, false, other)),
        asked("equal")
    );
    assert_eq!(
        compared("", gzip, (200, true, one), (200, false, other)),
        asked("equal")
    );
    let third = (200, false, r#"{"result":[2],"time":1}"#);
    assert_eq!(
        compared("", gzip, (200, true, one), third),
        asked("different")
    );
    assert_eq!(
        compared("", "", (200, false, one), (503, false, "{}")),
        asked("failed")
    );
}

#[test]
fn what_cannot_be_compared_is_counted_as_skipped_and_sent_once() {
    let fine = (200, false, r#"{"result":[1]}"#);
    let skipped = ("skipped".to_owned(), false);
    let xml = (200, false, "<response><time>1</time></response>");
    assert_eq!(compared(".xml", "", xml, xml), skipped);
    assert_eq!(compared("", "", (503, false, "{}"), fine), skipped);
    assert_eq!(compared("", "", (429, false, "{}"), fine), skipped);
}

#[test]
fn a_brownout_whose_callers_fail_elsewhere_ends_and_the_log_says_that_the_guard_did_it() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let fails = String::from_utf8_lossy(request.target()).contains("user.get");
            visit.answer_to(&request, if fails { 500 } else { 200 }, "", b"{}");
        }
    });
    let config =
        format!("[[mode]]\nmode = 'brownout until 2099-01-01'\nrule = '{WATCHED}'\nuser = 7\n");
    let proxy = serving(&portal, &config, None);
    let status = |method: &str| proxy.call(get(&format!("/rest/7/code/{method}"))).status();
    assert_eq!(status(WATCHED), 410);
    for _ in 0..20 {
        assert_eq!(status("user.get"), 500);
    }
    assert_eq!(status(WATCHED), 200);
    let changed = super::reload::wait_for_event(&proxy, |event| event["event"] == "mode_changed");
    assert_eq!(
        (&changed["cause"], &changed["to"]),
        (&"guard".into(), &"observe".into())
    );
}

#[test]
fn a_refused_caller_is_told_until_when_in_a_batch_too() {
    let portal = Portal::start(|visit| {
        let no_method =
            r#"{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}"#;
        let body = format!(r#"{{"result":{{"result":[],"result_error":{{"a":{no_method}}}}}}}"#);
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 200, "", body.as_bytes());
        }
    });
    let config = format!(
        "[[mode]]\nmode = 'brownout until 2099-01-02T03:04Z'\nrule = '{WATCHED}'\n\n\
         [[mode]]\nmode = 'block'\nrule = '{RESET}'\n\n\
         [[mode]]\nmode = 'block from 2099-03-01'\nrule = '{WATCHED}'\n"
    );
    let proxy = serving(&portal, &config, None);
    let call = |path: &str, status: u16| -> serde_json::Value {
        let answer = proxy.call(get(&format!("/rest/7/code/{path}")));
        assert_eq!(answer.status(), status);
        serde_json::from_str(&answer.text()).expect("JSON")
    };
    let brownout = call(WATCHED, 410)["error_description"].to_string();
    for part in [
        "switched off until 2099-01-02T03:04:00Z. It stops working for good on 2099-03-01.",
        "call crm.item.list with entityTypeId=1; other parameters and the answer differ (https://apidocs.bitrix24.com/",
    ] {
        assert!(brownout.contains(part), "{brownout}");
    }
    let block = call(RESET, 410)["error_description"].to_string();
    for part in [
        "switched off for good.",
        "call crm.item.details.configuration.reset with entityTypeId=1 (https://apidocs.bitrix24.com/",
    ] {
        assert!(block.contains(part), "{block}");
    }
    let batch = call(&format!("batch?cmd[a]={WATCHED}"), 200);
    let told = &batch["result"]["result_error"]["a"];
    assert_eq!(told["error"], "DEPRECATED_METHOD_BROWNOUT");
    assert_eq!(told["error_description"].to_string(), brownout);
}

#[test]
fn an_application_is_selected_by_its_id_in_the_call_or_by_what_an_earlier_answer_told() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let target = String::from_utf8_lossy(request.target()).into_owned();
            let application = if target.contains("of-one") {
                "local.1"
            } else {
                "local.2"
            };
            let field = format!("X-Bitrix-Rest-Application: {application}\r\n");
            visit.answer_to(&request, 200, &field, b"{\"result\":true}");
        }
    });
    let config = format!("[[mode]]\nmode = 'block'\nrule = '{WATCHED}'\napplication = 'local.1'\n");
    let proxy = serving(&portal, &config, None);
    let status = |method: &str, parameters: &str| {
        let answer = proxy.call(get(&format!("/rest/{method}?{parameters}")));
        answer.status()
    };
    // What the call itself says counts at once.
    assert_eq!(status(WATCHED, "auth=1-of-one&client_id=local.1"), 410);
    assert_eq!(status(WATCHED, "auth=1-of-two&client_id=local.2"), 200);
    // Else the first answer to a token tells whose it is, whatever was called.
    assert_eq!(status(WATCHED, "auth=2-of-one"), 200);
    assert_eq!(status(WATCHED, "auth=2-of-one"), 410);
    assert_eq!(status("user.current", "auth=3-of-one"), 200);
    assert_eq!(status(WATCHED, "auth=3-of-one"), 410);
    assert_eq!(status(WATCHED, "access_token=3-of-one"), 410);
    assert_eq!(status(WATCHED, "auth=2-of-two"), 200);
    assert_eq!(status(WATCHED, "auth=2-of-two"), 200);
    let modes: Vec<String> = proxy
        .events()
        .iter()
        .map(|event| format!("{} {}", event["action"], event["mode"]).replace('"', ""))
        .collect();
    let (observed, refused) = ("observed observe", "refused block");
    let expected = [
        refused, observed, observed, refused, refused, refused, observed, observed,
    ];
    assert_eq!(modes, expected, "the mode is the one that was decided");
}

#[test]
fn a_date_to_come_is_told_to_callers_as_sunset() {
    let portal = Portal::plain();
    let proxy = serving(
        &portal,
        "[[mode]]\nmode = 'block from 2099-03-01'\nrule = 'crm.lead.*'\n",
        None,
    );
    let answer = proxy.call(get(&format!("/rest/1/code/{WATCHED}")));
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.one("Sunset").as_deref(),
        Some("Sun, 01 Mar 2099 00:00:00 GMT")
    );
}

#[test]
fn rules_of_ones_own_are_served_and_reloaded_as_one_with_their_modes() {
    let portal = Portal::plain();
    let rule = |successor: &str| {
        format!("[{{\"method\": \"old.method\", \"successor\": \"{successor}\"}}]")
    };
    let proxy = serving(&portal, "", Some(&rule("first.method")));
    let call = || get("/rest/1/code/old.method?a=1");
    assert_eq!(proxy.call(call()).status(), 200);
    let reload = |rules: &str, config: &str| {
        std::fs::write(proxy.folder().join("rules.json"), rules).expect("written");
        std::fs::write(proxy.folder().join("proxy.toml"), config).expect("written");
        proxy.signal(Signal::HUP);
    };
    let applied = |times: usize, part: &'static str| {
        let enough = move |text: &str| (text.matches(part).count() >= times).then_some(());
        assert!(
            proxy.stderr.wait_for(enough).is_some(),
            "{}",
            proxy.stderr.text()
        );
    };
    reload(&rule("second.method"), "");
    applied(1, "read again and applied");
    assert_eq!(proxy.call(call()).status(), 200);
    // All or nothing: the mode is right, the rule is not.
    reload(
        "[{\"method\": \"old.method\"}]",
        "mode = ['old.method=block']\n",
    );
    applied(1, "names no successor");
    assert_eq!(proxy.call(call()).status(), 200);
    reload(&rule("third.method"), "mode = ['old.method=block']\n");
    applied(2, "read again and applied");
    assert_eq!(proxy.call(call()).status(), 410);
    let targets: Vec<String> = portal
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(request.target()).into_owned())
        .collect();
    assert_eq!(
        targets,
        [
            "/rest/1/code/first.method?a=1",
            "/rest/1/code/second.method?a=1",
            "/rest/1/code/second.method?a=1"
        ]
    );
}
