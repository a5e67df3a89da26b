//! The operational log: what operators read about the proxy itself, on standard error.
//!
//! Only this crate speaks in it, whatever the level: at `trace` a library may print a head or a body, and with it a
//! credential. Nobody waits for whoever reads it: what standard error does not take at once is dropped, and the next line
//! that it takes says how many were.

use std::io::{self, IsTerminal};
use std::sync::LazyLock;

use jiff::Timestamp;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::settings::{LogFormat, Settings};
use crate::telemetry::log::Stderr;

static STDERR: LazyLock<Stderr> = LazyLock::new(Stderr::open);

/// Writes each event, which comes as one line.
#[derive(Clone, Copy)]
struct Lines(LogFormat);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.write(line, |lost| self.of_lost(lost));
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn of_lost(self, lost: u64) -> Vec<u8> {
        let now = Timestamp::now();
        const SAID: &str =
            "lines of this log were dropped: nobody read standard error, or not fast enough";
        match self.0 {
            LogFormat::Text => format!("{now:.6}  WARN {SAID} lost={lost}\n"),
            LogFormat::Json => {
                format!("{{\"timestamp\":\"{now:.6}\",\"level\":\"WARN\",\"message\":\"{SAID}\",\"lost\":{lost}}}\n")
            }
        }
        .into_bytes()
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// Starts it for the whole process. A second call changes nothing.
pub fn start(settings: &Settings) {
    let ours = Targets::new().with_target("b24_migration_proxy", settings.log_level);
    let text = fmt::layer()
        .with_writer(Lines(settings.log_format))
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
