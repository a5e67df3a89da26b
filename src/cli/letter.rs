//! `report --for CALLER`: the letter to a caller's owner, from the deprecation log.

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use jiff::Timestamp;

use super::failure::Failure;
use super::log_words::{callers_of, word};
use super::{log_files, rule_files};
use crate::admin;
use crate::advice::language::{Language, TAGS};
use crate::advice::{Letter, Seen};
use crate::report::period::Period;
use crate::report::rows::Names;
use crate::telemetry::live::Live;

/// The options that only a letter has.
pub fn options() -> [Arg; 4] {
    let one = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    [
        one(
            "for",
            "CALLER",
            "Write the letter to the owner of this caller, a name or a key, as markdown or html",
        )
        .conflicts_with_all(["caller", "method", "action"]),
        one("language", "LANGUAGE", "The letter's language")
            .value_parser(PossibleValuesParser::new(TAGS))
            .default_value(TAGS[0]),
        one(
            "portal",
            "URL",
            "The portal's address, for the calls in the letter: https://example.bitrix24.com",
        )
        .requires("for"),
        one(
            "by",
            "DATE",
            "The day from which the calls are refused, where no rule has a sunset: 2027-03-01",
        )
        .requires("for"),
    ]
}

/// The letter to the owner of `caller`.
pub fn write(matches: &ArgMatches, caller: &str, period: Period) -> Result<String, Failure> {
    let is_html = match word(matches, "format") {
        Some("html") => true,
        Some("markdown") => false,
        _ if matches.value_source("format") == Some(ValueSource::DefaultValue) => false,
        _ => {
            return Err(Failure::usage(
                "a letter (--for) is markdown or html: give --format markdown or --format html",
            ));
        }
    };
    let portal = word(matches, "portal");
    if let Some(portal) = portal.filter(|portal| !portal.starts_with("http")) {
        return Err(Failure::usage(format!(
            "--portal {portal} is not an address: write it as https://example.bitrix24.com"
        )));
    }
    let by = match word(matches, "by") {
        Some(day) if day.parse::<jiff::civil::Date>().is_err() => {
            return Err(Failure::usage(format!(
                "--by {day} is not a date: write it as 2027-03-01"
            )));
        }
        day => day,
    };
    let tag = word(matches, "language").unwrap_or(TAGS[0]);
    let language = Language::by_tag(tag).unwrap_or(Language::english());
    let catalogue = rule_files::catalogue_of(matches)?;
    let uses = uses_of(matches, caller, period)?;
    let until = |method: &str| {
        let rule = catalogue.find_in_any_case(method.as_bytes());
        let sunset = rule.and_then(|rule| rule.sunset.clone());
        sunset.or_else(|| by.map(str::to_owned))
    };
    let rows = uses.snapshot().rows;
    let seen: Vec<Seen> = rows
        .iter()
        .map(|row| admin::seen(row, until(&row.method)))
        .collect();
    if seen.is_empty() {
        return Err(Failure::usage(format!(
            "the log has no deprecated call of {caller:?}: `report` without --for lists the callers by their names and keys"
        )));
    }
    let letter = Letter::of(&seen, &catalogue, portal, Timestamp::now(), language);
    Ok(match is_html {
        true => letter.html(""),
        false => letter.markdown(),
    })
}

/// The deprecated calls of a caller that the logs tell of.
fn uses_of(matches: &ArgMatches, caller: &str, period: Period) -> Result<Live, Failure> {
    let callers = callers_of(matches)?;
    let mut names = Names::default();
    let uses = Live::default();
    let reader = log_files::open(&log_files::paths(matches, "file"))?;
    log_files::read(reader.between(period.since, period.until), |line| {
        if line.uses() == 0 || !period.holds(line.span().0) {
            return;
        }
        let name = match &callers {
            Some(callers) => names.of(callers, &line.caller),
            None => line.caller.name.as_deref(),
        };
        if name == Some(caller) || *line.caller.key == *caller {
            uses.take_line(line, name);
        }
    })?;
    Ok(uses)
}
