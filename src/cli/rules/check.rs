//! `rules check FILE` and `rules schema`: runs the examples of rule files.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::Value;

use crate::catalogue::file::{Example, Message, OwnRule, SCHEMA};
use crate::catalogue::{Catalogue, Rule, RuleKind};
use crate::cli::call::target_of;
use crate::cli::examples::Examples;
use crate::cli::failure::Exit;
use crate::cli::output::print;
use crate::cli::rule_files::read_file;
use crate::protocol::address::Address;
use crate::protocol::target::RestPath;
use crate::protocol::urlrewrite;
use crate::translate as core;
use crate::translate::Call;

pub fn command() -> Command {
    Command::new("check")
        .about("Read a rule file and run its examples")
        .long_about(
            "Tests a rule file: reads it and runs the examples of its rules, without any network. Warns of a rule without an \
             example, with itself as its successor, or for a method that the catalogue only watches.\n\n\
             Exit status: 0 all examples became what they say, warnings or not; 1 one did not; 2 the file is not a rule file, and \
             one line says where and why.",
        )
        .examples("Example:\n  b24-migration-proxy rules check my-rules.json")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Rule files"),
        )
}

pub fn schema_command() -> Command {
    Command::new("schema")
        .about("Print the JSON Schema of rule files")
        .long_about(
            "Prints the JSON Schema of rule files, by which an editor completes and checks them.",
        )
        .examples("Example:\n  b24-migration-proxy rules schema > rules.schema.json")
}

pub fn schema(_: &ArgMatches) -> Exit {
    print(SCHEMA)?;
    Ok(0)
}

pub fn run(matches: &ArgMatches) -> Exit {
    let mut out = String::new();
    let (mut ran, mut failed, mut warned) = (0, 0, 0);
    let shipped = Catalogue::builtin();
    for path in matches.get_many::<PathBuf>("file").unwrap_or_default() {
        let rules = read_file(path)?;
        let catalogue = Catalogue::with(rules.iter().map(|own| own.rule.clone()));
        let at = |(line, column): (usize, usize)| format!("{}:{line}:{column}", path.display());
        for own in &rules {
            for warning in warnings(own, &shipped) {
                warned += 1;
                let (place, method) = (at(own.place), &own.rule.method);
                out.push_str(&format!("{place}: warning: {method}: {warning}\n"));
            }
            for example in &own.examples {
                ran += 1;
                let place = at(example.place);
                let (word, details) = match run_example(example, &own.rule, &catalogue) {
                    Ok(()) => ("ok", String::new()),
                    Err(details) => {
                        failed += 1;
                        ("FAILED", details)
                    }
                };
                out.push_str(&format!(
                    "{place}: {}: {} ... {word}\n{details}",
                    own.rule.method, example.says
                ));
            }
        }
    }
    match warned {
        0 => {}
        1 => out.push_str("1 warning, "),
        _ => out.push_str(&format!("{warned} warnings, ")),
    }
    out.push_str(&format!("{} passed, {failed} failed\n", ran - failed));
    print(&out)?;
    Ok(u8::from(failed > 0))
}

/// What is strange about a rule that is none the less one.
fn warnings(own: &OwnRule, shipped: &Catalogue) -> Vec<String> {
    let rule = &own.rule;
    let mut warnings = Vec::new();
    let corrects = rule.migration.is_some();
    if own.examples.is_empty() && !corrects && rule.kind == RuleKind::Exact {
        warnings.push("no example shows what it does; add one to \"examples\"".to_owned());
    }
    let same = |successor: &&String| successor.eq_ignore_ascii_case(&rule.method);
    if rule.replacement.as_ref().filter(same).is_some() {
        warnings.push("its successor is the method itself; name another".to_owned());
    }
    let only_watched = shipped
        .find_in_any_case(rule.method.as_bytes())
        .is_some_and(|known| known.kind == RuleKind::Watched);
    if only_watched && rule.kind == RuleKind::Exact {
        warnings.push(format!(
            "the catalogue only watches it, for its successor is not the same call for call; see rules {} before you \
             translate it",
            rule.method
        ));
    }
    warnings
}

/// Runs an example; what differs, where something does.
fn run_example(example: &Example, rule: &Rule, catalogue: &Catalogue) -> Result<(), String> {
    let rest = RestPath::default();
    let address =
        |message: &Message| target_of(&message.target, &rest).map_err(|why| format!("  {why}\n"));
    let target = address(&example.call)?;
    let body = bytes(&example.call.body);
    let verb = verb(&example.call);
    let content_type = content_type(&example.call);
    let kind = content_type.as_deref().map(str::as_bytes);
    let made = urlrewrite::made(target.as_bytes());
    let of = (verb.as_bytes(), target.as_bytes());
    let at = Address::of_whole(of.0, of.1, made.as_ref(), kind, &body, &rest);
    let call = Call {
        verb: verb.as_bytes(),
        target: at.target,
        place: &at.place,
        content_type: kind,
        content_encoding: None,
        body: &body,
        doubt: at.is_made.then_some(core::Doubt::Address),
    };
    let verdict = core::decide(&call, catalogue, &Rule::usual_mode);
    if !verdict
        .uses
        .iter()
        .any(|used| used.rule.method == rule.method)
    {
        return Err(format!(
            "  the call does not use {}: the example shows nothing of this rule\n",
            rule.method
        ));
    }
    let (got_target, got_body) = match verdict.outcome {
        core::Outcome::Untouched => (target.clone(), body.clone()),
        core::Outcome::Rewritten {
            target: new,
            body: changed,
        } => (
            new.map_or(target.clone(), |new| {
                String::from_utf8_lossy(&new).into_owned()
            }),
            changed.unwrap_or_else(|| body.clone()),
        ),
        core::Outcome::Refused(refusal) => {
            return Err(format!("  refused: {}\n", refusal.description));
        }
    };
    let mut details = String::new();
    let wanted = address(&example.becomes)?;
    if got_target != wanted {
        details.push_str(&format!("  target   {got_target}\n  expected {wanted}\n"));
    }
    let same_body = match &example.becomes.body {
        None => got_body.is_empty() || example.call.body.is_none(),
        Some(Value::String(text)) => got_body == text.as_bytes(),
        Some(json) => serde_json::from_slice::<Value>(&got_body).is_ok_and(|got| got == *json),
    };
    if !same_body {
        details.push_str(&format!(
            "  body     {}\n  expected {}\n",
            String::from_utf8_lossy(&got_body),
            String::from_utf8_lossy(&bytes(&example.becomes.body))
        ));
    }
    if details.is_empty() {
        Ok(())
    } else {
        Err(details)
    }
}

fn verb(message: &Message) -> String {
    let usual = if message.body.is_some() {
        "POST"
    } else {
        "GET"
    };
    message
        .verb
        .as_deref()
        .unwrap_or(usual)
        .to_ascii_uppercase()
}

fn content_type(message: &Message) -> Option<String> {
    let usual = message.body.as_ref().map(|body| match body {
        Value::String(_) => "application/x-www-form-urlencoded".to_owned(),
        _ => "application/json".to_owned(),
    });
    message.content_type.clone().or(usual)
}

fn bytes(body: &Option<Value>) -> Vec<u8> {
    match body {
        None => Vec::new(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(json) => json.to_string().into_bytes(),
    }
}
