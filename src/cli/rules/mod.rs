//! `rules`: what is translated, what is watched, in which mode and why.

mod check;
mod explain;
mod known;
mod print;

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::explain::explain;
use self::known::Known;
use self::print::{as_value, details, table};
use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::paint::Paint;
use super::{options, output};
use crate::catalogue::{Rule, migration};
use crate::ladder::standing::Standing;
use crate::ladder::window::moment;

const LONG_ABOUT: &str = "\
Shows every deprecated method that the proxy knows: what is translated, what is watched, in which mode, what says so and \
what comes next. With METHOD (or a pattern, as crm.lead.*) all about it. With --explain CALL which entry of the \
configuration decides for that call, and why those before it do not. Reads the same options, environment and \
configuration file as `serve`.";

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy rules 'crm.lead.details.*'
  b24-migration-proxy rules --config b24-migration-proxy.toml --explain https://proxy.example/rest/7/CODE/crm.lead.list
  b24-migration-proxy rules --config b24-migration-proxy.toml --explain crm.lead.list --user 7 --at 2026-12-01T09:00Z
  b24-migration-proxy rules check my-rules.json";

/// The options of `serve` that matter here.
const NEEDED: [&str; 5] = ["config", "mode", "rules", "callers", "fingerprint-key-file"];

pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .help(help)
            .help_heading("The call to explain")
    };
    let command = Command::new("rules")
        .about("Show what is translated and what is watched, in which mode and why")
        .long_about(LONG_ABOUT)
        .examples(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .subcommand(check::command())
        .subcommand(check::schema_command())
        .arg(
            Arg::new("method")
                .value_name("METHOD")
                .help("A method, or a pattern in which * stands for anything"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print JSON, for programs"),
        )
        .arg(text(
            "explain",
            "CALL",
            "Say what decides for this call: a method, or the path or URL of a call",
        ))
        .arg(text(
            "at",
            "MOMENT",
            "At this moment, as 2026-12-01T09:00Z [default: now]",
        ))
        .arg(text("user", "USER", "From this webhook user"))
        .arg(text(
            "fingerprint",
            "HEX",
            "From the caller with this fingerprint, as events show it",
        ))
        .arg(text("application", "ID", "From this application"))
        .arg(text("address", "IP", "From this address"))
        .arg(text("user-agent", "TEXT", "With this User-Agent"))
        .arg(text(
            "caller",
            "NAME",
            "From the caller of this name in the callers file",
        ));
    let mut command = options::add_to(command);
    for spec in options::OPTIONS {
        if !NEEDED.contains(&spec.name) {
            command = command.mut_arg(spec.name, |arg| arg.hide(true));
        }
    }
    command
}

pub fn run(matches: &ArgMatches) -> Exit {
    match matches.subcommand() {
        Some(("check", matches)) => return check::run(matches),
        Some((_, matches)) => return check::schema(matches),
        None => {}
    }
    let known = Known::load(matches)?;
    let now = match matches.get_one::<String>("at") {
        Some(text) => moment(text).map_err(|why| Failure::usage(format!("--at: {why}")))?,
        None => Timestamp::now(),
    };
    let as_json = matches.get_flag("json");
    if let Some(call) = matches.get_one::<String>("explain") {
        return explain(&known, matches, call, now, as_json);
    }
    let rules: Vec<&Arc<Rule>> = match matches.get_one::<String>("method") {
        None => known.catalogue.rules().iter().collect(),
        Some(text) => known.meant(text)?,
    };
    let standings: Vec<(&Rule, Standing)> = rules
        .iter()
        .map(|rule| (&***rule, known.policy.standing(rule, now)))
        .collect();
    let text = if as_json {
        let rules: Vec<Value> = standings
            .iter()
            .map(|(rule, standing)| as_value(rule, standing))
            .collect();
        let value = json!({
            "schema": 1,
            "rules": rules,
            "fields": migration::field_maps(),
            "documentation": migration::source(),
        });
        format!("{value:#}\n")
    } else if let [(rule, standing)] = standings.as_slice() {
        details(rule, standing, Paint::for_stdout())
    } else {
        table(&standings, Paint::for_stdout())
    };
    output::print(&text)?;
    Ok(0)
}
