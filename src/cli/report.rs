//! `report`: who still calls what, from the deprecation log.

use clap::builder::PossibleValuesParser;
use clap::{ArgMatches, Command};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::log_words::{callers, callers_of, files, format, now, period, repeated, word, words};
use super::output::print;
use super::paint::{Paint, harmless};
use super::table::{Cell, Table};
use super::{letter, log_files, rule_files};
use crate::ladder::Methods;
use crate::report::output::Done;
use crate::report::period::Period;
use crate::report::rows::{Filter, Report};
use crate::telemetry::callers::Day;

const LONG_ABOUT: &str = "\
Says who still calls which deprecated method, how often and since when, from one or more deprecation logs: plain, gzipped, \
or standard input (-), in any order. Callers without a name come first, then those that call again after their owner said \
that the migration was done. With --callers today's file also names the callers of old lines.

--for CALLER writes a letter instead: everything that the owner of this caller has to change, on one page.

A time is a date (the whole day, UTC, both ends included), a moment (2026-12-01T09:30:00Z), or a length of time before \
now (30d).";

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy report /var/log/b24-migration-proxy/deprecations.jsonl*
  b24-migration-proxy report --since 7d --callers callers.toml --format markdown deprecations.jsonl
  b24-migration-proxy report --for shop --format html --language de deprecations.jsonl > letter.html
  zcat old/*.gz | b24-migration-proxy report --caller shop --format csv -";

pub fn command() -> Command {
    Command::new("report")
        .about("Say from the deprecation log who still calls what")
        .long_about(LONG_ABOUT)
        .examples(EXAMPLES)
        .arg(files())
        .arg(callers())
        .args(period())
        .arg(repeated(
            "caller",
            "CALLER",
            "Only this caller: a name or a key; repeatable",
        ))
        .arg(repeated(
            "method",
            "METHOD",
            "Only this method, or those of a pattern as crm.lead.*; repeatable",
        ))
        .arg(
            repeated(
                "action",
                "ACTION",
                "Only calls that were rewritten, observed or refused; repeatable",
            )
            .value_parser(PossibleValuesParser::new([
                "rewritten",
                "observed",
                "refused",
            ])),
        )
        .arg(format(&["table", "json", "csv", "markdown", "html"]))
        .args(letter::options())
        .arg(rule_files::option())
}

pub fn run(matches: &ArgMatches) -> Exit {
    let now = now();
    let callers = callers_of(matches)?;
    let period = Period::parse(word(matches, "since"), word(matches, "until"), now)
        .map_err(Failure::usage)?;
    if let Some(caller) = word(matches, "for") {
        print(&letter::write(matches, caller, period)?)?;
        return Ok(0);
    }
    if word(matches, "format") == Some("html") {
        return Err(Failure::usage(
            "--format html is for a letter: name a caller with --for",
        ));
    }
    let methods = words(matches, "method")
        .iter()
        .map(|text| Methods::parse(text).map_err(|why| Failure::usage(format!("--method: {why}"))))
        .collect::<Result<_, _>>()?;
    let filter = Filter {
        period,
        callers: words(matches, "caller"),
        methods,
        actions: words(matches, "action"),
    };
    let mut report = Report::new(filter, callers.as_ref());
    let reader = log_files::open(&log_files::paths(matches, "file"))?;
    let reader = reader.between(period.since, period.until);
    let lines = log_files::read(reader, |line| report.take(line))?;
    let done = Done {
        report: &report,
        period,
        lines,
        now,
    };
    let text = match word(matches, "format") {
        Some("json") => done.json(),
        Some("csv") => done.csv(),
        Some("markdown") => done.markdown(),
        _ => table(&done, Paint::for_stdout()),
    };
    print(&text)?;
    Ok(0)
}

/// The rows for a terminal, and the days below them.
pub fn table(done: &Done<'_>, paint: Paint) -> String {
    let rows = done.report.rows(done.now);
    let mut table = Table::new(&[
        "caller",
        "owner",
        "state",
        "method",
        "calls",
        "rewritten",
        "observed",
        "refused",
        "errors",
        "first",
        "last",
        "call instead",
    ]);
    for row in &rows {
        let about = done.report.about(row, done.now);
        let owner = about.and_then(|(about, _)| about.owner.clone());
        let state = about.map_or("", |(_, state)| state.as_str());
        let day = |millis: u64| Day::of(millis).to_string();
        let caller = harmless(row.caller());
        table.row(vec![
            match row.name {
                Some(_) => Cell::plain(caller),
                None => Cell::painted(caller, |paint, text| paint.yellow(text)),
            },
            Cell::plain(owner.unwrap_or_default()),
            match state {
                "regressed" => Cell::painted(state, |paint, text| paint.red(text)),
                _ => Cell::plain(state),
            },
            Cell::plain(harmless(&row.method)),
            Cell::painted(row.calls().to_string(), |paint, text| paint.bold(text)),
            Cell::plain(row.rewritten.to_string()),
            Cell::plain(row.observed.to_string()),
            Cell::plain(row.refused.to_string()),
            Cell::plain(row.errors.to_string()),
            Cell::plain(day(row.first)),
            Cell::plain(day(row.last)),
            Cell::plain(harmless(row.replacement.as_deref().unwrap_or_default())),
        ]);
    }
    let mut text = String::new();
    if !rows.is_empty() {
        let gone = table.fit(
            &[
                "owner",
                "state",
                "rewritten",
                "observed",
                "refused",
                "errors",
            ],
            &["first", "call instead", "owner", "errors"],
        );
        text += &table.render(paint);
        if !gone.is_empty() {
            let gone = gone.join(", ");
            text += &paint.dim(&format!(
                "Without {gone}, for which the terminal is too narrow."
            ));
            text.push('\n');
        }
        text.push('\n');
        let mut days = Table::new(&["day", "calls"]);
        for (day, calls) in done.days() {
            days.row(vec![Cell::plain(day), Cell::plain(calls.to_string())]);
        }
        text += &days.render(paint);
        text.push('\n');
    }
    text += &done.summary();
    text.push('\n');
    text
}
