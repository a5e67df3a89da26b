//! Every number of `report` beside a count that shares nothing with it: DuckDB's, over a generated log of a month in many
//! rotated files, plain and compressed, with torn and foreign lines. 16 MiB; with `B24_HEAVY=1` 1 GiB, and its speed.
//!
//! The report reads all of it three times: that takes some seconds.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::support::figure;
use super::support::generated::{DAYS, Generated, Wanted, write};

/// The report may take this much address space, in KiB, however large the log is.
const ROOM: u64 = 256 << 10;

fn is_heavy() -> bool {
    std::env::var_os("B24_HEAVY").is_some()
}

/// A month of so many bytes, a part of it compressed.
fn generated(folder: &Path, bytes: u64) -> Generated {
    write(&Wanted {
        folder,
        bytes,
        seed: 15,
        compressed: 3,
    })
}

fn report(log: &Generated, words: &[&str]) -> Value {
    let binary = std::env::var("B24_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_b24-migration-proxy").to_owned());
    let begin = Instant::now();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -v {ROOM}; exec \"$0\" \"$@\""))
        .arg(binary)
        .args(["report", "--format", "json"])
        .args(words)
        .args(log.files())
        .env_remove("B24_PROXY_CALLERS")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    if is_heavy() {
        figure(
            &format!("report {words:?}"),
            format!("{:.2?}", begin.elapsed()),
        );
    }
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What DuckDB counts.
fn count(python: &Path, question: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/duckdb/count.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(question.to_string().as_bytes())
        .expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{question}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The rows with all that both sides say of them, by caller and method.
fn rows(whole: &Value) -> BTreeMap<String, Value> {
    let rows = whole["rows"].as_array().expect("rows");
    rows.iter()
        .map(|row| {
            // Of the program the caller is an object of its own.
            let caller = row.get("caller").unwrap_or(row);
            let key = match &caller["name"] {
                Value::Null => caller["key"].clone(),
                _ => Value::Null,
            };
            let mut told = json!({"keys": caller["keys"]});
            for field in [
                "replacement",
                "calls",
                "rewritten",
                "observed",
                "refused",
                "errors",
                "first",
                "last",
                "days",
            ] {
                told[field] = row[field].clone();
            }
            (format!("{} {key} {}", caller["name"], row["method"]), told)
        })
        .collect()
}

#[test]
fn every_number_of_a_report_is_the_one_that_duckdb_counts() {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk/duckdb/bin/python");
    if !python.exists() {
        eprintln!("skipped: DuckDB is not installed; tests/sdk/install.sh does it");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let log = generated(folder.path(), if is_heavy() { 1 << 30 } else { 16 << 20 });
    let callers = log.callers.display().to_string();
    let names: BTreeMap<&str, &str> = log
        .names
        .iter()
        .map(|(fingerprint, name)| (&**fingerprint, *name))
        .collect();
    let files: Vec<String> = log
        .files()
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let (since, until) = ("2026-11-05", "2026-11-20T12:30:00Z");
    let key = "none:curl:203.0.113.7";
    let method = "crm.lead.details.configuration.get";
    let narrow = [
        "--callers",
        &callers,
        "--since",
        since,
        "--until",
        until,
        "--method",
        method,
        "--method",
        "crm.lead.list",
        "--action",
        "refused",
        "--action",
        "rewritten",
        "--caller",
        "shop",
        "--caller",
        key,
    ];
    let questions = [
        (&[][..], json!({})),
        (&["--callers", &callers], json!({"names": names})),
        (
            &narrow,
            json!({
                "names": names, "since": "2026-11-05T00:00:00.000Z", "until": "2026-11-20T12:30:00.000Z",
                "methods": [method, "crm.lead.list"], "actions": ["refused", "rewritten"], "callers": ["shop", key],
            }),
        ),
    ];
    let asked: Vec<&Value> = questions.iter().map(|(_, question)| question).collect();
    let counted = count(&python, &json!({"files": files, "questions": asked}));
    for ((words, _), theirs) in questions.iter().zip(counted.as_array().expect("answers")) {
        let ours = report(&log, words);
        let (our_rows, their_rows) = (rows(&ours), rows(theirs));
        assert!(!our_rows.is_empty(), "{words:?}");
        for (row, told) in &our_rows {
            assert_eq!(Some(told), their_rows.get(row), "{words:?}: {row}");
        }
        assert_eq!(our_rows.len(), their_rows.len(), "{words:?}");
        assert_eq!(ours["lines"], theirs["lines"], "{words:?}");
        assert!(ours["lines"]["skipped"].as_u64() >= Some(DAYS / 3));
        figure(
            "rows and lines that DuckDB counts alike",
            format!("{} and {}", our_rows.len(), ours["lines"]["read"]),
        );
    }
}
