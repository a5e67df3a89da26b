//! `callers suggest`: entries for the callers file, from the deprecation log.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::log_words::{callers, callers_of, files};
use super::output::print;
use super::{ask_portal, log_files};
use crate::report::suggest::Unnamed;

const LONG_ABOUT: &str = "\
Prints an entry of the callers file (TOML) for each caller in the log that has no name yet, most calls first, with what is \
known of it as a comment. Append it to the file, put in better names, owners and dates, and send SIGHUP. The file itself \
is never changed.

With --ask-portal the users of webhooks get their names from the portal: user.get, read only, with the webhook that stands \
in the environment variable B24_PROXY_ASK_WEBHOOK (as https://example.bitrix24.com/rest/1/CODE/). It is used for this one \
run and printed nowhere.";

const EXAMPLES: &str = "\
Example:
  b24-migration-proxy callers suggest --callers callers.toml /var/log/b24-migration-proxy/deprecations.jsonl* >> callers.toml";

pub fn command() -> Command {
    Command::new("callers")
        .about("Name callers: suggest entries for the callers file")
        .long_about("Gives callers names: prints entries for the callers file, to which you add names, owners and dates.")
        .examples(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("suggest")
                .about("Print entries for callers without a name")
                .long_about(LONG_ABOUT)
                .examples(EXAMPLES)
                .arg(files())
                .arg(callers())
                .arg(
                    Arg::new("ask-portal")
                        .long("ask-portal")
                        .action(ArgAction::SetTrue)
                        .help("Name webhooks' users by user.get, with the webhook in B24_PROXY_ASK_WEBHOOK"),
                ),
        )
}

pub fn run(matches: &ArgMatches) -> Exit {
    let Some(("suggest", matches)) = matches.subcommand() else {
        return Err(Failure::usage("see b24-migration-proxy callers --help"));
    };
    let callers = callers_of(matches)?;
    let webhook = matches
        .get_flag("ask-portal")
        .then(ask_portal::webhook)
        .transpose()?;
    let mut unnamed = Unnamed::new(callers.as_ref());
    let reader = log_files::open(&log_files::paths(matches, "file"))?;
    log_files::read(reader, |line| unnamed.take(line))?;
    let people = match webhook {
        Some(webhook) => ask_portal::names(&webhook, &unnamed.users())?,
        None => BTreeMap::new(),
    };
    let suggested = unnamed.suggest(&people);
    print(&suggested.text)?;
    if suggested.left_out > 0 {
        let _ = writeln!(
            std::io::stderr(),
            "{} callers have no entry: the callers file has room for 200 names; give several callers one name",
            suggested.left_out
        );
    }
    Ok(0)
}
