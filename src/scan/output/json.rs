//! JSON for programs: one object, whose members only ever grow.

use serde_json::{Value, json};

use super::{Findings, escaped, plain};

/// The whole report, with a line end.
pub fn json(outcome: &Findings<'_>) -> String {
    let found: Vec<Value> = outcome
        .report
        .found
        .iter()
        .map(|found| {
            let known = &outcome.known[found.known];
            let mut row = json!({
                "file": plain(&found.path),
                "line": found.place.line,
                "column": found.place.column,
                "end_column": found.place.end_column,
                "method": known.method,
                "successor": known.successor,
                "needs": known.needs.trim_start_matches([';', ' ']),
                "translated": known.translated,
                "documentation": known.documentation,
                "successor_documentation": known.successor_documentation,
                "joined": found.joined,
            });
            if let Some(log) = outcome.log {
                row["seen"] = match log.of(&known.method) {
                    Some(seen) => json!({
                        "calls": seen.calls,
                        "callers": seen.callers,
                        "last": seen.last,
                    }),
                    None => Value::Null,
                };
            }
            row
        })
        .collect();
    let unseen: Vec<Value> = outcome
        .report
        .unseen
        .iter()
        .map(|unseen| {
            json!({
                "file": plain(&unseen.path),
                "line": unseen.place.line,
                "column": unseen.place.column,
                "kind": unseen.why.word(),
                "text": unseen.why.text(outcome.known),
            })
        })
        .collect();
    let skipped: Vec<Value> = outcome
        .report
        .skipped
        .iter()
        .map(|(path, reason)| json!({ "file": plain(path), "reason": reason }))
        .collect();
    let mut whole = json!({
        "schema": 1,
        "found": found,
        "unseen": unseen,
        "skipped": skipped,
        "searched_files": outcome.report.searched,
        "binary_files": outcome.report.binary,
    });
    if outcome.log.is_some() {
        whole["called_from_elsewhere"] = json!(outcome.called_from_elsewhere());
    }
    escaped(&whole)
}
