//! `check`: what `serve` would use with the same words, or why it would not start.

use clap::{ArgMatches, Command};

use super::failure::{Failure, Outcome};
use super::output::print;
use super::settings::Source;
use super::{admin, assemble, effective, evidence, options, rule_files};

pub fn command() -> Command {
    let command = Command::new("check")
        .about("Check the configuration and show what would be used")
        .long_about(
            "Reads options, environment and configuration file as `serve` does and checks all of it, without opening \
             a port. Prints the effective configuration, each value with its origin. Exit status 0: `serve` would \
             start with it; 2: it would not, and one line says why.",
        )
        .arg(
            clap::Arg::new("quiet")
                .long("quiet")
                .short('q')
                .action(clap::ArgAction::SetTrue)
                .help("Print nothing when all is well"),
        );
    options::add_to(command)
}

pub fn run(matches: &ArgMatches) -> Outcome {
    let settings = Source::new(matches.clone()).load()?;
    let catalogue = rule_files::catalogue(&settings.rules)?;
    assemble::policy_of(&settings, &catalogue, None)?;
    evidence::watched_logs(&settings.watched_logs, &catalogue).map_err(Failure::usage)?;
    assemble::fingerprints(&settings)?;
    assemble::callers(&settings)?;
    admin::token_of(&settings)?;
    let warnings =
        crate::proxy::check_tls(&assemble::proxy_config(&settings)).map_err(Failure::usage)?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    if !matches.get_flag("quiet") {
        print(&effective::text(&settings))?;
    }
    Ok(0)
}
