use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::catalogue::Mode;
use crate::telemetry::callers::Callers;

/// A callers file with this name.
fn callers(name: &str) -> Callers {
    Callers::parse(&format!("[[caller]]\nname = \"{name}\"\nuser = 1\n")).unwrap()
}

#[test]
fn names_are_counted_by_how_far_they_are() {
    let metrics = metrics();
    let file = "[[caller]]\nname = \"a\"\nuser = 1\n[[caller]]\nname = \"b\"\nuser = 2\ntold = 2020-01-01\n\
        [[caller]]\nname = \"c\"\nuser = 3\nmigrated = 2020-01-01\n[[caller]]\nname = \"d\"\nuser = 4\nmigrated = 2020-01-01\n";
    metrics.set_callers(&Callers::parse(file).unwrap());
    metrics
        .uses("b.watched", Some("d"))
        .count(Action::Observed, 1_790_000_000.0);
    let page = metrics.render(None).1;
    for state in ["open", "told", "migrated", "regressed"] {
        let series = format!("b24_proxy_callers{{state=\"{state}\"}}");
        assert_eq!(value(&page, &series), Some("1.0"), "{page}");
    }
}

fn rule(method: &str, kind: RuleKind) -> Arc<Rule> {
    let mut rule = (**crate::catalogue::Catalogue::builtin()
        .rules()
        .first()
        .unwrap())
    .clone();
    rule.method = method.to_owned();
    rule.kind = kind;
    Arc::new(rule)
}

fn metrics() -> Arc<Metrics> {
    Metrics::new(&[
        rule("a.exact", RuleKind::Exact),
        rule("b.watched", RuleKind::Watched),
    ])
}

/// A page on which every metric has at least one series.
/// A budget that replicas share.
struct Shared;

impl crate::telemetry::budget::Budget for Shared {
    fn state(&self) -> crate::pace::desk::State {
        crate::pace::desk::State::default()
    }
    fn waiting(&self) -> Vec<(Arc<str>, usize)> {
        Vec::new()
    }
    fn store_up(&self) -> Option<bool> {
        Some(true)
    }
}

fn full_page(accept: Option<&str>) -> String {
    let metrics = metrics();
    metrics.set_modes([("a.exact", Mode::Rewrite), ("b.watched", Mode::Observe)]);
    metrics.set_certificates(vec![("portal-proxy.example".to_owned(), 1_800_000_000)]);
    metrics
        .uses("a.exact", None)
        .count(Action::Rewritten, 1_790_000_000.5);
    metrics.compared("a.exact", Comparison::Equal);
    metrics.method_limited("a.exact", "OPERATION_TIME_LIMIT");
    metrics.operating("a.exact", None, 3.0, None, std::time::Instant::now());
    metrics.watch_budget(Arc::new(Shared));
    metrics.local().request(&seen(Outcome::Rewritten, 200));
    metrics.render(accept).1
}

fn seen(outcome: Outcome, status: u16) -> RequestSeen {
    RequestSeen {
        outcome,
        kind: Kind::Call,
        fault: Fault::None,
        status,
        total: Duration::from_millis(30),
        own: Duration::from_micros(60),
        upstream: Some(Duration::from_millis(29)),
        bytes_in: 100,
        bytes_out: 200,
    }
}

/// The value of a series, as text.
fn value<'p>(page: &'p str, series: &str) -> Option<&'p str> {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

#[test]
fn what_each_thread_counts_is_summed() {
    let metrics = metrics();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let local = metrics.local();
                for _ in 0..1000 {
                    let _open = local.open(Open::Request);
                    local.request(&seen(Outcome::Forwarded, 200));
                }
                local.request(&seen(Outcome::Error, 0));
                local.head_error(431);
                local.head_error(599);
                local.own_error(ErrorCode::InvalidJson);
                local.portal_error("INVENTED_BY_SOMEBODY");
                local.refused(crate::translate::Reason::TooLarge);
            });
        }
    });
    let local = metrics.local();
    let connection = local.open(Open::Connection);
    let (_, page) = metrics.render(None);
    for (series, expected) in [
        (
            "b24_proxy_requests_total{outcome=\"forwarded\",kind=\"call\",fault=\"none\"}",
            "3000",
        ),
        (
            "b24_proxy_requests_total{outcome=\"error\",kind=\"call\",fault=\"none\"}",
            "3",
        ),
        ("b24_proxy_responses_total{code=\"2xx\"}", "3000"),
        ("b24_proxy_received_bytes_total", "300300"),
        ("b24_proxy_sent_bytes_total", "600600"),
        ("b24_proxy_requests_in_flight", "0"),
        ("b24_proxy_connections_open", "1"),
        ("b24_proxy_connections_total", "1"),
        ("b24_proxy_head_errors_total{status=\"431\"}", "3"),
        ("b24_proxy_head_errors_total{status=\"other\"}", "3"),
        ("b24_proxy_own_errors_total{code=\"INVALID_JSON\"}", "3"),
        ("b24_proxy_upstream_errors_total{code=\"other\"}", "3"),
        ("b24_proxy_refusals_total{reason=\"too_large\"}", "3"),
        (
            "b24_proxy_request_duration_seconds_bucket{le=\"0.025\"}",
            "0",
        ),
        (
            "b24_proxy_request_duration_seconds_bucket{le=\"0.05\"}",
            "3003",
        ),
        (
            "b24_proxy_request_duration_seconds_bucket{le=\"+Inf\"}",
            "3003",
        ),
        ("b24_proxy_request_duration_seconds_count", "3003"),
        ("b24_proxy_overhead_seconds_bucket{le=\"5e-05\"}", "0"),
        ("b24_proxy_overhead_seconds_bucket{le=\"0.0001\"}", "3003"),
    ] {
        let found = value(&page, series).unwrap_or_else(|| panic!("no {series} in\n{page}"));
        assert_eq!(found.trim_end_matches(".0"), expected, "{series}");
    }
    let spent: f64 = value(&page, "b24_proxy_request_duration_seconds_sum")
        .unwrap()
        .parse()
        .unwrap();
    assert!((spent - 90.09).abs() < 1e-6, "{spent}");
    drop(connection);
    let (_, page) = metrics.render(None);
    assert_eq!(
        value(&page, "b24_proxy_connections_open")
            .unwrap()
            .trim_end_matches(".0"),
        "0"
    );
}

#[test]
fn counters_of_translated_rules_are_at_0_from_the_start_for_each_named_caller() {
    let metrics = metrics();
    metrics.set_callers(&callers("shop"));
    let (_, page) = metrics.render(None);
    for caller in ["shop", "unnamed"] {
        for action in ["rewritten", "observed", "refused"] {
            let series = format!(
                "b24_proxy_deprecated_calls_total{{method=\"a.exact\",action=\"{action}\",caller=\"{caller}\"}}"
            );
            assert_eq!(value(&page, &series), Some("0"), "{series}");
        }
    }
    assert!(!page.contains("{method=\"b.watched\",action"));
    assert!(page.contains("b24_proxy_rule_info{method=\"b.watched\","));
}

#[test]
fn what_a_client_invents_is_no_label() {
    let metrics = metrics();
    metrics.set_callers(&callers("shop"));
    metrics
        .uses("a.exact", Some("shop"))
        .count(Action::Rewritten, 10.0);
    metrics
        .uses("a.exact", Some("invented"))
        .count(Action::Rewritten, 20.0);
    metrics
        .uses("invented.method", None)
        .count(Action::Observed, 30.0);
    metrics.deprecated_before("a.exact", Some("shop"), 5.0);
    let (_, page) = metrics.render(None);
    assert!(!page.contains("invented"));
    let calls = |labels: &str| {
        value(
            &page,
            &format!("b24_proxy_deprecated_calls_total{{{labels}}}"),
        )
        .map(str::to_owned)
    };
    assert_eq!(
        calls("method=\"a.exact\",action=\"rewritten\",caller=\"shop\"").as_deref(),
        Some("1")
    );
    assert_eq!(
        calls("method=\"a.exact\",action=\"rewritten\",caller=\"unnamed\"").as_deref(),
        Some("1")
    );
    assert_eq!(
        calls("method=\"other\",action=\"observed\",caller=\"unnamed\"").as_deref(),
        Some("1")
    );
    let last =
        "b24_proxy_deprecated_last_call_timestamp_seconds{method=\"a.exact\",caller=\"shop\"}";
    assert_eq!(
        value(&page, last).map(|text| text.trim_end_matches(".0")),
        Some("10")
    );

    metrics.set_callers(&Callers::default());
    metrics.set_rules(&[rule("c.new", RuleKind::Exact)]);
    let (_, page) = metrics.render(None);
    assert!(!page.contains("shop") && !page.contains("a.exact"));
    assert!(page.contains("{method=\"c.new\",action=\"rewritten\",caller=\"unnamed\"} 0"));
}

#[test]
fn the_format_is_what_accept_asks_for() {
    let metrics = metrics();
    let openmetrics = |accept| {
        metrics
            .render(accept)
            .0
            .starts_with("application/openmetrics-text")
    };
    assert!(!openmetrics(None));
    assert!(!openmetrics(Some("*/*")));
    assert!(!openmetrics(Some("text/plain")));
    assert!(!openmetrics(Some("application/openmetrics-text;q=0")));
    assert!(!openmetrics(Some(
        "application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.5"
    )));
    assert!(openmetrics(Some("application/openmetrics-text")));
    // As Prometheus 2 and 3 ask.
    assert!(openmetrics(Some(
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )));
    assert!(
        metrics
            .render(Some("application/openmetrics-text"))
            .1
            .ends_with("# EOF\n")
    );
    assert!(
        metrics
            .render(None)
            .0
            .starts_with("text/plain; version=0.0.4")
    );
}

#[test]
fn the_process_is_measured() {
    let page = full_page(None);
    let number = |name: &str| value(&page, name).unwrap().parse::<f64>().unwrap();
    assert!(number("process_resident_memory_bytes") > 1e6);
    assert!(number("process_virtual_memory_bytes") >= number("process_resident_memory_bytes"));
    assert!(number("process_open_fds") >= 3.0);
    assert!(number("process_max_fds") > number("process_open_fds"));
    assert!(number("process_threads") >= 1.0);
    assert!(number("process_cpu_seconds_total") >= 0.0);
    assert!(number("process_start_time_seconds") > 1.7e9);
}

#[test]
fn promtool_finds_nothing_wrong() {
    let Ok(mut promtool) = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
    else {
        eprintln!("skipped: promtool is not installed (apt-get install prometheus)");
        return;
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(full_page(None).as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// The rows of the documentation's table, made from a page.
fn documented(page: &str) -> String {
    let mut labels: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, rest) = series.split_once('{').unwrap_or((series, ""));
        let names = rest
            .split("\",")
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        labels.entry(name).or_insert_with(|| names.collect());
    }
    let mut rows = String::from("| metric | type | labels | what it is |\n|---|---|---|---|\n");
    let mut lines = page.lines().filter_map(|line| line.strip_prefix("# "));
    while let (Some(help), Some(kind)) = (lines.next(), lines.next()) {
        let (name, help) = help.strip_prefix("HELP ").unwrap().split_once(' ').unwrap();
        let (_, kind) = kind.rsplit_once(' ').unwrap();
        let sample = if kind == "histogram" {
            format!("{name}_bucket")
        } else {
            name.to_owned()
        };
        let labels = labels
            .get(sample.as_str())
            .unwrap_or_else(|| panic!("{name} has no series"));
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            rows,
            "| `{name}` | {kind} | {} | {help} |",
            labels.join(", ")
        );
    }
    rows
}

#[test]
fn the_documentation_lists_every_metric_as_it_is() {
    const BEGIN: &str = "<!-- metrics -->\n";
    const END: &str = "<!-- /metrics -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let expected = documented(&full_page(None));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        table, expected,
        "docs/METRICS.md is out of date: UPDATE_GOLDEN=1 writes it"
    );
    let page = full_page(None);
    for name in after
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("b24_proxy_"))
    {
        assert!(
            page.contains(name),
            "the documentation asks for {name}, which there is not"
        );
    }
}
