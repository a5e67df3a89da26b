//! What is handed to a monitoring system: alerts and dashboard name what there is, and a real Prometheus understands them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::client;
use crate::support::portal::Portal;
use crate::support::proxy;
use crate::support::time::wait_until;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of the documentation, which a test of telemetry compares with the program.
fn known_metrics() -> BTreeSet<String> {
    let documentation = read("docs/METRICS.md");
    let rows = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let mut known = BTreeSet::new();
    for row in rows {
        let name = row.split('`').next().unwrap_or_default();
        known.insert(name.to_owned());
        if row.contains("| histogram |") {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    known
}

fn names_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("b24_proxy_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let known = known_metrics();
    assert!(known.len() > 30, "{known:?}");
    for path in [
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/prometheus/alerts.days.test.yml",
        "deploy/grafana/b24-migration-proxy.json",
        "docs/ALERTS.md",
    ] {
        let unknown: Vec<_> = names_in(&read(path)).difference(&known).cloned().collect();
        assert_eq!(unknown, [] as [String; 0], "{path}");
    }
}

#[test]
fn every_alert_is_explained_and_tested() {
    let alerts = read("deploy/prometheus/alerts.yml");
    let explained = read("docs/ALERTS.md");
    let tests = ["", ".days"].map(|part| read(&format!("deploy/prometheus/alerts{part}.test.yml")));
    let tests = tests.concat();
    let names: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() >= 7);
    for name in names {
        assert!(explained.contains(&format!("\n## {name}\n")), "{name}");
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name}");
        let runbook = format!(
            "runbook_url: \"{{{{ or $externalLabels.runbook_base `docs` }}}}/ALERTS.md#{}\"\n",
            name.to_lowercase()
        );
        assert!(alerts.contains(&runbook), "{name}");
    }
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests_pass() {
    for (what, path) in [
        ("check", "deploy/prometheus/alerts.yml"),
        ("test", "deploy/prometheus/alerts.test.yml"),
        ("test", "deploy/prometheus/alerts.days.test.yml"),
    ] {
        let output = match Command::new("promtool")
            .args([what, "rules"])
            .arg(file(path))
            .output()
        {
            Ok(output) => output,
            Err(_) => {
                eprintln!("skipped: promtool is not installed (apt-get install prometheus)");
                return;
            }
        };
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The queries of the dashboard, with its variables filled in.
fn queries(panels: &Value, found: &mut Vec<String>) {
    for panel in panels.as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = ["$job", "$instance", "$caller", "$method"]
                .iter()
                .fold(query.to_owned(), |query, variable| {
                    query.replace(variable, ".*")
                });
            found.push(
                query
                    .replace("$__rate_interval", "1m")
                    .replace("$__range", "1h"),
            );
        }
        queries(&panel["panels"], found);
    }
}

#[test]
fn each_panel_says_what_it_shows_in_which_unit_and_of_which_job() {
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/b24-migration-proxy.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|variable| variable["name"] == "job"));
    for panel in dashboard["panels"].as_array().unwrap() {
        if panel["type"] == "row" {
            continue;
        }
        let title = panel["title"].as_str().unwrap();
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.len() > 20),
            "{title}"
        );
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let selectors = query.matches("b24_proxy_").count()
                - query.matches("b24_proxy_build_info").count()
                + query.matches("process_").count();
            assert_eq!(
                query
                    .matches("job=~\"$job\",instance=~\"$instance\"")
                    .count(),
                selectors,
                "{title}: {query}"
            );
        }
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_the_proxy_and_answers_every_query_of_the_dashboard() {
    if Command::new("prometheus")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: prometheus is not installed (apt-get install prometheus)");
        return;
    }
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let target = "/rest/1/abcdefgh12345678/crm.lead.details.configuration.reset";
    assert_eq!(
        proxy
            .call(client::post(target, "application/json", "{}"))
            .status(),
        200
    );

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let scrape = format!(
        "rule_files: [{:?}]\nscrape_configs:\n- job_name: proxy\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        file("deploy/prometheus/alerts.yml"),
        proxy.admin
    );
    std::fs::write(&config, scrape).unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let _prometheus = Running(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let query = |query: &str| -> Option<Value> {
        let body: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let request = client::post(
            "/api/v1/query",
            "application/x-www-form-urlencoded",
            &format!("query={body}"),
        );
        std::net::TcpStream::connect(address).ok()?;
        let answer = client::Client::connect(address).call(request).ok()?;
        serde_json::from_slice(&answer.body).ok()
    };
    let counted = "b24_proxy_deprecated_calls_total{action=\"rewritten\"} == 1";
    wait_until("Prometheus has not counted the call", || {
        query(counted).is_some_and(|answer| {
            answer["data"]["result"]
                .as_array()
                .is_some_and(|series| !series.is_empty())
        })
    });
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/b24-migration-proxy.json")).unwrap();
    let mut all = Vec::new();
    queries(&dashboard["panels"], &mut all);
    assert!(all.len() > 30);
    for expression in all {
        let answer = query(&expression).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
    }
}
