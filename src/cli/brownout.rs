//! `brownout`: prepares one. Says from a log what it would have refused, and prints the entry that starts it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use jiff::{SignedDuration, Timestamp};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;
use super::paint::harmless;
use super::text::nearest;
use super::{log_files, log_words, rule_files, terminal};
use crate::catalogue::Catalogue;
use crate::catalogue::Mode;
use crate::ladder::rehearsal::{PastCall, Rehearsal};
use crate::ladder::share::Share;
use crate::ladder::window::{Window, duration};
use crate::ladder::{Entry, Methods, Policy, Step};
use crate::telemetry::callers::{Callers, Network, Pattern, fingerprint_of};

const LONG_ABOUT: &str = "\
Prepares a brownout: deprecated calls of some callers are refused for announced windows, so that their owners notice \
while somebody is watching. Prints the entry for the configuration file that does it; a SIGHUP then starts it, and it \
ends by itself. With --dry-run it says from the deprecation log what such a brownout would have refused. Nothing is \
changed.";

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy brownout --caller 1C --callers callers.toml --for 10m
  b24-migration-proxy brownout --caller 1C --for 10m --dry-run --log /var/log/b24-migration-proxy/deprecations.jsonl
  b24-migration-proxy brownout --rule 'crm.invoice.*' --when 'every Tuesday 10:00 Europe/Berlin for 15m'";

pub fn command() -> Command {
    let one = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("brownout")
        .about("Prepare a brownout, and say from the log what it would refuse")
        .long_about(LONG_ABOUT)
        .examples(EXAMPLES)
        .arg(
            one("rule", "METHOD", "Of this method, or of those of a pattern; repeatable [default: all translated ones]")
                .action(ArgAction::Append),
        )
        .arg(one("caller", "NAME", "For the caller of this name in the callers file"))
        .arg(one("user", "USER", "For this webhook user"))
        .arg(one("fingerprint", "HEX", "For the caller with this fingerprint"))
        .arg(one("application", "ID", "For this application"))
        .arg(one("address", "CIDR", "For callers from this network"))
        .arg(one("user-agent", "PATTERN", "For callers whose User-Agent holds this"))
        .arg(one("share", "PERCENT", "For a share of the callers, as 10%"))
        .arg(
            one("when", "WINDOW", "In this window, as 'every Tuesday 10:00 Europe/Berlin for 15m'; repeatable")
                .action(ArgAction::Append)
                .conflicts_with("for"),
        )
        .arg(rule_files::option())
        .arg(log_words::callers())
        .arg(one("for", "DURATION", "From now on, for so long [default: 10m]"))
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .requires("log")
                .help("Say what it would have refused"),
        )
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("FILE")
                .help(format!("The deprecation logs to look at; {}", log_files::FORMS))
                .num_args(1..)
                .action(ArgAction::Append)
                .env("B24_PROXY_DEPRECATION_LOG")
                .hide_env_values(true)
                .value_parser(value_parser!(PathBuf)),
        )
}

pub fn run(matches: &ArgMatches) -> Exit {
    let entry = Wanted::read(matches)?;
    let mut text = String::new();
    let callers = log_words::callers_of(matches)?;
    let dry_run = matches.get_flag("dry-run");
    match (&entry.entry.caller, &callers) {
        (Some(name), Some(callers)) => {
            let known = callers.names().iter().map(String::as_str);
            is_known(name, known, "the callers file has")?;
        }
        (Some(name), None) if !dry_run => {
            return Err(Failure::usage(format!(
                "--caller: nothing gives the caller {name:?} its name; name a callers file with --callers"
            )));
        }
        _ => {}
    }
    if dry_run {
        let (rehearsal, names) = entry.rehearse(&logs(matches)?, callers.as_ref())?;
        if let (Some(name), None) = (&entry.entry.caller, &callers) {
            is_known(name, names.iter().map(String::as_str), "the log knows")?;
        }
        text.push_str(&rehearsal);
        text.push('\n');
    }
    text.push_str(&entry.instructions(Timestamp::now())?);
    print(&text)?;
    Ok(0)
}

/// That a caller of this name is known; one that is misspelt would be nobody, and the brownout would do nothing.
fn is_known<'k>(
    name: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    who: &str,
) -> Result<(), Failure> {
    if known.clone().any(|known| known == name) {
        return Ok(());
    }
    let hint =
        nearest(name, known).map_or(String::new(), |near| format!("; did you mean {near:?}?"));
    Err(Failure::usage(format!(
        "--caller: {who} no caller {name:?}{hint}"
    )))
}

/// The brownout that is wanted.
struct Wanted {
    catalogue: Catalogue,
    entry: Entry,
    /// How long it is open at a time.
    length: SignedDuration,
}

impl Wanted {
    fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let word = |name: &str| matches.get_one::<String>(name).cloned();
        let wrong = |name: &str| {
            let name = name.to_owned();
            move |why: String| Failure::usage(format!("--{name}: {why}"))
        };
        let mut entry = Entry::new(Step::always(Mode::Brownout), "the brownout");
        for text in matches.get_many::<String>("rule").unwrap_or_default() {
            entry
                .methods
                .push(Methods::parse(text).map_err(wrong("rule"))?);
        }
        entry.caller = word("caller");
        entry.callers.user = word("user");
        if let Some(text) = word("fingerprint") {
            entry.callers.fingerprint = Some(fingerprint_of(&text).map_err(wrong("fingerprint"))?);
        }
        entry.callers.application = word("application");
        if let Some(text) = word("address") {
            entry.callers.address = Some(Network::parse(&text).map_err(wrong("address"))?);
        }
        entry.callers.user_agent = word("user-agent").map(|text| Pattern::new(&text));
        if let Some(text) = word("share") {
            entry.share = Some(Share::parse(&text).map_err(wrong("share"))?);
        }
        for text in matches.get_many::<String>("when").unwrap_or_default() {
            entry
                .windows
                .push(Window::parse(text).map_err(wrong("when"))?);
        }
        let length = match word("for") {
            Some(text) => duration(&text).map_err(wrong("for"))?,
            None => SignedDuration::from_mins(10),
        };
        let wanted = Self {
            catalogue: rule_files::catalogue_of(matches)?,
            length: entry
                .windows
                .iter()
                .map(Window::length)
                .max()
                .unwrap_or(length),
            entry,
        };
        wanted.policy()?;
        Ok(wanted)
    }

    /// What the brownout is, open all the time.
    fn policy(&self) -> Result<Policy, Failure> {
        let mut entry = self.entry.clone();
        entry.windows.clear();
        entry.step.until = Some(Timestamp::MAX);
        Policy::build(
            &self.catalogue,
            Vec::new(),
            vec![entry],
            Timestamp::MIN,
            None,
        )
        .map_err(|wrong| Failure::usage(wrong.why))
    }

    /// What it would have refused, and the names of all callers in the log. A callers file names the callers of all lines, as
    /// it will name those of the calls to come.
    fn rehearse(
        &self,
        logs: &[PathBuf],
        callers_file: Option<&Callers>,
    ) -> Result<(String, BTreeSet<String>), Failure> {
        let policy = self.policy()?;
        let catalogue = &self.catalogue;
        let mut always = Rehearsal::default();
        let mut in_windows = Rehearsal::default();
        let mut refused: Vec<Refused> = Vec::new();
        let mut seen: Option<(Timestamp, Timestamp)> = None;
        let mut names = BTreeSet::new();
        log_files::read(log_files::open(logs)?, |line| {
            let Some(mut call) = PastCall::of(line) else {
                return;
            };
            if let Some(file) = callers_file {
                call.name = file.name_of(&call.caller).map(str::to_owned);
            }
            let (first, last) = seen.unwrap_or((call.at, call.at));
            seen = Some((first.min(call.at), last.max(call.at)));
            if let Some(name) = call.name.as_ref().filter(|name| !names.contains(*name)) {
                names.insert(name.clone());
            }
            if always.ask(&policy, catalogue, &call, call.at) {
                if self
                    .entry
                    .windows
                    .iter()
                    .any(|window| window.open_at(call.at).is_some())
                {
                    in_windows.ask(&policy, catalogue, &call, call.at);
                }
                refused.push(Refused {
                    at: call.at,
                    caller: call.name.unwrap_or(call.caller.key),
                    calls: call.count,
                });
            }
        })?;
        let Some((first, last)) = seen else {
            return Ok(("The log holds no deprecated call.\n".to_owned(), names));
        };
        let mut text = format!(
            "The log has {} from {first:.0} to {last:.0}.\nThe brownout is for {} of {}.\n",
            match always.calls {
                1 => "1 deprecated call".to_owned(),
                calls => format!("{calls} deprecated calls"),
            },
            calls(always.refused_calls()),
            callers(always.refused_callers()),
        );
        if !self.entry.windows.is_empty() {
            text.push_str(&format!(
                "In its windows it would have refused {} of {}.\n",
                calls(in_windows.refused_calls()),
                callers(in_windows.refused_callers())
            ));
        }
        refused.sort();
        if let Some((from, busiest)) = busiest(&refused, self.length) {
            text.push_str(&format!(
                "At the busiest time, from {from:.0} for {:#}, it would have refused {} of {}.\n",
                self.length,
                calls(count(busiest)),
                callers(distinct(busiest))
            ));
        }
        if !always.refused.is_empty() {
            text.push_str("Its calls in the whole log:\n");
        }
        for ((caller, method), count) in &always.refused {
            text.push_str(&format!(
                "  {}  {method}  {}\n",
                harmless(caller),
                calls(*count)
            ));
        }
        Ok((terminal::prose(&text), names))
    }

    fn instructions(&self, now: Timestamp) -> Result<String, Failure> {
        let mut lines = vec!["[[mode]]".to_owned()];
        let mode = match self.entry.windows.is_empty() {
            false => "brownout".to_owned(),
            true => {
                let until = now
                    .checked_add(self.length)
                    .map_err(|_| Failure::usage("--for: it is too long"))?;
                format!("brownout until {until:.0}")
            }
        };
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let list = |texts: Vec<String>| {
            texts
                .iter()
                .map(|text| quoted(text))
                .collect::<Vec<_>>()
                .join(", ")
        };
        lines.push(format!("mode = {}", quoted(&mode)));
        let methods: Vec<String> = self
            .entry
            .methods
            .iter()
            .map(|m| m.text().to_owned())
            .collect();
        if !methods.is_empty() {
            lines.push(format!("rule = [{}]", list(methods)));
        }
        let selector = &self.entry.callers;
        let selectors = [
            ("caller", self.entry.caller.clone()),
            ("user", selector.user.clone()),
            ("application", selector.application.clone()),
            ("fingerprint", selector.fingerprint.clone()),
            (
                "address",
                selector.address.map(|address| address.to_string()),
            ),
            (
                "user_agent",
                selector.user_agent.as_ref().map(ToString::to_string),
            ),
            ("share", self.entry.share.map(|share| share.to_string())),
        ];
        for (key, value) in selectors {
            if let Some(value) = value {
                lines.push(format!("{key} = {}", quoted(&value)));
            }
        }
        let windows: Vec<String> = self.entry.windows.iter().map(ToString::to_string).collect();
        if !windows.is_empty() {
            lines.push(format!("when = [{}]", list(windows)));
        }
        Ok(format!(
            "{}\n\n{}\n\n{}\n",
            terminal::prose(
                "To start it, put this before the other [[mode]] entries of the configuration file, and send SIGHUP:"
            ),
            lines.join("\n"),
            terminal::prose(
                "It ends by itself. To end it at once, take the entry out and send SIGHUP again."
            )
        ))
    }
}

/// The logs to look at. Where the log's own option comes from the environment, it may say that there is no file.
fn logs(matches: &ArgMatches) -> Result<Vec<PathBuf>, Failure> {
    let logs = log_files::paths(matches, "log");
    let from_environment = matches.value_source("log") == Some(ValueSource::EnvVariable);
    if logs.is_empty() || (from_environment && logs == [PathBuf::from("-")]) {
        return Err(Failure::usage(
            "--dry-run needs the log as a file; name it with --log",
        ));
    }
    Ok(logs)
}

/// Calls that would have been refused: one, or as many as a line of the log sums up.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Refused {
    at: Timestamp,
    caller: String,
    calls: u64,
}

/// The stretch of this length in which most calls were made: when the first of them came, and all of them.
fn busiest(refused: &[Refused], length: SignedDuration) -> Option<(Timestamp, &[Refused])> {
    let (mut first, mut calls) = (0, 0);
    let (mut best, mut most) = (0..0, 0);
    for (last, at) in refused.iter().enumerate() {
        calls += at.calls;
        while at.at.duration_since(refused[first].at) >= length {
            calls -= refused[first].calls;
            first += 1;
        }
        if calls > most {
            (best, most) = (first..last + 1, calls);
        }
    }
    let found = refused.get(best)?;
    Some((found.first()?.at, found))
}

fn count(refused: &[Refused]) -> u64 {
    refused.iter().map(|refused| refused.calls).sum()
}

fn distinct(refused: &[Refused]) -> usize {
    let mut names: Vec<&str> = refused
        .iter()
        .map(|refused| refused.caller.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn calls(count: u64) -> String {
    format!("{count} call{}", if count == 1 { "" } else { "s" })
}

fn callers(count: usize) -> String {
    format!("{count} caller{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_stretch_is_found() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap_or_default();
        let refused: Vec<Refused> = [0, 5, 60, 61, 69, 70, 200]
            .iter()
            .map(|minute| Refused {
                at: at(*minute),
                caller: (minute % 2).to_string(),
                calls: 1,
            })
            .collect();
        let (from, found) = busiest(&refused, SignedDuration::from_mins(10)).unwrap();
        assert_eq!((from, count(found), distinct(found)), (at(60), 3, 2));
        assert!(busiest(&[], SignedDuration::from_mins(10)).is_none());
    }

    #[test]
    fn a_summed_line_weighs_as_much_as_it_counts() {
        let refused = |minute: i64, calls| Refused {
            at: Timestamp::from_second(minute * 60).unwrap_or_default(),
            caller: "a".to_owned(),
            calls,
        };
        let all = [refused(0, 1), refused(1, 1), refused(60, 51)];
        let (_, found) = busiest(&all, SignedDuration::from_mins(10)).unwrap();
        assert_eq!((found.len(), count(found)), (1, 51));
    }
}
