//! A table for a terminal: what to change, then what could not be judged, then what was searched.

use std::fmt::Write;

use super::{Outcome, shown};

/// So many places that could not be judged are listed; the other formats have all.
const LISTED: usize = 50;

/// The report as columns, and what it does not cover.
pub fn table(outcome: &Outcome<'_>) -> String {
    let report = outcome.report;
    let mut out = String::new();
    if !report.found.is_empty() {
        rows(outcome, &mut out);
    }
    if !report.unseen.is_empty() {
        unseen(outcome, &mut out);
    }
    for (path, reason) in &report.skipped {
        let _ = writeln!(out, "not searched: {}: {reason}", shown(path));
    }
    let elsewhere = outcome.called_from_elsewhere();
    if !elsewhere.is_empty() {
        let _ = writeln!(
            out,
            "called by the log and named nowhere here: {}",
            elsewhere.join(", ")
        );
    }
    let methods = {
        let mut known: Vec<usize> = report.found.iter().map(|found| found.known).collect();
        known.sort_unstable();
        known.dedup();
        known.len()
    };
    let _ = writeln!(
        out,
        "{} of {} in {} searched{}",
        count(report.found.len(), "line"),
        count(methods, "deprecated method"),
        count(report.searched as usize, "file"),
        match report.binary {
            0 => String::new(),
            binary => format!(", {binary} without text passed over"),
        }
    );
    out
}

fn rows(outcome: &Outcome<'_>, out: &mut String) {
    let mut header = vec!["WHERE", "METHOD", "CALL INSTEAD", "TRANSLATED"];
    if outcome.log.is_some() {
        header.push("SEEN");
    }
    header.push("DOCUMENTATION");
    let mut lines = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for found in &outcome.report.found {
        let known = &outcome.known[found.known];
        let mut line = vec![
            format!("{}:{}", shown(&found.path), found.place.line),
            known.method.clone(),
            known.successor.clone().unwrap_or_else(|| "-".to_owned()),
            if known.translated { "yes" } else { "no" }.to_owned(),
        ];
        if let Some(log) = outcome.log {
            line.push(match log.of(&known.method) {
                Some(seen) => format!(
                    "{} by {}, last {}",
                    count(seen.calls as usize, "call"),
                    count(seen.callers, "caller"),
                    seen.last.get(..10).unwrap_or("?")
                ),
                None => "not seen".to_owned(),
            });
        }
        line.push(
            known
                .documentation
                .clone()
                .unwrap_or_else(|| "-".to_owned()),
        );
        lines.push(line);
    }
    let columns = lines[0].len();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            if column + 1 == columns {
                let _ = writeln!(out, "{cell}");
            } else {
                let _ = write!(out, "{cell:width$}  ", width = widths[column]);
            }
        }
    }
    out.push('\n');
}

fn unseen(outcome: &Outcome<'_>, out: &mut String) {
    let unseen = &outcome.report.unseen;
    let _ = writeln!(
        out,
        "A text search cannot tell what is called here; look at {}:",
        if unseen.len() == 1 { "it" } else { "them" }
    );
    for place in unseen.iter().take(LISTED) {
        let _ = writeln!(
            out,
            "  {}:{}  {}",
            shown(&place.path),
            place.place.line,
            place.why.text(outcome.known)
        );
    }
    if unseen.len() > LISTED {
        let _ = writeln!(
            out,
            "  and {} more; --format json has all",
            unseen.len() - LISTED
        );
    }
    out.push('\n');
}

/// `1 line`, `2 lines`.
fn count(number: usize, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}
