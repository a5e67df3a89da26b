//! Output as a person reads it: in a pseudo-terminal of util-linux' `script`, whose width `stty` sets.

use std::path::Path;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_b24-migration-proxy");

/// A log of one call by a named caller, and what reads it or writes more than a line.
fn commands(folder: &Path) -> Vec<String> {
    let log = folder.join("deprecations.jsonl");
    let event = r#"{"schema":1,"timestamp":"2026-11-30T09:00:00.000Z","event":"deprecated_call","request_id":"1","rule":"crm.lead.details.configuration.forceCommonScopeForAll","method":"crm.lead.details.configuration.forceCommonScopeForAll","replacement":"crm.item.details.configuration.forceCommonScopeForAll","action":"rewritten","mode":"rewrite","encoding":"json","changes":["entityTypeId is set to 1"],"target":"/rest/7/***/crm.lead.details.configuration.forceCommonScopeForAll","caller":{"key":"webhook:example.bitrix24.com:7:0123456789abcdef","name":"Online shop","auth":"webhook","user":"7","fingerprint":"0123456789abcdef","address":"192.0.2.7"},"status":200,"duration_ms":4.2,"instance":"pod-1"}"#;
    std::fs::write(&log, format!("{event}\n")).expect("a log");
    let code = folder.join("shop.php");
    std::fs::write(
        &code,
        "<?php CRest::call('crm.lead.details.configuration.reset'); CRest::call('crm.lead.' . $action);",
    )
    .expect("a source file");
    let (log, code) = (log.display(), code.display());
    vec![
        format!("report {log}"),
        format!("prove-zero --days 30 {log}"),
        format!("prove-zero --method 'crm.invoice.*' {log}"),
        format!("brownout --caller 'Online shop' --dry-run --log {log}"),
        format!("scan {code}"),
        "rules".to_owned(),
        "rules crm.lead.list".to_owned(),
        "translate /rest/1/abc/crm.lead.details.configuration.forceCommonScopeForAll".to_owned(),
        "check --upstream https://example.bitrix24.com".to_owned(),
        "--help".to_owned(),
        "serve --help".to_owned(),
    ]
}

/// What the command writes in a terminal of this width, or nothing where there is no `script`.
fn in_terminal(command: &str, columns: usize, variables: &[(&str, &str)]) -> Option<String> {
    // Without rows clap takes it for no terminal.
    let line = format!("stty rows 40 cols {columns}; exec {BINARY} {command}");
    let run = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output();
    let Ok(run) = run else {
        eprintln!("skipped: there is no script on this machine (apt-get install bsdutils)");
        return None;
    };
    Some(
        String::from_utf8(run.stdout)
            .expect("UTF-8")
            .replace('\r', ""),
    )
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once('m').map_or(part, |(_, rest)| rest);
    }
    plain
}

#[test]
fn no_line_is_wider_than_the_terminal_but_addresses_and_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut wide = Vec::new();
    for command in commands(folder.path()) {
        for columns in [80, 120] {
            let Some(text) = in_terminal(&command, columns, &[]) else {
                return;
            };
            assert!(text.lines().count() > 3, "{command}: {text}");
            for line in without_colours(&text).lines() {
                // An address and an example are copied whole, and the bytes of a call are shown as they are.
                let whole = line.contains("https://apidocs.")
                    || line.contains("/rest/")
                    || line.starts_with("  b24-migration-proxy ");
                if line.chars().count() > columns && !whole {
                    wide.push(format!("{command} at {columns}: {line}"));
                }
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn colours_are_for_a_terminal_that_wants_them() {
    let command = "rules crm.lead.list";
    let Some(text) = in_terminal(command, 80, &[]) else {
        return;
    };
    assert!(text.contains("\u{1b}[1m"), "{text:?}");
    for unwanted in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let text = in_terminal(command, 80, &[unwanted]).expect("a terminal");
        assert!(!text.contains('\u{1b}'), "{unwanted:?}: {text:?}");
        assert!(text.starts_with("crm.lead.list"), "{unwanted:?}: {text:?}");
    }
    // An empty NO_COLOR asks for nothing.
    let text = in_terminal(command, 80, &[("NO_COLOR", "")]).expect("a terminal");
    assert!(text.contains("\u{1b}[1m"), "{text:?}");
    let piped = Command::new(BINARY)
        .args(command.split(' '))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .output()
        .expect("the program runs");
    assert!(!piped.stdout.is_empty() && !piped.stdout.contains(&0x1b));
}
