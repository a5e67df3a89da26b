//! SARIF 2.1.0, which code scanning services read. A finding is a warning under its method's rule; a place that could not
//! be judged is a result of kind `review`, for a person to look at.

use std::collections::BTreeSet;
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Findings, escaped, plain, sentence, shown};
use crate::scan::Place;

/// The rule of places that could not be judged.
const UNSEEN: &str = "method-not-visible";

/// What cannot stand in a relative URI's path.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A log file with one run, with a line end.
pub fn sarif(outcome: &Findings<'_>) -> String {
    let used: Vec<usize> = outcome
        .report
        .found
        .iter()
        .map(|found| found.known)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut rules: Vec<Value> = used.iter().map(|known| rule(outcome, *known)).collect();
    if !outcome.report.unseen.is_empty() {
        rules.push(json!({
            "id": UNSEEN,
            "shortDescription": { "text": "A call whose Bitrix24 method a text search cannot tell" },
            "defaultConfiguration": { "level": "none" },
        }));
    }
    let mut results = Vec::new();
    for found in &outcome.report.found {
        let known = &outcome.known[found.known];
        let mut result = json!({
            "ruleId": known.method,
            "ruleIndex": used.binary_search(&found.known).unwrap_or_default(),
            "level": "warning",
            "message": { "text": format!("{}.", sentence(known)) },
            "locations": [location(&found.path, found.place)],
            "partialFingerprints": { "method/v1": known.method },
        });
        if let Some(seen) = outcome.log.and_then(|log| log.of(&known.method)) {
            result["properties"] = json!({
                "calls": seen.calls,
                "callers": seen.callers,
                "lastCall": seen.last,
            });
        }
        results.push(result);
    }
    for unseen in &outcome.report.unseen {
        results.push(json!({
            "ruleId": UNSEEN,
            "ruleIndex": rules.len() - 1,
            "kind": "review",
            "level": "none",
            "message": { "text": format!("Look here: {}.", unseen.why.text(outcome.known)) },
            "locations": [location(&unseen.path, unseen.place)],
        }));
    }
    let notifications: Vec<Value> = outcome
        .report
        .skipped
        .iter()
        .map(|(path, reason)| {
            json!({
                "level": "warning",
                "message": { "text": format!("{} was not searched: {reason}", shown(path)) },
            })
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    escaped(&log)
}

fn rule(outcome: &Findings<'_>, known: usize) -> Value {
    let known = &outcome.known[known];
    let mut rule = json!({
        "id": known.method,
        "shortDescription": { "text": format!("The Bitrix24 method {} is deprecated", known.method) },
        "help": { "text": format!("{}.", sentence(known)), "markdown": known.advice },
        "defaultConfiguration": { "level": "warning" },
        "properties": { "translated": known.translated, "successor": known.successor },
    });
    if let Some(documentation) = &known.documentation {
        rule["helpUri"] = json!(documentation);
    }
    rule
}

fn location(path: &Path, place: Place) -> Value {
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(path) },
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": place.end_column,
        },
    }})
}

/// A relative path as a relative reference, an absolute one as a `file` URI.
fn uri(path: &Path) -> String {
    let path = plain(path);
    let encoded = utf8_percent_encode(&path, PATH).to_string();
    if encoded.starts_with('/') {
        format!("file://{encoded}")
    } else if encoded
        .split('/')
        .next()
        .is_some_and(|first| first.contains(':'))
    {
        format!("./{encoded}")
    } else {
        encoded
    }
}
