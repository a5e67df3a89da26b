//! `serve`: the proxy itself.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::file::reason;
use super::reload::Reload;
use super::settings::{Settings, Source};
use super::supervisor::Supervisor;
use super::{Failure, Outcome, assemble, effective, operational_log, options, print};
use crate::catalogue::Catalogue;
use crate::proxy::{Listening, Server, Shared};
use crate::telemetry::Telemetry;
use crate::telemetry::log::{LogTarget, survive_the_file_size_limit};

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
    let catalogue = Arc::new(Catalogue::builtin());
    let config = assemble::proxy_config(&settings);
    let sockets = assemble::sockets(&config)?;
    let telemetry = assemble::telemetry(&settings, catalogue.rules())?;
    rebuild(&telemetry, &settings);
    let cannot_start =
        |error: std::io::Error| Failure::usage(format!("cannot start: {}", reason(&error)));
    survive_the_file_size_limit().map_err(cannot_start)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_start)?;
    runtime.block_on(async {
        let addresses: Vec<String> = sockets.iter().map(Listening::address).collect();
        let shared = Shared::new(config, catalogue, telemetry.clone())
            .map_err(|why| Failure::usage(format!("cannot start: {why}")))?;
        let server = Server::start(sockets, shared).map_err(cannot_start)?;
        tracing::info!(listen = addresses.join(", "), "serving");
        let supervisor = Supervisor {
            server,
            telemetry,
            drain_delay: settings.time.drain_delay,
            drain_timeout: settings.time.drain,
            reload: Reload::new(source, settings),
        };
        supervisor.stay().await
    })
}

/// Brings back what the status page showed before a restart. A log that cannot be read costs the past, not the start.
fn rebuild(telemetry: &Telemetry, settings: &Settings) {
    match &settings.deprecation_log {
        LogTarget::Stdout => telemetry.live.set_note(
            "The deprecation log goes to standard output, so this page shows only what came since the proxy's start.",
        ),
        LogTarget::Path(path) => {
            if let Err(error) = telemetry.rebuild_from(path) {
                tracing::warn!(%error, "the deprecation log cannot be read; the status page starts empty");
            }
        }
    }
}
