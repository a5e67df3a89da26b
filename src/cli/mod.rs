//! The command line: words in, each layer's own configuration out. The only place that knows clap.
//!
//! - [`options`] every option of `serve`, declared once
//! - [`settings`] all of them resolved, from option, environment, file and default
//! - a file for each command: its words, and what it does

mod admin;
mod advice;
mod ask_portal;
mod assemble;
mod brownout;
mod call;
mod callers;
mod check;
mod complaint;
mod config_watch;
mod demo;
mod effective;
mod entries;
mod evidence;
mod examples;
pub mod failure;
mod file;
mod generate;
mod healthcheck;
mod here;
mod inputs;
mod layered;
mod layers;
mod letter;
mod log_files;
mod log_words;
mod lookalike;
mod mode_watch;
mod operational_log;
pub mod options;
mod output;
mod pace;
mod paint;
mod policy;
mod prove_zero;
mod rate_store;
mod reload;
mod report;
mod rule_files;
mod rules;
mod sandbox;
mod scan;
mod serve;
pub mod settings;
mod sockets;
mod source;
mod supervisor;
mod table;
mod terminal;
mod text;
mod translate;
pub mod values;
mod warnings;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use examples::Examples;

use failure::Exit;
pub use failure::Failure;

/// A command: how it is called, and what it does.
struct Verb {
    command: fn() -> Command,
    run: fn(&ArgMatches) -> Exit,
}

const VERBS: &[Verb] = &[
    Verb {
        command: demo::command,
        run: demo::run,
    },
    Verb {
        command: serve::command,
        run: serve::run,
    },
    Verb {
        command: sandbox::command,
        run: sandbox::run,
    },
    Verb {
        command: translate::command,
        run: translate::run,
    },
    Verb {
        command: check::command,
        run: check::run,
    },
    Verb {
        command: rules::command,
        run: rules::run,
    },
    Verb {
        command: callers::command,
        run: callers::run,
    },
    Verb {
        command: report::command,
        run: report::run,
    },
    Verb {
        command: prove_zero::command,
        run: prove_zero::run,
    },
    Verb {
        command: brownout::command,
        run: brownout::run,
    },
    Verb {
        command: pace::command,
        run: pace::run,
    },
    Verb {
        command: scan::command,
        run: scan::run,
    },
    Verb {
        command: healthcheck::command,
        run: healthcheck::run,
    },
    Verb {
        command: generate::completions_command,
        run: |words| generate::completions(command(), words),
    },
    Verb {
        command: generate::man_command,
        run: |_| generate::man(&command()),
    },
];

const LONG_ABOUT: &str = "\
A reverse proxy in front of a Bitrix24 portal. It translates calls of deprecated REST methods whose successor does \
exactly the same, so they keep working. It forwards everything else untouched, to the byte. For each use of a deprecated \
method it writes one line of JSON: who calls what, and what to call instead.";

const EXAMPLES: &str = "\
Start here:
  b24-migration-proxy demo
      a sandbox portal, the proxy and two dozen calls, on this machine alone
  b24-migration-proxy serve --upstream https://example.bitrix24.com
      the real thing, on 127.0.0.1:8080; the status page is on 127.0.0.1:9090
  b24-migration-proxy translate crm.lead.details.configuration.reset --data '{\"scope\":\"C\"}'
      what would become of a call, without any network

Exit status:
  0  done
  1  it ran and found what it looks for: a failed check, calls cut in a drain
  2  correct something first; one line on standard error says what
  3  this machine is not ready (serve, check --here); one line says why";

/// The whole command line, as help, completions and the manual page see it.
pub fn command() -> Command {
    let root = Command::new("b24-migration-proxy")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Keeps calls of deprecated Bitrix24 REST methods working, and shows who still makes them")
        .long_about(LONG_ABOUT)
        .examples(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(110);
    VERBS
        .iter()
        .fold(root, |root, verb| root.subcommand((verb.command)()))
}

/// Runs what the words ask for. Whatever is wrong becomes one line on standard error.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match command().try_get_matches_from(words) {
        Err(error) if !error.use_stderr() => {
            // Help or version was asked for; a reader that has gone (`… | head`) has seen enough.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        Err(error) => match complaint::of(&error) {
            Some(failure) => complain(&failure),
            None => {
                let _ = error.print();
                ExitCode::from(2)
            }
        },
        Ok(matches) => match dispatch(&matches) {
            Ok(status) => ExitCode::from(status),
            Err(failure) => complain(&failure),
        },
    }
}

fn dispatch(matches: &ArgMatches) -> Exit {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::usage(
            "no command is given; see b24-migration-proxy --help",
        ));
    };
    match VERBS
        .iter()
        .find(|verb| (verb.command)().get_name() == name)
    {
        Some(verb) => (verb.run)(matches),
        None => Err(Failure::usage(format!(
            "there is no command {name}; see b24-migration-proxy --help"
        ))),
    }
}

fn complain(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{failure}");
    ExitCode::from(failure.status())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }

    #[test]
    fn every_variable_that_a_command_reads_is_known() {
        let mut left = vec![super::command()];
        let mut read = Vec::new();
        while let Some(command) = left.pop() {
            let variables = command.get_arguments().filter_map(|arg| arg.get_env());
            read.extend(variables.filter_map(|name| Some(name.to_str()?.to_owned())));
            left.extend(command.get_subcommands().cloned());
        }
        assert!(read.len() > 50);
        let warnings = super::warnings::of_variables(read.into_iter());
        assert_eq!(warnings, [""; 0]);
    }
}
