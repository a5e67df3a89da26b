//! A table for a terminal: what to change, then what could not be judged, then what was searched.

use std::fmt::Write;

use super::{Findings, shown};
use crate::columns::{GAP, fit, fold};

/// So many places that could not be judged are listed; the other formats have all.
const LISTED: usize = 50;

/// The report as columns, and what it does not cover.
pub fn table(outcome: &Findings<'_>) -> String {
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
    let sum = format!(
        "{} of {} and {} to look at in {} searched{}",
        count(report.found.len(), "line"),
        count(methods, "deprecated method"),
        count(report.unseen.len(), "place"),
        count(report.searched as usize, "file"),
        match report.binary {
            0 => String::new(),
            binary => format!(", {binary} without text passed over"),
        }
    );
    for piece in fold(&sum, outcome.width.unwrap_or(usize::MAX)) {
        let _ = writeln!(out, "{piece}");
    }
    out
}

fn rows(outcome: &Findings<'_>, out: &mut String) {
    let mut header = vec!["WHERE", "METHOD", "CALL INSTEAD", "TRANSLATED"];
    if outcome.log.is_some() {
        header.push("SEEN");
    }
    header.push("DOCUMENTATION");
    let mut lines = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for found in &outcome.report.found {
        let known = &outcome.known[found.known];
        let mut line = vec![
            format!(
                "{}:{}:{}",
                shown(&found.path),
                found.place.line,
                found.place.column
            ),
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
    let widest = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let natural: Vec<usize> = (0..columns).map(widest).collect();
    let total = natural.iter().map(|width| width + GAP).sum::<usize>() - GAP;
    // An address is copied whole: in a narrow terminal it gets a line of its own.
    let apart = outcome.width.is_some_and(|room| total > room);
    let widths = match apart {
        true => fit(&natural[..columns - 1], outcome.width),
        false => natural,
    };
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<Vec<&str>> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| fold(cell, *width))
            .collect();
        for row in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut text = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                let piece = cell.get(row).copied().unwrap_or_default();
                let _ = write!(text, "{piece:width$}{:GAP$}", "");
            }
            let _ = writeln!(out, "{}", text.trim_end());
        }
        match line.last() {
            Some(page) if apart && number > 0 && page != "-" => {
                let _ = writeln!(out, "  {page}");
            }
            _ => {}
        }
    }
    out.push('\n');
}

fn unseen(outcome: &Findings<'_>, out: &mut String) {
    let unseen = &outcome.report.unseen;
    let _ = writeln!(
        out,
        "A text search cannot tell what is called here; look at {}:",
        if unseen.len() == 1 { "it" } else { "them" }
    );
    for place in unseen.iter().take(LISTED) {
        let (line, column) = (place.place.line, place.place.column);
        let at = format!("{}:{line}:{column}", shown(&place.path));
        let why = place.why.text(outcome.known);
        match outcome.width {
            Some(room) if at.chars().count() + why.chars().count() + 4 > room => {
                let _ = writeln!(out, "  {at}");
                for piece in fold(&why, room.saturating_sub(6)) {
                    let _ = writeln!(out, "      {piece}");
                }
            }
            _ => {
                let _ = writeln!(out, "  {at}  {why}");
            }
        }
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
