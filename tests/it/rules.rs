//! `rules` and `brownout` as a user meets them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const CONFIG: &str = "\
[[mode]]
mode = 'block'
rule = 'crm.lead.list'
user = 8

[[mode]]
mode = 'brownout'
rule = ['crm.lead.list', 'crm.lead.details.configuration.reset']
user = 7
when = 'every day 09:00 UTC for 30m'

[[mode]]
mode = 'block from 2027-03-01'
rule = 'crm.lead.*'
";

fn run(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("B24_PROXY_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .args(words)
        .output()
        .expect("the program runs")
}

fn said(folder: &Path, words: &[&str]) -> String {
    let output = run(folder, words);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("proxy.toml"), CONFIG).expect("written");
    folder
}

#[test]
fn every_rule_is_listed_with_its_mode() {
    let folder = folder();
    let text = said(folder.path(), &["rules"]);
    assert_eq!(text.lines().count(), 1 + 234 + 2, "heading, rules, sum");
    assert!(text.ends_with("\n16 translated, 218 watched\n"), "{text}");
    let whole: Value =
        serde_json::from_str(&said(folder.path(), &["rules", "--json"])).expect("JSON");
    let rules = whole["rules"].as_array().expect("a list");
    assert_eq!(rules.len(), 234);
    assert!(
        rules
            .iter()
            .all(|rule| rule["mode"] == "rewrite" || rule["mode"] == "observe")
    );
}

#[test]
fn one_rule_is_shown_with_its_exceptions_and_what_comes_next() {
    let folder = folder();
    let words = [
        "rules",
        "--config",
        "proxy.toml",
        "CRM.lead.list",
        "--at",
        "2026-12-01T09:05Z",
    ];
    let text = said(folder.path(), &words);
    for part in [
        "crm.lead.list  → crm.item.list",
        "  mode          observe\n",
        "  but           block for user 8 (proxy.toml:1",
        "  but           brownout, until 2026-12-01T09:30:00Z for user 7 (proxy.toml:6",
        "  next          block from 2027-03-01T00:00:00Z",
        "  sunset        2027-03-01",
        "https://apidocs.bitrix24.com/api-reference/crm/leads/crm-lead-list.html",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_call_is_explained_without_showing_its_secret() {
    let folder = folder();
    let url = "https://proxy.example/rest/7/s3cr3tcode/crm.lead.list.json?start=0";
    let words = ["rules", "--config", "proxy.toml", "--explain", url, "--at"];
    let text = said(
        folder.path(),
        &[&words[..], &["2026-12-01T09:05Z"]].concat(),
    );
    assert!(
        text.contains("  mode          brownout, until 2026-12-01T09:30:00Z"),
        "{text}"
    );
    assert!(
        text.contains("  because of    proxy.toml:6: brownout for user 7"),
        "{text}"
    );
    assert!(
        text.contains("  not           proxy.toml:1: block for user 8: it is for other callers"),
        "{text}"
    );
    assert!(!text.contains("s3cr3tcode"), "{text}");
    let text = said(
        folder.path(),
        &[&words[..], &["2027-03-01T10:00Z", "--json"]].concat(),
    );
    let whole: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(whole["mode"], "block");
    assert_eq!(whole["passed_over"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_caller_may_be_described_instead_of_a_call_of_its() {
    let folder = folder();
    let words = [
        "rules",
        "--config",
        "proxy.toml",
        "--explain",
        "crm.lead.list",
        "--user",
        "8",
    ];
    assert!(said(folder.path(), &words).contains("  mode          block\n"));
}

#[test]
fn a_method_that_is_not_deprecated_is_status_1_with_a_hint() {
    let folder = folder();
    for words in [
        ["rules", "crm.lead.lst"].as_slice(),
        &["rules", "--explain", "crm.lead.lst"],
    ] {
        let output = run(folder.path(), words);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("did you mean crm.lead.list?"), "{error}");
    }
}

#[test]
fn what_cannot_be_meant_is_one_line_with_its_place_for_check_too() {
    let folder = folder();
    std::fs::write(
        folder.path().join("wrong.toml"),
        "\n[[mode]]\nmode = 'brownout'\n",
    )
    .expect("written");
    let upstream = "--upstream=https://x.bitrix24.com";
    for words in [
        ["rules", "--config", "wrong.toml"].as_slice(),
        &["check", "--config", "wrong.toml", upstream],
    ] {
        let output = run(folder.path(), words);
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            error.starts_with("wrong.toml:2: a brownout is never for all"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn a_brownout_says_what_it_would_have_refused_and_how_to_start_it() {
    let folder = folder();
    let line = |time: &str, user: &str, method: &str| {
        format!(
            "{{\"schema\":1,\"timestamp\":\"2026-11-02T{time}:00.000Z\",\"event\":\"deprecated_call\",\"method\":\"{method}\",\
             \"caller\":{{\"key\":\"webhook:{user}\",\"auth\":\"webhook\",\"user\":\"{user}\"}}}}\n"
        )
    };
    let reset = "crm.lead.details.configuration.reset";
    let log = [
        line("09:00", "7", reset),
        line("09:02", "8", reset),
        line("09:20", "7", reset),
        line("09:21", "7", "crm.lead.list"),
        line("11:00", "9", reset),
    ];
    std::fs::write(folder.path().join("events.log"), log.concat()).expect("written");
    let words = [
        "brownout",
        "--rule",
        reset,
        "--for",
        "10m",
        "--dry-run",
        "--log",
        "events.log",
    ];
    let text = said(folder.path(), &words);
    assert!(
        text.contains("there are 5 deprecated calls; 4 calls of 3 callers are meant"),
        "{text}"
    );
    assert!(
        text.contains("it would have refused 2 calls of 2 callers"),
        "{text}"
    );
    assert!(
        text.contains("rule = [\"crm.lead.details.configuration.reset\"]"),
        "{text}"
    );
    let words = [
        "brownout",
        "--user",
        "7",
        "--when",
        "every day 09:15 UTC for 30m",
        "--dry-run",
        "--log",
        "events.log",
    ];
    let text = said(folder.path(), &words);
    assert!(
        text.contains("In its windows it would have refused 1 call of 1 caller."),
        "{text}"
    );

    // What it prints is what the configuration takes.
    let entry: String = text
        .lines()
        .skip_while(|line| *line != "[[mode]]")
        .take(4)
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(folder.path().join("printed.toml"), entry).expect("written");
    let words = [
        "rules",
        "--config",
        "printed.toml",
        reset,
        "--at",
        "2026-12-01T09:20Z",
    ];
    assert!(
        said(folder.path(), &words).contains("brownout, until 2026-12-01T09:45:00Z for user 7")
    );
}

#[test]
fn a_brownout_for_all_is_refused() {
    let folder = folder();
    let output = run(folder.path(), &["brownout", "--for", "10m"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("a brownout is never for all"));
}
