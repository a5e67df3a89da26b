//! `--rules FILE`: rules of one's own, added to the built-in ones.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::failure::Failure;
use super::inputs::unreadable;
use super::text::reason;
use crate::catalogue::file::{OwnRule, read};
use crate::catalogue::{Catalogue, Rule};
use crate::proxy::pem::is_a_key;

/// The rules of these files, then those that ship: of several for a method the first counts.
pub fn catalogue(files: &[PathBuf]) -> Result<Catalogue, Failure> {
    let mut own: Vec<Rule> = Vec::new();
    for path in files {
        own.extend(read_file(path)?.into_iter().map(|own| own.rule));
    }
    Ok(Catalogue::with(own))
}

/// `--rules` of commands that have not all options of `serve`.
pub fn option() -> Arg {
    Arg::new("rules")
        .long("rules")
        .value_name("FILE")
        .env("B24_PROXY_RULES")
        .hide_env_values(true)
        .value_delimiter(',')
        .action(ArgAction::Append)
        .value_parser(value_parser!(PathBuf))
        .help("Rules of your own, added to the built-in ones; repeatable")
}

/// The rules of [`option`]'s files, then those that ship.
pub fn catalogue_of(matches: &ArgMatches) -> Result<Catalogue, Failure> {
    let files = matches.get_many::<PathBuf>("rules").unwrap_or_default();
    catalogue(&files.cloned().collect::<Vec<_>>())
}

pub fn read_file(path: &Path) -> Result<Vec<OwnRule>, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        if is_a_key(path) {
            return unreadable("rule file", path, &error);
        }
        Failure::usage(format!(
            "cannot read the rule file {name}: {}; check --rules",
            reason(&error)
        ))
    })?;
    read(&text).map_err(|error| {
        Failure::usage(format!(
            "{name}:{}:{}: {}",
            error.line, error.column, error.message
        ))
    })
}
