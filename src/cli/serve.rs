//! `serve`: the proxy itself.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::settings::Source;
use super::{Failure, Outcome, assemble, effective, operational_log, options, print, supervisor};
use crate::catalogue::Catalogue;
use crate::proxy::{Listening, Server, Shared};
use std::sync::Arc;

pub fn command() -> Command {
    let command = Command::new("serve")
        .about("Serve as the proxy in front of a portal")
        .long_about(
            "Serves as the proxy in front of a portal. Point integrations at its address instead of the portal's; \
             nothing else in them changes.\n\nEach option can also be set by its environment variable or, under the \
             option's name, in the configuration file; an option wins over the environment, that over the file, that \
             over the default. SIGHUP reads the file again; SIGTERM lets calls in flight end.",
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the effective configuration, each value with its origin, and end"),
        );
    options::add_to(command)
}

pub fn run(matches: &ArgMatches) -> Outcome {
    let source = Source::new(matches.clone());
    let settings = source.load()?;
    if matches.get_flag("print-config") {
        print(&effective::text(&settings))?;
        return Ok(0);
    }
    operational_log::start(&settings);
    let config = assemble::proxy_config(&settings);
    let sockets = assemble::sockets(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::found(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let addresses: Vec<String> = sockets.iter().map(Listening::address).collect();
        let shared = Shared::new(config, Arc::new(Catalogue::builtin()));
        let server = Server::start(sockets, shared)
            .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        tracing::info!(listen = addresses.join(", "), "serving");
        supervisor::stay(server, &settings, || {}).await
    })
}
