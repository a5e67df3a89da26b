//! `prove-zero`: whether nothing was called, and somebody looked all the time.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::log_words::{callers, callers_of, files, format, now, period, repeated, word, words};
use super::output::print;
use super::{log_files, rule_files, terminal, text};
use crate::catalogue::Catalogue;
use crate::ladder::Methods;
use crate::report::period::Period;
use crate::report::zero::certificate::{Certificate, LABEL};
use crate::report::zero::{Proof, Question};
use crate::telemetry::logging::RulesKnown;

const LONG_ABOUT: &str = "\
Proves from the deprecation logs that nothing was called and that somebody looked all the time. Two questions: may the \
proxy go (no call was rewritten or refused; watched calls pass without it), or, with --method, does nobody call this \
method. The heartbeats in the log tell which lines there must be, so that a file or a line that is missing shows.

Prints a certificate to keep: the period, who looked, how many calls of all kinds were looked at.

Exit status: 0 proved; 1 still used, by whom and when last; 2 nobody can tell, and why: each hole with from, to and \
instance.";

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy prove-zero /var/log/b24-migration-proxy/deprecations.jsonl*
  b24-migration-proxy prove-zero --method crm.lead.list --days 90 deprecations.jsonl*
  b24-migration-proxy prove-zero --replicas 3 --since 2026-11-01 --until 2026-11-30 --format markdown logs/*";

/// Days of the period, where nothing says otherwise.
const DAYS: &str = "30";

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

pub fn command() -> Command {
    let [since, until] = period();
    Command::new("prove-zero")
        .about("Prove from the deprecation log that the proxy, or a method, is used no more")
        .long_about(LONG_ABOUT)
        .examples(EXAMPLES)
        .arg(files())
        .arg(
            Arg::new("proxy")
                .long("proxy")
                .action(ArgAction::SetTrue)
                .conflicts_with("method")
                .help("May the proxy go: was no call rewritten or refused [the default question]"),
        )
        .arg(repeated(
            "method",
            "METHOD",
            "Does nobody call this method, or those of a pattern; repeatable",
        ))
        .arg(
            Arg::new("days")
                .long("days")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=36_500))
                .default_value(DAYS)
                .help("The last days, up to --until or now"),
        )
        .arg(since)
        .arg(until)
        .arg(
            Arg::new("replicas")
                .long("replicas")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=10_000))
                .default_value("1")
                .help("How many instances must have looked at each moment"),
        )
        .arg(
            repeated(
                "instance",
                "NAME",
                "This instance must have looked all the time; repeatable",
            )
            .conflicts_with("replicas"),
        )
        .arg(
            Arg::new("allow-unread")
                .long("allow-unread")
                .action(ArgAction::SetTrue)
                .help("Calls that could not be read do not stand against the proof"),
        )
        .arg(callers())
        .arg(rule_files::option())
        .arg(format(&["text", "json", "markdown"]))
}

pub fn run(matches: &ArgMatches) -> Exit {
    let now = now();
    let callers = callers_of(matches)?;
    let question = question(matches, now)?;
    let paths = log_files::paths(matches, "file");
    let mut proof = Proof::new(question, callers.as_ref());
    let lines = log_files::read(log_files::open(&paths)?, |line| proof.take(line))?;
    let verdict = proof.verdict();
    let certificate = Certificate {
        verdict: &verdict,
        lines,
        files: paths.len(),
        now,
    };
    print(&match word(matches, "format") {
        Some("json") => certificate.json(),
        Some("markdown") => certificate.markdown(),
        _ => terminal::labelled(&certificate.text(), LABEL),
    })?;
    Ok(verdict.status())
}

fn question(matches: &ArgMatches, now: u64) -> Result<Question, Failure> {
    let number = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or(1);
    let given = Period::parse(word(matches, "since"), word(matches, "until"), now)
        .map_err(Failure::usage)?;
    if given.until.is_some_and(|until| until > now) {
        return Err(Failure::usage(
            "--until: it has not come yet; leave it out to ask up to the last heartbeat",
        ));
    }
    let days = number("days").saturating_mul(DAY);
    let since = match (given.since, given.until) {
        (Some(since), _) => since,
        (None, Some(until)) => (until + 1).saturating_sub(days),
        (None, None) => now.saturating_sub(days),
    };
    if since > now {
        return Err(Failure::usage("--since: it has not come yet"));
    }
    let catalogue = rule_files::catalogue_of(matches)?;
    let methods = methods(&words(matches, "method"), &catalogue)?;
    Ok(Question {
        rules: rules_with(&methods, &catalogue),
        methods,
        since,
        until: given.until,
        replicas: usize::try_from(number("replicas")).unwrap_or(usize::MAX),
        instances: words(matches, "instance"),
        allow_unread: matches.get_flag("allow-unread"),
        now,
    })
}

/// The methods that are meant, in the catalogue's spelling. One that no rule knows would never have been logged.
fn methods(wanted: &[String], catalogue: &Catalogue) -> Result<Vec<String>, Failure> {
    let known = || catalogue.rules().iter().map(|rule| rule.method.as_str());
    let mut methods: Vec<String> = Vec::new();
    for written in wanted {
        let meant =
            Methods::parse(written).map_err(|why| Failure::usage(format!("--method: {why}")))?;
        let before = methods.len();
        let found = known().filter(|method| meant.holds(&method.to_ascii_lowercase()));
        methods.extend(found.map(str::to_owned));
        if methods.len() == before {
            let hint = text::nearest(written, known())
                .map(|near| format!("did you mean {near}?"))
                .unwrap_or_else(|| {
                    "see b24-migration-proxy rules; rules of your own are named with --rules"
                        .to_owned()
                });
            return Err(Failure::usage(format!(
                "--method: no rule knows {}, so its calls are not logged; {hint}",
                meant.text()
            )));
        }
    }
    methods.sort_unstable();
    methods.dedup();
    Ok(methods)
}

/// The hashes of rules that hold all these methods: those of this command, and those that versions shipped.
fn rules_with(methods: &[String], catalogue: &Catalogue) -> Vec<String> {
    let builtin = Catalogue::builtin();
    let mut rules = vec![RulesKnown::of(catalogue).hash];
    if methods.iter().all(|method| {
        builtin
            .find(method.to_ascii_lowercase().as_bytes())
            .is_some()
    }) {
        rules.push(RulesKnown::of(&builtin).hash);
    }
    rules
}
