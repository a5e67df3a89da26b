//! `serve`: the proxy itself.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;
use super::reload::Reload;
use super::settings::SettingsSource;
use super::supervisor::{Signals, Supervisor};
use super::text::reason;
use super::{assemble, effective, here, operational_log, options, terminal, warnings};
use crate::telemetry::log::survive_the_file_size_limit;
use crate::telemetry::panics;

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy serve --upstream https://example.bitrix24.com --deprecation-log deprecations.jsonl
  b24-migration-proxy serve --config /etc/b24-migration-proxy/b24-migration-proxy.toml";

pub fn command() -> Command {
    let command = Command::new("serve")
        .about("Serve as the proxy in front of a portal")
        .long_about(
            "Serves as the proxy in front of a portal. Point integrations at its address instead of the portal's; \
             nothing else in them changes.\n\nEach option can also be set by its environment variable or, under the \
             option's name, in the configuration file; an option wins over the environment, that over the file, that \
             over the default. SIGHUP reads the file again; SIGTERM lets calls in flight end.",
        )
        .examples(EXAMPLES)
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the effective configuration, each value with its origin, and end"),
        );
    options::add_to(command)
}

pub fn run(matches: &ArgMatches) -> Exit {
    let source = SettingsSource::new(matches.clone());
    let settings = source.load()?;
    if matches.get_flag("print-config") {
        print(&effective::text_for(&settings, terminal::width()))?;
        return Ok(0);
    }
    operational_log::start(&settings);
    panics::watch();
    let cannot_start =
        |error: std::io::Error| Failure::machine(format!("cannot start: {}", reason(&error)));
    survive_the_file_size_limit().map_err(cannot_start)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_start)?;
    runtime.block_on(async {
        let signals = Signals::listen()?;
        here::check_start(&settings).map_err(|why| here::named(&settings, why))?;
        let running = assemble::start(&settings).map_err(|why| here::named(&settings, why))?;
        if running.shared.config.upstream_insecure {
            tracing::warn!(
                "--upstream-insecure: the portal's certificate is NOT checked; whoever stands in between can read and change every call"
            );
        }
        if let Some(certificates) = &running.shared.certificates {
            certificates.say_warnings();
        }
        let has_front = !settings.trusted_proxies.is_empty();
        let open = warnings::of_listeners(running.listeners.iter().copied(), has_front);
        for warning in warnings::of_environment().into_iter().chain(open) {
            tracing::warn!("{warning}");
        }
        let admin_listen = running
            .admin
            .as_ref()
            .map(|admin| admin.address().to_string());
        tracing::info!(
            listen = running.addresses.join(", "),
            admin_listen,
            "serving"
        );
        let supervisor = Supervisor {
            server: running.server,
            telemetry: Arc::clone(&running.shared.telemetry),
            drain_delay: settings.time.drain_delay,
            drain_timeout: settings.time.drain,
            reloads: running.reloads,
            reload: Reload::new(source, settings, running.shared),
        };
        supervisor.stay(signals).await
    })
}
