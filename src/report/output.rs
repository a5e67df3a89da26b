//! The rows of a report as JSON, CSV and Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::period::Period;
use super::rows::{Report, Row};
use crate::telemetry::callers::State;
use crate::telemetry::reader::Totals;

/// A report that is done: its rows in their order, and what was read for them.
pub struct Done<'r> {
    pub report: &'r Report<'r>,
    pub period: Period,
    pub lines: Totals,
    /// The moment of the report, in milliseconds since 1970.
    pub now: u64,
}

#[derive(Serialize)]
struct Whole<'r> {
    rows: Vec<Told<'r>>,
    regressed: BTreeMap<&'r str, Vec<String>>,
    lines: Totals,
    since: Option<String>,
    until: Option<String>,
}

#[derive(Serialize)]
struct Told<'r> {
    caller: Caller<'r>,
    method: &'r str,
    replacement: Option<&'r str>,
    calls: u64,
    rewritten: u64,
    observed: u64,
    refused: u64,
    errors: u64,
    first: String,
    last: String,
    days: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Caller<'r> {
    key: &'r str,
    keys: usize,
    name: Option<&'r str>,
    owner: Option<&'r str>,
    contact: Option<&'r str>,
    ticket: Option<&'r str>,
    told: Option<String>,
    migrated: Option<String>,
    state: Option<&'static str>,
}

impl Done<'_> {
    /// One object, as README and `report --help` describe it.
    pub fn json(&self) -> String {
        let whole = Whole {
            rows: self.rows().into_iter().map(|row| self.told(row)).collect(),
            regressed: self
                .report
                .regressed()
                .iter()
                .map(|(name, days)| {
                    (
                        name.as_str(),
                        days.iter().map(ToString::to_string).collect(),
                    )
                })
                .collect(),
            lines: self.lines,
            since: self.period.since.map(moment),
            until: self.period.until.map(moment),
        };
        let mut text = serde_json::to_string_pretty(&whole).unwrap_or_default();
        text.push('\n');
        text
    }

    fn rows(&self) -> Vec<&Row> {
        self.report.rows(self.now)
    }

    fn told<'s>(&'s self, row: &'s Row) -> Told<'s> {
        let about = self.report.about(row, self.now);
        let (about, state) = (about.map(|(about, _)| about), about.map(|(_, state)| state));
        Told {
            caller: Caller {
                key: &row.key,
                keys: row.keys,
                name: row.name.as_deref(),
                owner: about.and_then(|about| about.owner.as_deref()),
                contact: about.and_then(|about| about.contact.as_deref()),
                ticket: about.and_then(|about| about.ticket.as_deref()),
                told: about
                    .and_then(|about| about.told)
                    .map(|day| day.to_string()),
                migrated: about
                    .and_then(|about| about.migrated)
                    .map(|day| day.to_string()),
                state: state.map(State::as_str),
            },
            method: &row.method,
            replacement: row.replacement.as_deref(),
            calls: row.calls(),
            rewritten: row.rewritten,
            observed: row.observed,
            refused: row.refused,
            errors: row.errors,
            first: moment(row.first),
            last: moment(row.last),
            days: row
                .days
                .iter()
                .map(|(day, calls)| (day.to_string(), *calls))
                .collect(),
        }
    }

    /// A line for each row under a line of headings, quoted as RFC 4180 says.
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "caller,name,owner,method,replacement,calls,rewritten,observed,refused,errors,first,last\n",
        );
        for row in self.rows() {
            let told = self.told(row);
            let texts = [
                told.caller.key,
                told.caller.name.unwrap_or_default(),
                told.caller.owner.unwrap_or_default(),
                told.method,
                told.replacement.unwrap_or_default(),
            ];
            let texts: Vec<String> = texts.into_iter().map(field).collect();
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{}",
                texts.join(","),
                told.calls,
                told.rewritten,
                told.observed,
                told.refused,
                told.errors,
                told.first,
                told.last
            );
        }
        text
    }

    /// Two tables: by caller and method, and by day.
    pub fn markdown(&self) -> String {
        let mut text = format!("# Who still calls what\n\n{}\n\n", self.summary());
        text.push_str(
            "| caller | owner | state | method | call instead | calls | translated | watched | refused | errors | first | last |\n\
             |---|---|---|---|---|--:|--:|--:|--:|--:|---|---|\n",
        );
        for row in self.rows() {
            let told = self.told(row);
            let _ = writeln!(
                text,
                "| {} | {} | {} | `{}` | {} | {} | {} | {} | {} | {} | {} | {} |",
                cell(row.caller()),
                cell(told.caller.owner.unwrap_or_default()),
                told.caller.state.unwrap_or("unnamed"),
                cell(told.method),
                cell(told.replacement.unwrap_or_default()),
                told.calls,
                told.rewritten,
                told.observed,
                told.refused,
                told.errors,
                &told.first[..10],
                &told.last[..10]
            );
        }
        text.push_str("\n| day | calls |\n|---|--:|\n");
        for (day, calls) in self.days() {
            let _ = writeln!(text, "| {day} | {calls} |");
        }
        text
    }

    /// Calls a day, of all rows.
    pub fn days(&self) -> BTreeMap<String, u64> {
        let mut days = BTreeMap::new();
        for row in self.rows() {
            for (day, calls) in &row.days {
                *days.entry(day.to_string()).or_default() += calls;
            }
        }
        days
    }

    /// One sentence: how many calls of how many callers, in which period, from how many lines.
    pub fn summary(&self) -> String {
        let rows = self.rows();
        let calls: u64 = rows.iter().map(|row| row.calls()).sum();
        let mut callers: Vec<&str> = rows.iter().map(|row| row.caller()).collect();
        callers.sort_unstable();
        callers.dedup();
        let mut period = String::new();
        if let Some(since) = self.period.since {
            let _ = write!(period, " since {}", moment(since));
        }
        if let Some(until) = self.period.until {
            let _ = write!(period, " until {}", moment(until));
        }
        format!(
            "{} of {}{period}; {} read, {} skipped.",
            counted(calls, "call"),
            counted(callers.len() as u64, "caller"),
            counted(self.lines.read, "line"),
            self.lines.skipped
        )
    }
}

/// `1 call`, `2 calls`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A moment as RFC 3339 in UTC with milliseconds.
pub fn moment(millis: u64) -> String {
    let moment = jiff::Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(i64::MAX));
    format!("{:.3}", moment.unwrap_or(jiff::Timestamp::MAX))
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A text that cannot disturb a Markdown table.
pub fn cell(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' => {
                shown.push('\\');
                shown.push(c);
            }
            c if c.is_control() => shown.push(' '),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows::Filter;
    use crate::telemetry::callers::Callers;
    use crate::telemetry::reader::Line;

    const FILE: &str = "[[caller]]\nname = \"shop, the \\\"old\\\" one|\"\nuser = 7\nowner = \"Ann\"\nticket = \"CRM-7\"\n\
        told = 2026-11-01\n";

    fn done(take: impl FnOnce(&Done<'_>)) {
        let callers = Callers::parse(FILE).unwrap();
        let mut report = Report::new(Filter::default(), Some(&callers));
        let text = "{\"schema\":1,\"timestamp\":\"2026-11-01T10:00:00.250Z\",\"event\":\"deprecated_call\",\"method\":\"a.b\",\
            \"replacement\":\"c.d\",\"action\":\"rewritten\",\"error\":\"X\",\"caller\":{\"key\":\"webhook:7\",\"user\":\"7\"}}";
        report.take(&Line::read(text.as_bytes()).unwrap());
        let lines = Totals {
            read: 3,
            events: 1,
            skipped: 2,
            bytes: 0,
        };
        let period = Period {
            since: Some(1_793_491_200_000),
            until: None,
        };
        take(&Done {
            report: &report,
            period,
            lines,
            now: 1_793_577_600_000,
        });
    }

    #[test]
    fn json_has_the_fields_of_the_documentation() {
        done(|done| {
            let whole: serde_json::Value = serde_json::from_str(&done.json()).unwrap();
            let row = &whole["rows"][0];
            assert_eq!(row["caller"]["key"], "webhook:7");
            assert_eq!(row["caller"]["owner"], "Ann");
            assert_eq!(row["caller"]["state"], "told");
            assert_eq!(row["first"], "2026-11-01T10:00:00.250Z");
            assert_eq!(row["days"]["2026-11-01"], 1);
            assert_eq!((&row["calls"], &row["errors"]), (&1.into(), &1.into()));
            let lines = serde_json::json!({"read": 3, "events": 1, "skipped": 2});
            assert_eq!(whole["lines"], lines);
            assert_eq!(whole["since"], "2026-11-01T00:00:00.000Z");
            assert!(whole["until"].is_null());
        });
    }

    #[test]
    fn csv_quotes_what_would_break_a_line() {
        done(|done| {
            assert_eq!(
                done.csv().lines().nth(1).unwrap(),
                "webhook:7,\"shop, the \"\"old\"\" one|\",Ann,a.b,c.d,1,1,0,0,1,2026-11-01T10:00:00.250Z,2026-11-01T10:00:00.250Z"
            );
        });
    }

    #[test]
    fn markdown_keeps_its_columns_whatever_a_name_holds() {
        done(|done| {
            let text = done.markdown();
            assert!(
                text.contains("| shop, the \"old\" one\\| | Ann | told | `a.b` | c.d | 1 |"),
                "{text}"
            );
            assert!(text.contains(
                "1 call of 1 caller since 2026-11-01T00:00:00.000Z; 3 lines read, 2 skipped."
            ));
        });
    }
}
