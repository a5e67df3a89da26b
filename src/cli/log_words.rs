//! The words that commands about deprecation logs share: which files, whose names, which time, which format.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::failure::Failure;
use super::{inputs, log_files};
use crate::telemetry::callers::Callers;

/// The logs.
pub fn files() -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .num_args(1..)
        .required(true)
        .help(format!("Deprecation logs; {}", log_files::FORMS))
}

/// The callers file, with the variable that `serve` reads.
pub fn callers() -> Arg {
    Arg::new("callers")
        .long("callers")
        .value_name("FILE")
        .env("B24_PROXY_CALLERS")
        .hide_env_values(true)
        .value_parser(value_parser!(PathBuf))
        .help("The callers file: names, owners and dates")
}

/// `--since` and `--until`.
pub fn period() -> [Arg; 2] {
    let one = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("TIME").help(help)
    };
    [
        one("since", "From this day, moment or length of time ago on"),
        one("until", "Up to this day or moment, included"),
    ]
}

pub fn repeated(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .action(ArgAction::Append)
        .help(help)
}

pub fn format(formats: &[&'static str]) -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(formats.to_vec()))
        .default_value(formats[0])
        .help("How it is written")
}

/// The callers file that is named, if one is.
pub fn callers_of(matches: &ArgMatches) -> Result<Option<Callers>, Failure> {
    let path = matches.get_one::<PathBuf>("callers");
    path.map(|path| inputs::callers(path)).transpose()
}

/// Now, in milliseconds since 1970.
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// The words that were given to a repeatable option.
pub fn words(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches
        .get_many::<String>(name)
        .unwrap_or_default()
        .cloned()
        .collect()
}

/// One word.
pub fn word<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    matches.get_one::<String>(name).map(String::as_str)
}
