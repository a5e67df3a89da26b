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
        "  but           block for user 8 (proxy.toml:1:1",
        "  but           brownout, until 2026-12-01T09:30:00Z for user 7 (proxy.toml:6:1",
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
        text.contains("  because of    proxy.toml:6:1: brownout for user 7"),
        "{text}"
    );
    assert!(
        text.contains("  not           proxy.toml:1:1: block for user 8: it is for other callers"),
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
            error.starts_with("wrong.toml:2:1: a brownout is never for all"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn a_caller_that_nothing_names_is_a_mistake_of_the_configuration() {
    let folder = folder();
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let complaint = || {
        let output = run(folder.path(), &["rules", "--config", "named.toml"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let entry = "[[mode]]\nmode = 'block'\nrule = 'crm.lead.list'\ncaller = 'Old shp'\n";
    write("named.toml", entry);
    assert!(
        complaint().starts_with("named.toml:1:1: nothing gives the caller \"Old shp\" its name")
    );
    write("callers.toml", "[[caller]]\nname = 'Old shop'\nuser = 7\n");
    write("named.toml", &format!("callers = 'callers.toml'\n{entry}"));
    assert_eq!(
        complaint(),
        "named.toml:2:1: callers.toml names no caller \"Old shp\"; did you mean \"Old shop\"?\n"
    );
    write(
        "named.toml",
        &format!("callers = 'callers.toml'\n{}", entry.replace("shp", "shop")),
    );
    said(folder.path(), &["rules", "--config", "named.toml"]);
}

#[test]
fn an_example_that_shows_nothing_of_its_rule_fails() {
    let folder = folder();
    let file = r#"[{"method": "a.b", "successor": "c.d", "examples": [{"says": "misspelt",
        "call": {"target": "a.bb"}, "becomes": {"target": "a.bb"}}]}]"#;
    std::fs::write(folder.path().join("wrong.json"), file).expect("written");
    let output = run(folder.path(), &["rules", "check", "wrong.json"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("the call does not use a.b"), "{text}");
}

#[test]
fn explain_says_where_a_call_does_not_tell_its_application() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[[mode]]\nmode = 'block'\nrule = 'crm.lead.list'\napplication = 'local.1'\n";
    std::fs::write(folder.path().join("proxy.toml"), config).expect("written");
    let explain = |call: &str| {
        let words = ["rules", "--config", "proxy.toml", "--explain", call];
        said(folder.path(), &words)
    };
    let text = explain("/rest/crm.lead.list?auth=token");
    assert!(
        text.contains(
            "proxy.toml:1:1: block for application local.1: the call does not name its application"
        ),
        "{text}"
    );
    let text = explain("/rest/crm.lead.list?auth=token&client_id=local.1");
    assert!(
        text.contains("because of    proxy.toml:1:1: block"),
        "{text}"
    );
    for other in [
        "/rest/crm.lead.list?client_id=local.2",
        "/rest/7/code/crm.lead.list",
    ] {
        let text = explain(other);
        assert!(text.contains("it is for other callers"), "{text}");
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
        text.contains("The brownout is for 4 calls of 3 callers."),
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

    // A callers file names the callers of lines that were written before it.
    std::fs::write(
        folder.path().join("callers.toml"),
        "[[caller]]\nname = \"shop\"\nuser = 7\n",
    )
    .expect("written");
    let words = [
        "brownout",
        "--caller",
        "shop",
        "--callers",
        "callers.toml",
        "--dry-run",
        "--log",
        "events.log",
    ];
    let named = said(folder.path(), &words);
    assert!(
        named.contains("The brownout is for 2 calls of 1 caller."),
        "{named}"
    );

    // Several logs; one that is none.
    let more = |log: &str| {
        let words = [
            "brownout",
            "--rule",
            reset,
            "--dry-run",
            "--log",
            "events.log",
            log,
        ];
        run(folder.path(), &words)
    };
    std::fs::write(folder.path().join("more.log"), line("12:00", "9", reset)).expect("written");
    std::fs::write(folder.path().join("none.log"), "GET / 200\n").expect("written");
    std::fs::write(folder.path().join("empty.log"), "").expect("written");
    let several = String::from_utf8_lossy(&more("more.log").stdout).into_owned();
    assert!(
        several.contains("The log has 6 deprecated calls"),
        "{several}"
    );
    let several = String::from_utf8_lossy(&more("empty.log").stdout).into_owned();
    assert!(
        several.contains("The log has 5 deprecated calls"),
        "{several}"
    );
    let wrong = more("none.log");
    assert_eq!(wrong.status.code(), Some(2));
    let said_of_it = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        said_of_it.starts_with("none.log is not a deprecation log: of 1 lines none is an event"),
        "{said_of_it}"
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

#[test]
fn a_brownout_for_a_caller_that_nobody_knows_is_refused() {
    let folder = folder();
    std::fs::write(
        folder.path().join("callers.toml"),
        "[[caller]]\nname = 'Old shop'\nuser = 7\n",
    )
    .expect("written");
    let complaint = |words: &[&str]| {
        let output = run(folder.path(), &[&["brownout", "--caller"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(
        complaint(&["Nobody"]),
        "--caller: nothing gives the caller \"Nobody\" its name; name a callers file with --callers\n"
    );
    assert_eq!(
        complaint(&["Old shp", "--callers", "callers.toml"]),
        "--caller: the callers file has no caller \"Old shp\"; did you mean \"Old shop\"?\n"
    );
    let line = "{\"timestamp\":\"2026-12-01T09:00:00.000Z\",\"event\":\"deprecated_call\",\"schema\":1,\"request_id\":\"r\",\
                \"method\":\"crm.lead.list\",\"action\":\"observed\",\"caller\":{\"key\":\"webhook:7\",\"name\":\"Old shop\",\
                \"auth\":\"webhook\",\"user\":\"7\"}}\n";
    std::fs::write(folder.path().join("events.log"), line).expect("written");
    let in_log = ["--dry-run", "--log", "events.log"];
    assert_eq!(
        complaint(&[&["Nobody"], &in_log[..]].concat()),
        "--caller: the log knows no caller \"Nobody\"\n"
    );
    for words in [
        [&["Old shop"], &in_log[..]].concat(),
        vec!["Old shop", "--callers", "callers.toml"],
    ] {
        let text = said(
            folder.path(),
            &[&["brownout", "--caller"], &words[..]].concat(),
        );
        assert!(text.contains("caller = \"Old shop\""), "{text}");
    }
}

#[test]
fn a_successor_is_said_to_be_one_and_a_misspelt_method_is_told_the_nearest() {
    let folder = folder();
    let output = run(
        folder.path(),
        &["rules", "crm.item.details.configuration.get"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "crm.item.details.configuration.get is not deprecated: it is the successor of crm.lead.details.configuration.get, \
         crm.deal.details.configuration.get, crm.contact.details.configuration.get, crm.company.details.configuration.get\n"
    );
    let text = said(folder.path(), &["translate", "crm.laed.list"]);
    assert!(text.contains("Did you mean crm.lead.list?"), "{text}");
    let text = said(
        folder.path(),
        &["translate", "crm.item.details.configuration.get"],
    );
    assert!(text.contains("It is the successor of crm.lead."), "{text}");
    let text = said(folder.path(), &["translate", "user.current"]);
    assert!(!text.contains("Did you mean"), "{text}");
}

#[test]
fn what_is_strange_about_a_rule_is_a_warning_and_no_failure() {
    let folder = folder();
    let file = "[\n{\"method\": \"a.b\", \"successor\": \"A.B\"},\n {\"method\": \"crm.lead.list\", \"successor\": \
                \"crm.item.list\", \"examples\": [{\"says\": \"x\", \"call\": {\"target\": \"crm.lead.list\"}, \"becomes\": \
                {\"target\": \"crm.item.list\"}}]},\n{\"method\": \"c.d\", \"watched\": true}]";
    std::fs::write(folder.path().join("odd.json"), file).expect("written");
    let text = said(folder.path(), &["rules", "check", "odd.json"]);
    for line in [
        "odd.json:2:1: warning: a.b: no example shows what it does",
        "odd.json:2:1: warning: a.b: its successor is the method itself",
        "odd.json:3:2: warning: crm.lead.list: the catalogue only watches it",
        "... ok\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.ends_with("3 warnings, 1 passed, 0 failed\n"), "{text}");
}

#[test]
fn the_language_of_rule_files_does_what_its_examples_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = said(root, &["rules", "check", "tests/rules/language.json"]);
    assert!(text.ends_with("30 passed, 0 failed\n"), "{text}");
}

#[test]
fn every_rule_in_the_documentation_works() {
    let folder = folder();
    let text = include_str!("../../docs/RULES.md");
    let files: Vec<&str> = text
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(files.len(), 4);
    for file in files {
        std::fs::write(folder.path().join("my-rules.json"), file).expect("written");
        let text = said(folder.path(), &["rules", "check", "my-rules.json"]);
        assert!(
            text.ends_with(" 0 failed\n")
                && (text.contains("... ok") || file.contains("migration")),
            "{text}"
        );
    }
}

#[test]
fn every_mode_in_the_documentation_is_one() {
    let folder = folder();
    let text = include_str!("../../docs/LADDER.md");
    let config = text
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    std::fs::write(
        folder.path().join("ladder.toml"),
        config.expect("an example"),
    )
    .expect("written");
    let rules = said(
        folder.path(),
        &["rules", "--config", "ladder.toml", "crm.invoice.add"],
    );
    assert!(
        rules.contains("sunset        2027-03-01T00:00:00Z"),
        "{rules}"
    );
}

#[test]
fn an_example_that_fails_is_status_1_and_shows_what_came_out() {
    let folder = folder();
    let file = r#"[{"method": "a.b", "successor": "c.d", "examples": [{"says": "it is kept",
        "call": {"target": "a.b?x=1"}, "becomes": {"target": "c.d?x=2"}}]}]"#;
    std::fs::write(folder.path().join("wrong.json"), file).expect("written");
    let output = run(folder.path(), &["rules", "check", "wrong.json"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains(
            "it is kept ... FAILED\n  target   /rest/c.d?x=1\n  expected /rest/c.d?x=2\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("0 passed, 1 failed\n"), "{text}");
}

#[test]
fn a_wrong_rule_file_is_one_line_with_its_place_for_every_command_that_reads_it() {
    let folder = folder();
    std::fs::write(
        folder.path().join("wrong.json"),
        "[\n {\"method\": \"a\", \"sucessor\": \"b\"}]",
    )
    .expect("written");
    let upstream = "--upstream=https://x.bitrix24.com";
    for words in [
        ["rules", "check", "wrong.json"].as_slice(),
        &["rules", "--rules", "wrong.json"],
        &["check", "--rules", "wrong.json", upstream],
        &[
            "serve",
            "--rules",
            "wrong.json",
            upstream,
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
        ],
    ] {
        let output = run(folder.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.starts_with("wrong.json:2:"), "{error}");
        assert!(error.contains("did you mean \"successor\"?"), "{error}");
    }
}

#[test]
fn own_rules_are_listed_and_win_over_those_that_ship() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = [
        "rules",
        "--rules",
        "tests/rules/language.json",
        "crm.lead.list",
    ];
    let text = said(root, &words);
    assert!(
        text.contains("crm.lead.list  → my.lead.list") && text.contains("translated"),
        "{text}"
    );
    let text = said(
        root,
        &[
            "rules",
            "--rules",
            "tests/rules/language.json",
            "old.nested",
        ],
    );
    assert!(text.contains("sets fields.meta.version to 2"), "{text}");
}

#[test]
fn the_schema_names_every_key_of_a_rule() {
    let folder = folder();
    let schema: Value =
        serde_json::from_str(&said(folder.path(), &["rules", "schema"])).expect("JSON");
    let keys = schema["$defs"]["rule"]["properties"]
        .as_object()
        .expect("an object");
    let known = b24_migration_proxy::catalogue::file::KEYS;
    assert_eq!(keys.len(), known.len());
    assert!(known.iter().all(|key| keys.contains_key(*key)));
}

/// Rule files that are right, and some that are wrong in one thing each.
fn rule_files() -> Vec<String> {
    let documented = include_str!("../../docs/RULES.md")
        .split("```json\n")
        .skip(1);
    let documented = documented.filter_map(|rest| rest.split("```").next());
    let mut files: Vec<String> = documented.map(str::to_owned).collect();
    files.push(include_str!("../rules/language.json").to_owned());
    let whole = [
        "[]",
        "{}",
        "17",
        r#"{"rules": []}"#,
        r#"{"rules": [], "comment": "x", "$schema": "y"}"#,
        r#"{"rules": [], "rule": []}"#,
        r#"[{"method": "a"}]"#,
        r#"[{"method": "a", "watched": true}]"#,
        r#"[{"method": "a", "watched": false}]"#,
        r#"[{"method": "a", "watched": true, "set": []}]"#,
        r#"[{"method": "a", "watched": true, "set": [{"name": "x", "to": 1}]}]"#,
        r#"[{"method": "a.xml", "successor": "b"}]"#,
        r#"[{"method": "json", "successor": "b"}]"#,
        r#"[{"method": "a", "successor": "Batch"}]"#,
        r#"[{"method": "a..b", "successor": "b"}]"#,
        r#"[{"method": "", "successor": "b"}]"#,
    ];
    files.extend(whole.map(str::to_owned));
    let parts = [
        r#""sucessor": "b""#,
        r#""read_only": "yes""#,
        r#""deprecated": "soon""#,
        r#""deprecated": "2026-02-04""#,
        r#""documentation": "api-reference/x""#,
        r#""documentation": "https://apidocs.bitrix24.com/api-reference/x.html""#,
        r#""documentation": "https://example.com/x""#,
        r#""documentation": "/x""#,
        r#""set": [{"name": "x", "to": null}]"#,
        r#""set": [{"name": "x", "to": "y.z"}]"#,
        r#""set": [{"name": "x.y", "to": 1}]"#,
        r#""set": [{"name": "x.y", "to": 1, "inside": []}]"#,
        r#""set": [{"name": "x.y", "to": 1, "inside": ["z"]}]"#,
        r#""set": [{"name": "x", "to": 1, "inside": ["y.z"]}]"#,
        r#""set": [{"name": "x", "to": 1, "inside": ["y", ["z.z", "Z"]]}]"#,
        r#""set": [{"name": "x", "to": 1, "inside": [["y", "y.z"]]}]"#,
        r#""set": [{"name": "x", "to": 1, "inside": "y"}]"#,
        r#""set": [{"name": "x", "to": 1, "inside": [[]]}]"#,
        r#""set": [{"name": "x", "to": 1, "instead_of": "y"}]"#,
        r#""set": [{"name": "x", "to": 1, "instead_of": ["y.z"]}]"#,
        r#""set": [{"name": "x"}]"#,
        r#""set": {"name": "x", "to": 1}"#,
        r#""set": [{"name": "7", "to": 1}]"#,
        r#""set": [{"name": "07", "to": 1}]"#,
        r#""set": [{"name": "é", "to": 1}]"#,
        r#""set": [{"name": "a b", "to": 1}]"#,
        r#""set": [{"name": "a[b]", "to": 1}]"#,
        r#""set": [{"name": "a-b!$()*,/:<>@^_`{|}~", "to": 1}]"#,
        r#""set": [{"name": "__Host-x", "to": 1}]"#,
        r#""rename": [{"from": [], "to": "x"}]"#,
        r#""rename": [{"from": "x", "to": "y.z"}]"#,
        r#""rename": [{"from": "x", "to": "y.z", "inside": ["w"]}]"#,
        r#""rename": [{"from": "x", "to": "y", "yields_to": ["y.z"]}]"#,
        r#""rename": [{"from": "x", "to": "y", "yield_to": ["z"]}]"#,
        r#""map": [{"name": "x", "values": {"1": {}}}]"#,
        r#""map": [{"name": "x", "values": {"1": 2.5}}]"#,
        r#""remove": [{"name": "x", "when": {"name": "y.z"}}]"#,
        r#""remove": [{"name": "x", "when": {"name": "y", "is": [null]}}]"#,
        r#""remove": [{"name": "x", "when": {"name": "y", "is": ["1", 1, true]}}]"#,
        r#""remove": [{"name": 7}]"#,
        r#""migration": {}"#,
        r#""migration": {"rights": "x", "scope": null, "paging": "same", "rest_version": 3, "equal": true}"#,
        r#""migration": {"scope": {"legacy": "crm", "successor": "im"}, "set": {"a": 1}, "rename": {"b": "c"}}"#,
        r#""migration": {"field_names": {"A": "a", "B": null}, "types": ["x"], "lost": ["D"], "page": "a/b"}"#,
        r#""migration": {"right": "x"}"#,
        r#""migration": {"rights": 7}"#,
        r#""migration": {"paging": "none"}"#,
        r#""migration": {"types": "x"}"#,
        r#""migration": {"scope": {"legacy": "crm"}}"#,
        r#""migration": {"page": "https://example.com/x"}"#,
        r#""migration": {"successor": ["b.json"]}"#,
        r#""migration": []"#,
        r#""examples": [{"says": "x", "call": {"target": "a"}}]"#,
        r#""examples": [{"says": "x", "call": {"target": "a"}, "becomes": {"target": "b", "body": [1]}}]"#,
    ];
    files.extend(parts.map(|part| format!(r#"[{{"method": "a", "successor": "b", {part}}}]"#)));
    files
}

#[test]
fn the_schema_takes_the_rule_files_that_the_program_takes() {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk/python");
    if !python.join("lib").exists() || !has_validator(&python) {
        eprintln!("skipped: jsonschema is not installed; tests/sdk/install.sh does it");
        return;
    }
    let folder = folder();
    let files = rule_files();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(
        path("schema.json"),
        said(folder.path(), &["rules", "schema"]),
    )
    .expect("written");
    std::fs::write(
        path("files.json"),
        serde_json::to_string(&files).expect("JSON"),
    )
    .expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/schema.py");
    let output = Command::new(python.join("bin/python"))
        .arg(script)
        .args([path("schema.json"), path("files.json")])
        .output()
        .expect("it runs");
    let valid: Vec<bool> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&output.stderr)));
    for (file, valid) in files.iter().zip(valid) {
        let read = b24_migration_proxy::catalogue::file::read(file);
        assert_eq!(valid, read.is_ok(), "{file}: {read:?}");
    }
}

fn has_validator(python: &Path) -> bool {
    let imports = Command::new(python.join("bin/python"))
        .args(["-c", "import jsonschema"])
        .output();
    imports.is_ok_and(|output| output.status.success())
}

#[test]
fn every_command_that_knows_rules_takes_those_of_ones_own() {
    let folder = folder();
    let file =
        r#"[{"method": "old.method", "successor": "new.method", "remove": [{"name": "x"}]}]"#;
    std::fs::write(folder.path().join("my-rules.json"), file).expect("written");
    std::fs::write(folder.path().join("a.php"), "<?php call('old.method');").expect("written");
    let own = ["--rules", "my-rules.json"];
    let text = said(
        folder.path(),
        &[&["translate", "old.method?x=1&y=2"][..], &own].concat(),
    );
    assert!(text.contains("new.method?y=2"), "{text}");
    let text = said(folder.path(), &[&["scan", "a.php"][..], &own].concat());
    assert!(
        text.contains("a.php:1:13  old.method  new.method"),
        "{text}"
    );
    let text = said(
        folder.path(),
        &[&["brownout", "--rule", "old.method"][..], &own].concat(),
    );
    assert!(text.contains("rule = [\"old.method\"]"), "{text}");
}
