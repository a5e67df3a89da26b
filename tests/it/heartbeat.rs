//! A log that proves itself: the lines of a run, sums of watched calls, regressions; and the proof of zero over real logs.

use std::borrow::Cow;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use b24_migration_proxy::catalogue::{Catalogue, Rule};
use b24_migration_proxy::telemetry::Telemetry;
use b24_migration_proxy::telemetry::caller::{Caller, Fingerprints};
use b24_migration_proxy::telemetry::event::DeprecationEvent;
use b24_migration_proxy::telemetry::log::{LogConfig, LogTarget};
use b24_migration_proxy::telemetry::logging::{Logging, WatchedLog, WatchedLogs};
use b24_migration_proxy::telemetry::run::Run;
use b24_migration_proxy::translate::{Action, Encoding};

use rustix::process::Signal;
use serde_json::Value;

use super::support::client::get;
use super::support::portal::Portal;
use super::support::proxy::{self, Proxy, all_events_in};
use super::support::wire::PATIENCE;
use crate::support::time::{wait_for_within, wait_until};

const RESET: &str = "crm.lead.details.configuration.reset";
const WATCHED: &str = "crm.lead.list";

fn call(user: u8, method: &str) -> String {
    get(&format!("/rest/{user}/somecode{user}/{method}"))
}

fn lines(path: &Path) -> Vec<Value> {
    all_events_in(&std::fs::read_to_string(path).expect("a log"))
}

fn of<'e>(lines: &'e [Value], event: &str) -> Vec<&'e Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// Waits until the log has lines of which this holds.
fn wait_for(path: &Path, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut text = String::new();
    let found = wait_for_within(PATIENCE, || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = all_events_in(text.ends_with('\n').then_some(&text[..])?);
        holds(&lines).then_some(lines)
    });
    found.unwrap_or_else(|| panic!("it does not come: {text}"))
}

fn prove(words: &[&str], logs: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"));
    command
        .env_remove("B24_PROXY_CALLERS")
        .env_remove("B24_PROXY_RULES");
    command
        .arg("prove-zero")
        .args(words)
        .args(["--format", "json"])
        .args(logs);
    command.output().expect("it runs")
}

fn verdict(output: &Output) -> (Option<i32>, Value) {
    let said = String::from_utf8_lossy(&output.stderr);
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}")),
    )
}

/// Since the run's start line.
fn since(lines: &[Value]) -> String {
    lines[0]["timestamp"].as_str().expect("a time").to_owned()
}

#[test]
fn a_run_says_that_it_starts_lives_and_stops_with_counts_that_match_its_lines() {
    let portal = Portal::plain();
    let mut proxy = proxy::start(
        &portal,
        &["--instance", "pod-1", "--heartbeat-interval", "1s"],
    );
    for user in 1..4 {
        proxy.call(call(user, WATCHED));
    }
    proxy.call(call(1, RESET));
    proxy.call(call(1, "crm.item.list"));
    proxy.call(get("/elsewhere"));
    wait_for(proxy.log_path(), |lines| of(lines, "heartbeat").len() >= 2);
    assert!(proxy.terminate().success());
    let lines = lines(proxy.log_path());
    assert!(lines.iter().all(|line| line["instance"] == "pod-1"));
    assert_eq!(
        (&lines[0]["event"], &lines[lines.len() - 1]["event"]),
        (&"start".into(), &"stop".into())
    );
    assert_eq!(
        (&lines[0]["methods"], &lines[0]["interval_s"]),
        (&234.into(), &1.into())
    );
    let (mut seen, mut before) = (0, -1);
    for line in &lines {
        match line["event"].as_str() {
            Some("start" | "heartbeat" | "stop") => {
                assert_eq!(line["counts"]["lines"], seen, "{line}");
                assert_eq!(line["started"], lines[0]["started"]);
                let requests = line["counts"]["requests"].as_i64().expect("a count");
                assert!(requests >= before);
                before = requests;
            }
            _ => seen += 1,
        }
    }
    let counts = &lines[lines.len() - 1]["counts"];
    let expected = serde_json::json!({"requests": 6, "calls": 5, "batches": 0, "rewritten": 1, "observed": 3, "refused": 0,
        "unread": 0, "lines": 4, "dropped": 0});
    assert_eq!(counts, &expected);

    // One was rewritten; before that nothing is proved to have been.
    let (status, whole) = verdict(&prove(&["--since", &since(&lines)], &[proxy.log_path()]));
    assert_eq!(status, Some(1), "{whole}");
    assert_eq!(whole["used"][0]["method"], RESET);
}

#[test]
fn zero_is_proved_over_restarts_and_rotation_and_a_lost_line_or_a_kill_shows() {
    let portal = Portal::plain();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let run = || {
        let wanted = proxy::before(&portal.url()).log(&log);
        let proxy = wanted
            .with(&["--instance", "a", "--heartbeat-interval", "2s"])
            .start();
        proxy.call(call(1, WATCHED));
        proxy.call(call(1, WATCHED));
        proxy
    };
    let mut first = run();
    wait_for(&log, |lines| !of(lines, "heartbeat").is_empty());
    let rotated = folder.path().join("log.1");
    std::fs::rename(&log, &rotated).expect("moved");
    first.signal(Signal::USR1);
    wait_until("the log is not opened again", || log.exists());
    first.call(call(1, WATCHED));
    assert!(first.terminate().success());
    let begin = since(&lines(&rotated));
    let mut second = run();
    let all = wait_for(&log, |lines| {
        of(lines, "heartbeat").len() > of(lines, "stop").len()
    });
    let end = all
        .iter()
        .rev()
        .find(|line| line["event"] == "heartbeat")
        .expect("one")["timestamp"]
        .as_str()
        .expect("a time")
        .to_owned();
    let words = ["--since", &begin, "--until", &end];
    let (status, whole) = verdict(&prove(&words, &[&log, &rotated]));
    assert_eq!(status, Some(0), "{whole:#}");
    assert_eq!(
        (&whole["counts"]["observed"], &whole["lines"]["skipped"]),
        (&5.into(), &0.into())
    );
    // The method is called, though.
    let method = [&words[..], &["--method", WATCHED]].concat();
    assert_eq!(prove(&method, &[&log, &rotated]).status.code(), Some(1));

    // Without the rotated file; without one line of it.
    assert_eq!(prove(&words, &[&log]).status.code(), Some(2));
    let text = std::fs::read_to_string(&rotated).expect("a file");
    let fewer: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains(WATCHED))
        .collect();
    std::fs::write(&rotated, fewer.join("\n") + "\n").expect("written");
    let (status, whole) = verdict(&prove(&words, &[&log, &rotated]));
    assert_eq!(status, Some(2));
    assert!(
        whole["holes"][0]["why"]
            .as_str()
            .is_some_and(|why| why.starts_with("2 lines were written and 0 are here")),
        "{whole:#}"
    );
    std::fs::write(&rotated, text).expect("written");

    // Killed, it has no stop line.
    second.kill();
    let mut third = run();
    let all = wait_for(&log, |lines| {
        let last = lines
            .iter()
            .rposition(|line| line["event"] == "start")
            .unwrap_or(0);
        !of(&lines[last..], "heartbeat").is_empty()
    });
    let end = all[all.len() - 1]["timestamp"].as_str().expect("a time");
    let (status, whole) = verdict(&prove(
        &["--since", &begin, "--until", end],
        &[&log, &rotated],
    ));
    assert_eq!(status, Some(2));
    assert!(
        whole["holes"]
            .to_string()
            .contains("started again without a stop line"),
        "{whole:#}"
    );
    third.terminate();
}

/// A proxy whose configuration file says this, with the options of a proof.
fn configured(portal: &Portal, config: &str, callers: &str) -> Proxy {
    let wanted = proxy::before(&portal.url());
    let path = |name: &str| wanted.folder().join(name).display().to_string();
    let (config_path, callers_path) = (path("proxy.toml"), path("callers.toml"));
    std::fs::write(&config_path, config).expect("written");
    std::fs::write(&callers_path, callers).expect("written");
    wanted
        .with(&["--config", &config_path, "--callers", &callers_path])
        .start()
}

#[test]
fn watched_calls_may_be_summed_up_by_the_hour_and_a_reload_changes_that() {
    let portal = Portal::plain();
    let mut proxy = configured(
        &portal,
        "watched-log = ['hourly', 'crm.deal.list=each']\n",
        "",
    );
    for _ in 0..3 {
        proxy.call(call(1, WATCHED));
    }
    proxy.call(call(2, WATCHED));
    proxy.call(call(1, "crm.deal.list"));
    proxy.call(call(1, RESET));
    let lines_now = wait_for(proxy.log_path(), |lines| lines.len() == 3);
    assert_eq!(of(&lines_now, "deprecated_call").len(), 2, "{lines_now:?}");
    assert_eq!(proxy.metric("b24_proxy_deprecation_log_queued_lines"), 0.0);

    // A reload writes the sums, and sums no more.
    std::fs::write(
        proxy.folder().join("proxy.toml"),
        "watched-log = 'each'\ninstance = 'other'\n",
    )
    .expect("written");
    proxy.signal(Signal::HUP);
    let lines_now = wait_for(proxy.log_path(), |lines| {
        of(lines, "deprecated_calls").len() >= 2
    });
    let sums = of(&lines_now, "deprecated_calls");
    let sum = sums
        .iter()
        .find(|sum| sum["count"] == 3)
        .expect("a sum of three");
    for (field, value) in [
        ("rule", WATCHED),
        ("method", WATCHED),
        ("action", "observed"),
    ] {
        assert_eq!(sum[field], value);
    }
    assert_eq!(
        (&sum["errors"], &sum["caller"]["user"]),
        (&0.into(), &"1".into())
    );
    assert!(
        sum["first"].as_str() <= sum["last"].as_str()
            && sum["last"].as_str() <= sum["timestamp"].as_str()
    );
    let named = |text: &str| text.contains("\"option\":\"instance\"").then_some(());
    assert!(
        proxy.stderr.wait_for(named).is_some(),
        "{}",
        proxy.stderr.text()
    );
    proxy.call(call(3, WATCHED));
    assert!(proxy.terminate().success());
    let lines = lines(proxy.log_path());
    assert_eq!(lines[lines.len() - 1]["counts"]["observed"], 6);
    assert_eq!(of(&lines, "deprecated_call").len(), 3);
    // None is missing: the report counts them all.
    let report = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"))
        .args(["report", "--format", "csv", "--action", "observed"])
        .arg(proxy.log_path())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    let calls: u64 = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(5)?.parse::<u64>().ok())
        .sum();
    assert_eq!(calls, 6, "{text}");
}

#[test]
fn sums_are_written_when_a_drain_begins_not_when_it_ends() {
    let portal = Portal::plain();
    let mut proxy = proxy::start(&portal, &["--watched-log", "hourly", "--drain-delay", "1h"]);
    for _ in 0..3 {
        proxy.call(call(1, WATCHED));
    }
    assert_eq!(of(&lines(proxy.log_path()), "deprecated_calls").len(), 0);
    proxy.signal(Signal::TERM);
    let during = wait_for(proxy.log_path(), |lines| {
        !of(lines, "deprecated_calls").is_empty()
    });
    assert_eq!(of(&during, "deprecated_calls")[0]["count"], 3);
    assert!(of(&during, "stop").is_empty(), "{during:?}");

    // What is called meanwhile is in the last sum, before the stop line.
    proxy.call(call(1, WATCHED));
    assert!(proxy.terminate().success());
    let ended = lines(proxy.log_path());
    let counts: Vec<&Value> = of(&ended, "deprecated_calls")
        .iter()
        .map(|sum| &sum["count"])
        .collect();
    assert_eq!(counts, [3, 1]);
    assert_eq!(ended[ended.len() - 1]["event"], "stop");
}

#[test]
fn who_calls_after_its_migration_has_regressed_and_it_is_said_once_a_day() {
    let portal = Portal::plain();
    let callers = "[[caller]]\nname = 'shop'\nuser = 1\nowner = 'Ann'\nmigrated = 2020-01-01\n[[caller]]\nname = 'erp'\nuser = 2\n";
    let proxy = configured(&portal, "", callers);
    for user in [1, 1, 2, 3] {
        proxy.call(call(user, WATCHED));
    }
    let lines = wait_for(proxy.log_path(), |lines| {
        of(lines, "deprecated_call").len() == 4
    });
    let regressed = of(&lines, "caller_regressed");
    assert_eq!(regressed.len(), 1, "{regressed:?}");
    assert_eq!(
        (&regressed[0]["name"], &regressed[0]["owner"]),
        (&"shop".into(), &"Ann".into())
    );
    assert_eq!(
        (&regressed[0]["migrated"], &regressed[0]["method"]),
        (&"2020-01-01".into(), &WATCHED.into())
    );
    let metric = |state: &str| proxy.metric(&format!("b24_proxy_callers{{state=\"{state}\"}}"));
    assert_eq!(
        (metric("regressed"), metric("open"), metric("migrated")),
        (1.0, 1.0, 0.0)
    );

    // On the page it comes first, then who has no name.
    let rows = |query: &str| -> Vec<Value> {
        let answer = proxy.admin(&format!("/api/callers{query}"));
        let whole: Value = serde_json::from_slice(&answer.body).expect("JSON");
        whole["callers"].as_array().expect("rows").clone()
    };
    let users: Vec<Value> = rows("").iter().map(|row| row["user"].clone()).collect();
    assert_eq!(users, ["1", "3", "2"]);
    let shown = &rows("?show=regressed")[..];
    assert_eq!((shown.len(), &shown[0]["owner"]), (1, &"Ann".into()));
    let page = proxy.admin("/?show=regressed").text();
    assert!(page.contains("regressed since 2020-01-01") && page.contains("1 regressed"));

    // The keys are applied by a reload.
    std::fs::write(
        proxy.folder().join("callers.toml"),
        callers.replace("owner = 'Ann'\nmigrated = 2020-01-01", "told = 2020-01-01"),
    )
    .expect("written");
    proxy.signal(Signal::HUP);
    wait_until("the new callers file is not applied", || {
        proxy.stderr.text().contains("was read again and applied")
    });
    assert_eq!((metric("told"), metric("regressed")), (1.0, 0.0));
    assert_eq!(rows("?q=told")[0]["told"], "2020-01-01");
}

#[test]
fn after_a_rotation_and_a_restart_the_page_knows_the_days_before() {
    let portal = Portal::plain();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log.jsonl");
    let callers = folder.path().join("callers.toml");
    std::fs::write(
        &callers,
        "[[caller]]\nname = 'shop'\nuser = 1\nmigrated = 2020-01-01\n",
    )
    .expect("written");
    let path = callers.display().to_string();
    let start = || {
        proxy::before(&portal.url())
            .log(&log)
            .with(&["--callers", &path])
            .start()
    };
    let old = |day: u64, user: u8| {
        let at = std::time::SystemTime::now() - Duration::from_secs(day * 86_400);
        let seconds = at
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let at = timestamp(seconds);
        format!(
            "{{\"schema\":1,\"timestamp\":\"{at}\",\"event\":\"deprecated_call\",\"method\":\"{WATCHED}\",\"action\":\"observed\",\
             \"caller\":{{\"key\":\"webhook:p:{user}:0\",\"auth\":\"webhook\",\"user\":\"{user}\"}},\"status\":200}}\n"
        )
    };
    std::fs::write(
        folder.path().join("log.jsonl.2"),
        [old(20, 8), old(20, 8), old(10, 8)].concat(),
    )
    .expect("written");
    let gzip = Command::new("gzip")
        .arg(folder.path().join("log.jsonl.2"))
        .status();
    assert!(gzip.expect("gzip runs").success());
    let mut first = start();
    first.call(call(1, WATCHED));
    wait_for(&log, |lines| of(lines, "deprecated_call").len() == 1);
    std::fs::rename(&log, folder.path().join("log.jsonl.1")).expect("moved");
    first.signal(Signal::USR1);
    wait_until("the log is not opened again", || log.exists());
    first.call(call(1, WATCHED));
    first.terminate();

    let second = start();
    second.call(call(1, WATCHED));
    let all = wait_for(&log, |lines| of(lines, "deprecated_call").len() == 2);
    // It was said today already.
    assert!(of(&all, "caller_regressed").is_empty());
    let answer = second.admin("/api/callers");
    let whole: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let rows = whole["callers"].as_array().expect("rows");
    let row = |user: &str| rows.iter().find(|row| row["user"] == user).expect("a row");
    assert_eq!(
        (&row("1")["observed"], &row("8")["observed"]),
        (&3.into(), &3.into())
    );
    let days: Vec<u64> = row("8")["days"]
        .as_array()
        .expect("days")
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert_eq!(
        (days[days.len() - 1 - 20], days[days.len() - 1 - 10]),
        (2, 1),
        "{days:?}"
    );
    let last = second.metric(&format!("b24_proxy_deprecated_last_call_timestamp_seconds{{method=\"{WATCHED}\",caller=\"unnamed\"}}"));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64();
    assert!((now - last - 10.0 * 86_400.0).abs() < 3600.0);
    assert!(whole["note"].is_null(), "{whole}");
}

/// RFC 3339 of a second since 1970.
fn timestamp(seconds: u64) -> String {
    let output = Command::new("date")
        .args([
            "-u",
            "-d",
            &format!("@{seconds}"),
            "+%Y-%m-%dT%H:%M:%S.000Z",
        ])
        .output();
    String::from_utf8(output.expect("date runs").stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

/// A use of a watched method by the caller of this number.
fn watched_by(number: u64, at: SystemTime, rule: &Arc<Rule>) -> DeprecationEvent<'static> {
    DeprecationEvent {
        timestamp: at,
        request_id: "1".into(),
        client_request_id: None,
        trace_id: None,
        rule: Arc::clone(rule),
        action: Action::Observed,
        reason: None,
        mode: None,
        encoding: Encoding::Query,
        batch_key: None,
        changes: Cow::default(),
        parameters: Cow::default(),
        target: "/rest/1/***/crm.lead.list".into(),
        caller: Arc::new(Caller {
            key: format!("webhook:p:{number}:0"),
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

#[test]
fn sums_are_written_when_their_hour_is_over_and_before_that_when_there_are_ten_thousand() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let catalogue = Catalogue::builtin();
    let watched = WatchedLogs {
        usual: WatchedLog::Hourly,
        ..WatchedLogs::default()
    };
    let logging = Logging {
        watched,
        ..Logging::default()
    };
    let telemetry = Telemetry::open(
        LogConfig::deprecation(LogTarget::Path(path.clone())),
        None,
        catalogue.rules(),
        Fingerprints::default(),
        Arc::new(logging),
        Run::now("a", Duration::from_secs(3600)),
    )
    .expect("a log");
    let local = telemetry.metrics.local();
    let rule = catalogue.find(WATCHED.as_bytes()).expect("a rule");
    let hour = SystemTime::UNIX_EPOCH + Duration::from_secs(500_000 * 3600);
    let record = |callers: std::ops::Range<u64>, at: SystemTime| {
        let events: Vec<_> = callers.map(|number| watched_by(number, at, rule)).collect();
        telemetry
            .record(&local, &telemetry.logging(), &events)
            .expect("recorded");
    };
    record(0..9_999, hour);
    record(0..9_999, hour);
    let count = || {
        std::fs::read_to_string(&path)
            .expect("a log")
            .lines()
            .count()
    };
    assert_eq!(count(), 0, "they wait");
    // One request may bring more callers than there is room for: never more than ten thousand wait.
    record(9_999..10_100, hour + Duration::from_secs(60));
    let written = lines(&path);
    assert_eq!(written.len(), 10_000);
    let calls: u64 = written
        .iter()
        .filter_map(|line| line["count"].as_u64())
        .sum();
    assert_eq!(calls, 2 * 9_999 + 1);
    telemetry.write_due_sums(hour + Duration::from_secs(3599));
    assert_eq!(count(), 10_000, "their hour goes on");
    telemetry.write_due_sums(hour + Duration::from_secs(3600));
    assert_eq!(count(), 10_100);
}
