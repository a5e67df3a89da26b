//! `scan`: deprecated methods in source code, before they are called.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;
use super::text::reason;
use super::{advice, log_files, rule_files, terminal};
use crate::catalogue::{Catalogue, Migration, RuleKind};
use crate::scan::alive::Log;
use crate::scan::text::Finder;
use crate::scan::{Known, output, walk};

const LONG_ABOUT: &str = "\
Searches source code, scripts, exports of n8n and Make, and any other text for deprecated Bitrix24 methods. Finds a whole \
name, in any case, and a name that the file puts together from literals, arrays and constants. Lists places to look at where a \
text search cannot tell what is called: a name that begins or ends in a variable, a library's own accessors, a Bitrix24 node \
of n8n. Skips what .gitignore names. Prints places and methods, never the content of a line, which may hold a webhook.

Exit status: 0; with --fail 1 when something is found or there is a place to look at; 2 when a path cannot be read.";

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy scan .
  b24-migration-proxy scan --with-log deprecations.jsonl src/
  b24-migration-proxy scan --fail --format sarif . > deprecated.sarif";

pub fn command() -> Command {
    Command::new("scan")
        .about("Find deprecated methods in source code")
        .long_about(LONG_ABOUT)
        .examples(EXAMPLES)
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .num_args(1..)
                .required(true)
                .help("Files and folders to search"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(PossibleValuesParser::new(["table", "json", "sarif", "github"]))
                .default_value("table")
                .help("A table for people, JSON, SARIF 2.1.0 for code scanning, or GitHub's annotations"),
        )
        .arg(
            Arg::new("fail")
                .long("fail")
                .action(ArgAction::SetTrue)
                .help("End with status 1 when a deprecated method is found or there is a place to look at"),
        )
        .arg(rule_files::option())
        .arg(
            Arg::new("with-log")
                .long("with-log")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .action(ArgAction::Append)
                .help(format!(
                    "A deprecation log: tells which methods were seen called, and which are called from elsewhere; repeatable; {}",
                    log_files::FORMS
                )),
        )
}

pub fn run(matches: &ArgMatches) -> Exit {
    let paths: Vec<PathBuf> = matches
        .get_many::<PathBuf>("path")
        .unwrap_or_default()
        .cloned()
        .collect();
    for path in &paths {
        path.metadata()
            .map_err(|error| cannot_read(path, &error, "name a file or folder"))?;
    }
    let log = called(&log_files::paths(matches, "with-log"))?;
    let known = known(&rule_files::catalogue_of(matches)?);
    let report = walk::search(&paths, &Finder::new(&known));
    let outcome = output::Findings {
        known: &known,
        report: &report,
        log: log.as_ref(),
        width: terminal::width(),
    };
    let text = match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => output::json(&outcome),
        Some("sarif") => output::sarif(&outcome),
        Some("github") => output::github(&outcome),
        _ => output::table(&outcome),
    };
    print(&text)?;
    let failed = matches.get_flag("fail") && !(report.found.is_empty() && report.unseen.is_empty());
    Ok(u8::from(failed))
}

/// What the logs say of each method; nothing without one.
fn called(logs: &[PathBuf]) -> Result<Option<Log>, Failure> {
    if logs.is_empty() {
        return Ok(None);
    }
    let mut log = Log::default();
    log_files::read(log_files::open(logs)?, |line| {
        let calls = line.uses();
        if calls > 0 {
            log.called(&line.method, &line.timestamp, &line.caller.key, calls);
        }
    })?;
    Ok(Some(log))
}

fn cannot_read(path: &std::path::Path, error: &std::io::Error, what_to_do: &str) -> Failure {
    Failure::usage(format!(
        "cannot read {}: {}; {what_to_do}",
        path.display(),
        reason(error)
    ))
}

/// What the catalogue knows, as the search wants it.
fn known(catalogue: &Catalogue) -> Vec<Known> {
    catalogue
        .rules()
        .iter()
        .map(|rule| Known {
            method: rule.method.clone(),
            successor: rule.replacement.clone(),
            needs: rule
                .migration()
                .map(Migration::in_short)
                .unwrap_or_default(),
            successor_documentation: rule.migration().and_then(Migration::page_url),
            advice: advice::for_any(rule),
            translated: rule.kind == RuleKind::Exact,
            documentation: rule.documentation_url(),
        })
        .collect()
}
