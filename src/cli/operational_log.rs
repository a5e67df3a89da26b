//! The operational log: what operators read about the proxy itself, on standard error.
//!
//! Only this crate speaks in it, whatever the level: at `trace` a library may print a head or a body, and with it a
//! credential.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::settings::{LogFormat, Settings};

/// Starts it for the whole process. A second call changes nothing.
pub fn start(settings: &Settings) {
    let ours = Targets::new().with_target("b24_migration_proxy", settings.log_level);
    let text = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let layer = match settings.log_format {
        LogFormat::Text => text.with_filter(ours).boxed(),
        LogFormat::Json => text
            .json()
            .flatten_event(true)
            .with_target(true)
            .with_filter(ours)
            .boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer).try_init();
}
