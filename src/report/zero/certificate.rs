//! The verdict as a text to keep: for a terminal, as JSON, as Markdown (pure).

use std::fmt::Write;

use serde::Serialize;

use super::{Hole, Looked, Unread, Used, Verdict};
use crate::report::output::{cell, counted, moment};
use crate::telemetry::reader::{Counts, Totals};

/// What no log of a proxy can show.
const BLIND: &str = "Calls that do not go through these proxies are not seen: those of integrations that still use the \
    portal's own address, and of replicas whose logs are not among the files.";

/// The width of the labels' column in the text.
pub const LABEL: usize = 10;

/// A verdict with what was read for it.
pub struct Certificate<'v> {
    pub verdict: &'v Verdict,
    pub lines: Totals,
    pub files: usize,
    /// The moment of the question, in milliseconds since 1970.
    pub now: u64,
}

#[derive(Serialize)]
struct Whole<'v> {
    proved: bool,
    status: u8,
    answer: String,
    methods: &'v [String],
    since: String,
    until: String,
    used: &'v [Used],
    holes: &'v [Hole],
    unread: &'v [Unread],
    unread_allowed: bool,
    counts: Counts,
    looked: &'v [Looked],
    lines: Totals,
    files: usize,
    made: String,
    version: &'static str,
    cannot_see: &'static str,
}

impl Certificate<'_> {
    /// One object.
    pub fn json(&self) -> String {
        let verdict = self.verdict;
        let whole = Whole {
            proved: verdict.status() == 0,
            status: verdict.status(),
            answer: self.answer(),
            methods: &verdict.methods,
            since: moment(verdict.since),
            until: moment(verdict.until),
            used: &verdict.used,
            holes: &verdict.holes,
            unread: &verdict.unread,
            unread_allowed: verdict.allow_unread,
            counts: verdict.counts,
            looked: &verdict.looked,
            lines: self.lines,
            files: self.files,
            made: moment(self.now),
            version: env!("CARGO_PKG_VERSION"),
            cannot_see: BLIND,
        };
        let mut text = serde_json::to_string_pretty(&whole).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The question in words.
    fn question(&self) -> String {
        match &self.verdict.methods[..] {
            [] => "May the proxy go? Was no call rewritten or refused?".to_owned(),
            methods => format!("Does nobody call {}?", methods.join(", ")),
        }
    }

    /// The verdict in one sentence.
    pub fn answer(&self) -> String {
        let verdict = self.verdict;
        match verdict.status() {
            0 if verdict.methods.is_empty() => {
                "PROVED: no call was rewritten or refused; the proxy may go.".to_owned()
            }
            0 => "PROVED: nobody called it.".to_owned(),
            1 => "NOT ZERO: it is still used.".to_owned(),
            _ => "NOT PROVED: nobody can tell.".to_owned(),
        }
    }

    /// What stands against a proof or limits it, in sentences.
    fn remarks(&self) -> Vec<String> {
        let verdict = self.verdict;
        let mut remarks = Vec::new();
        if verdict.has_no_traffic() {
            remarks.push(
                "No REST call at all was counted: that proves nothing. Does the traffic go through the proxy?".to_owned(),
            );
        }
        let unread = verdict
            .counts
            .unread
            .max(verdict.unread.iter().map(|who| who.calls).sum());
        if unread > 0 {
            let allowed = if verdict.allow_unread {
                "allowed by --allow-unread"
            } else {
                "see who sends them and why, or allow them with --allow-unread"
            };
            remarks.push(format!(
                "{} could not be read; {allowed}.",
                counted(unread, "call")
            ));
        }
        remarks
    }

    fn counts(&self) -> String {
        let counts = self.verdict.counts;
        format!(
            "{} and {} of {}: {} rewritten, {} refused, {} observed, {} unread",
            counted(counts.calls, "call"),
            if counts.batches == 1 {
                "1 batch".to_owned()
            } else {
                format!("{} batches", counts.batches)
            },
            counted(counts.requests, "request"),
            counts.rewritten,
            counts.refused,
            counts.observed,
            counts.unread
        )
    }

    /// Days of the period, with one digit after the point.
    fn length(&self) -> String {
        let tenths = (self.verdict.until - self.verdict.since) / 8_640_000;
        format!("{}.{} days", tenths / 10, tenths % 10)
    }

    /// For a terminal, or a mail.
    pub fn text(&self) -> String {
        let verdict = self.verdict;
        let mut text = format!("{}\n\n", self.answer());
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<LABEL$}{value}");
        };
        line("Question", &self.question());
        let (since, until) = (moment(verdict.since), moment(verdict.until));
        line("Period", &format!("{since} to {until} ({})", self.length()));
        line("Looked at", &self.counts());
        for who in &verdict.looked {
            line("Looked", &looked(who));
        }
        for used in &verdict.used {
            line("Used", &used_by(used));
        }
        for who in &verdict.unread {
            line(
                "Unread",
                &format!(
                    "{}: {}, last {}",
                    who.caller,
                    counted(who.calls, "call"),
                    who.last
                ),
            );
        }
        for hole in &verdict.holes {
            line("Hole", &hole_of(hole));
        }
        for remark in self.remarks() {
            line("Note", &remark);
        }
        line("Blind", BLIND);
        line("Made", &self.made());
        text
    }

    fn made(&self) -> String {
        format!(
            "{} by b24-migration-proxy {} from {} ({} read, {} skipped)",
            moment(self.now),
            env!("CARGO_PKG_VERSION"),
            counted(self.files as u64, "file"),
            counted(self.lines.read, "line"),
            self.lines.skipped
        )
    }

    /// The same for a ticket or a wiki.
    pub fn markdown(&self) -> String {
        let verdict = self.verdict;
        let mut text = format!("# {}\n\n{}\n\n", self.answer(), self.question());
        let (since, until) = (moment(verdict.since), moment(verdict.until));
        let _ = writeln!(text, "- **Period:** {since} to {until} ({})", self.length());
        let _ = writeln!(text, "- **Looked at:** {}", self.counts());
        for remark in self.remarks() {
            let _ = writeln!(text, "- **Note:** {remark}");
        }
        let _ = writeln!(text, "- **Blind:** {BLIND}\n- **Made:** {}", self.made());
        let mut table = |head: &str, rows: Vec<Vec<String>>| {
            if rows.is_empty() {
                return;
            }
            let columns = head.matches('|').count() - 1;
            let _ = writeln!(text, "\n{head}\n|{}", "---|".repeat(columns));
            for row in rows {
                let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        };
        let used = |used: &Used| {
            let who = used.name.clone().unwrap_or_else(|| used.caller.clone());
            let owner = used.owner.clone().unwrap_or_default();
            vec![
                who,
                owner,
                used.method.clone(),
                used.calls.to_string(),
                used.last.clone(),
            ]
        };
        table(
            "| still used by | owner | method | calls | last |",
            verdict.used.iter().map(used).collect(),
        );
        let unread =
            |who: &Unread| vec![who.caller.clone(), who.calls.to_string(), who.last.clone()];
        table(
            "| unread calls of | calls | last |",
            verdict.unread.iter().map(unread).collect(),
        );
        let hole = |hole: &Hole| {
            let who = hole.instance.clone().unwrap_or_default();
            vec![
                moment(hole.from),
                moment(hole.to),
                who,
                hole.why.to_string(),
            ]
        };
        table(
            "| hole from | to | instance | why |",
            verdict.holes.iter().map(hole).collect(),
        );
        let who = |who: &Looked| {
            vec![
                who.instance.clone(),
                who.from.clone(),
                who.to.clone(),
                who.runs.to_string(),
                who.heartbeats.to_string(),
                who.version.clone(),
                who.methods.to_string(),
            ]
        };
        table(
            "| looked | from | to | starts | heartbeats | version | methods known |",
            verdict.looked.iter().map(who).collect(),
        );
        text
    }
}

fn looked(who: &Looked) -> String {
    format!(
        "{} from {} to {}: {}, {}, version {}, {} known",
        who.instance,
        who.from,
        who.to,
        counted(who.runs, "start"),
        counted(who.heartbeats, "heartbeat"),
        who.version,
        counted(who.methods, "method")
    )
}

fn used_by(used: &Used) -> String {
    let who = used.name.as_deref().unwrap_or(&used.caller);
    let owner = used
        .owner
        .as_ref()
        .map(|owner| format!(" ({owner})"))
        .unwrap_or_default();
    format!(
        "{who}{owner}: {}, {}, last {}",
        used.method,
        counted(used.calls, "call"),
        used.last
    )
}

fn hole_of(hole: &Hole) -> String {
    let who = hole
        .instance
        .as_ref()
        .map(|who| format!(" {who}:"))
        .unwrap_or_default();
    format!(
        "{} to {}{who} {}",
        moment(hole.from),
        moment(hole.to),
        hole.why
    )
}
