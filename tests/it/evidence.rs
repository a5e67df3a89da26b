//! `report`, `callers suggest` and `prove-zero` as a user meets them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use b24_migration_proxy::sandbox::SandboxConfig;

use super::support::sandbox;

const RESET: &str = "crm.lead.details.configuration.reset";

fn run(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("B24_PROXY_") {
            command.env_remove(name);
        }
    }
    let command = command
        .current_dir(folder)
        .args(words)
        .envs(variables.iter().copied());
    command.output().expect("the program runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn line(at: &str, user: u64, method: &str, action: &str) -> String {
    format!(
        "{{\"schema\":1,\"timestamp\":\"2026-11-{at}.000Z\",\"event\":\"deprecated_call\",\"method\":\"{method}\",\
         \"action\":\"{action}\",\"caller\":{{\"key\":\"webhook:p:{user}:000000000000000{user}\",\"auth\":\"webhook\",\
         \"user\":\"{user}\",\"fingerprint\":\"000000000000000{user}\",\"user_agent\":\"curl/8\"}}}}\n"
    )
}

/// Two days of calls in a rotated and a current file, and a callers file that names one of two callers.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write(
        "log.1",
        &[
            line("01T10:00:00", 1, RESET, "rewritten"),
            line("01T11:00:00", 2, RESET, "refused"),
        ]
        .concat(),
    );
    write(
        "log",
        &format!(
            "{}torn\n{}",
            line("02T10:00:00", 1, RESET, "rewritten"),
            line("02T11:00:00", 1, "crm.lead.list", "observed")
        ),
    );
    write(
        "callers.toml",
        "[[caller]]\nname = \"shop\"\nuser = 1\nowner = \"Ann\"\nmigrated = 2026-11-01\n",
    );
    folder
}

#[test]
fn a_report_says_who_calls_what_in_every_format() {
    let folder = folder();
    let report = |words: &[&str]| {
        let output = run(
            folder.path(),
            &[
                &["report", "--callers", "callers.toml", "log", "log.1"],
                words,
            ]
            .concat(),
            &[],
        );
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        out(&output)
    };
    let whole: Value = serde_json::from_str(&report(&["--format", "json"])).expect("JSON");
    let rows = whole["rows"].as_array().expect("rows");
    let shown: Vec<(Option<&str>, &str, u64)> = rows
        .iter()
        .map(|row| {
            (
                row["caller"]["name"].as_str(),
                row["method"].as_str().unwrap(),
                row["calls"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (None, RESET, 1),
            (Some("shop"), RESET, 2),
            (Some("shop"), "crm.lead.list", 1)
        ]
    );
    assert_eq!(rows[1]["caller"]["state"], "regressed");
    assert_eq!(
        rows[1]["days"],
        serde_json::json!({"2026-11-01": 1, "2026-11-02": 1})
    );
    assert_eq!(
        whole["lines"],
        serde_json::json!({"read": 5, "events": 4, "skipped": 1})
    );
    let csv = report(&[
        "--format",
        "csv",
        "--since",
        "2026-11-02",
        "--method",
        RESET,
    ]);
    assert_eq!(
        csv,
        "caller,name,owner,method,replacement,calls,rewritten,observed,refused,errors,first,last\n\
         webhook:p:1:0000000000000001,shop,Ann,crm.lead.details.configuration.reset,,1,1,0,0,0,2026-11-02T10:00:00.000Z,2026-11-02T10:00:00.000Z\n"
    );
    let table = report(&[]);
    assert!(table.contains("2026-11-02  2\n"), "{table}");
    assert!(
        table.contains("4 calls of 2 callers; 5 lines read, 1 skipped."),
        "{table}"
    );
    assert!(
        report(&["--format", "markdown", "--caller", "shop"])
            .contains("| shop | Ann | regressed |")
    );
}

#[test]
fn suggested_entries_can_be_appended_and_name_everybody() {
    let folder = folder();
    let output = run(
        folder.path(),
        &[
            "callers",
            "suggest",
            "--callers",
            "callers.toml",
            "log",
            "log.1",
        ],
        &[],
    );
    let text = out(&output);
    assert!(
        text.contains("[[caller]]\nname = \"user-2-000000\"\nfingerprint = \"0000000000000002\"\n"),
        "{text}"
    );
    let file = folder.path().join("callers.toml");
    let before = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, before + &text).expect("written");
    let again = run(
        folder.path(),
        &[
            "callers",
            "suggest",
            "--callers",
            "callers.toml",
            "log",
            "log.1",
        ],
        &[],
    );
    assert_eq!((out(&again), again.status.code()), (String::new(), Some(0)));
}

#[test]
fn a_portal_names_its_webhooks_users_and_the_webhook_is_shown_nowhere() {
    let folder = folder();
    let portal = sandbox::start(SandboxConfig::default());
    let webhook = format!("{}/rest/1/sandboxcode/", portal.sandbox.url());
    let words = ["callers", "suggest", "--ask-portal", "log.1"];
    let output = run(
        folder.path(),
        &words,
        &[("B24_PROXY_ASK_WEBHOOK", &webhook)],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        out(&output).contains("name = \"Sandbox "),
        "{}",
        out(&output)
    );
    for (webhook, problem) in [
        (
            None,
            "--ask-portal needs a webhook in B24_PROXY_ASK_WEBHOOK",
        ),
        (
            Some("s3cr3t"),
            "B24_PROXY_ASK_WEBHOOK is not the address of a webhook",
        ),
        (
            Some("http://127.0.0.1:1/rest/1/s3cr3tcode/"),
            "the portal 127.0.0.1 does not answer: connection refused",
        ),
        (
            Some(&webhook.replace("sandboxcode", "s3cr3tcode")),
            "the portal 127.0.0.1 refuses user.get (401 INVALID_CREDENTIALS)",
        ),
    ] {
        let variables: Vec<_> = webhook
            .map(|webhook| ("B24_PROXY_ASK_WEBHOOK", webhook))
            .into_iter()
            .collect();
        let output = run(folder.path(), &words, &variables);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).starts_with(problem), "{}", said(&output));
        assert!(!said(&output).contains("s3cr3t") && said(&output).lines().count() == 1);
    }
}

#[test]
fn what_cannot_be_meant_is_one_line_and_status_2() {
    let folder = folder();
    for (words, problem) in [
        (
            &["report", "nowhere"][..],
            "cannot read nowhere: no such file",
        ),
        (
            &["report", "callers.toml"],
            "callers.toml is not a deprecation log",
        ),
        (
            &["report", "--since", "soon", "log"],
            "--since: `soon` is not a date",
        ),
        (
            &["report", "--method", "a b", "log"],
            "--method: `a b` is not a method",
        ),
        (&["report", "--callers", "log", "log"], "log:1:"),
        (
            &[
                "report",
                "--since",
                "2026-11-02",
                "--until",
                "2026-11-01",
                "log",
            ],
            "--since is later than --until",
        ),
        (
            &["prove-zero", "--method", "crm.laed.list", "log"],
            "--method: no rule knows crm.laed.list",
        ),
        (
            &["prove-zero", "--until", "2999-01-01", "log"],
            "--until: it has not come yet",
        ),
        (&["prove-zero", "log", "nowhere"], "cannot read nowhere"),
    ] {
        let output = run(folder.path(), words, &[]);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(
            said(&output).starts_with(problem),
            "{words:?}: {}",
            said(&output)
        );
        assert_eq!(
            said(&output).lines().count(),
            1,
            "{words:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_log_without_heartbeats_proves_nothing_and_shows_who_calls() {
    let folder = folder();
    let ask = |words: &[&str]| {
        let words = [
            &[
                "prove-zero",
                "--since",
                "2026-11-01",
                "--until",
                "2026-11-02",
                "log",
                "log.1",
            ],
            words,
        ]
        .concat();
        run(folder.path(), &words, &[])
    };
    let used = ask(&["--format", "json"]);
    assert_eq!(used.status.code(), Some(1), "{}", said(&used));
    let whole: Value = serde_json::from_slice(&used.stdout).expect("JSON");
    assert_eq!(whole["used"].as_array().map(Vec::len), Some(2));
    assert!(
        whole["holes"][0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("no start, heartbeat or stop")),
        "{whole}"
    );
    let unknown = ask(&["--method", "crm.lead.add"]);
    assert_eq!(unknown.status.code(), Some(2));
    let text = out(&unknown);
    assert!(
        text.starts_with("NOT PROVED: nobody can tell.\n")
            && text.contains("go through these proxies"),
        "{text}"
    );
}
