//! A running proxy's life as its main thread leads it: signals in, the drain, the exit status out.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::settings::Settings;
use crate::proxy::Server;

/// The signals that a proxy listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    /// Only listened to, so that it does not end the process: a file-size limit is a failed write like any other.
    _file_size: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        // SIGXFSZ has this number on every Linux that Rust runs on, but MIPS.
        const FILE_SIZE: i32 = 25;
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE))?,
        })
    }

    /// The next request to stop, by its name; each reload before it is done here.
    async fn reload_until_stop(&mut self, on_reload: impl Fn()) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "Ctrl-C",
                _ = self.reload.recv() => on_reload(),
            }
        }
    }

    async fn stop(&mut self) -> &'static str {
        self.reload_until_stop(|| {}).await
    }
}

/// Stays with the server until it has ended. Gives the exit status: 0, or 1 when calls had to be cut.
pub async fn stay(
    mut server: Server,
    settings: &Settings,
    on_reload: impl Fn(),
) -> Result<u8, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::found(format!("cannot listen to signals: {error}")))?;
    let signal = signals.reload_until_stop(on_reload).await;
    tracing::info!(signal, "stopping: calls in flight end first");
    drain(
        &mut server,
        &mut signals,
        settings.time.drain_delay,
        settings.time.drain,
    )
    .await;
    let cut = server.join();
    if cut == 0 {
        tracing::info!("stopped; every call that had come was answered");
        Ok(0)
    } else {
        tracing::error!(cut, "stopped; calls were cut that had not ended in time");
        Ok(1)
    }
}

/// Ends the server: at the latest after both times, or at once at a second signal.
async fn drain(server: &mut Server, signals: &mut Signals, delay: Duration, limit: Duration) {
    let again = tokio::select! {
        () = sleep(delay) => None,
        signal = signals.stop() => Some(signal),
    };
    server.drain();
    let again = match again {
        Some(signal) => Some(signal),
        None => tokio::select! {
            ended = timeout(limit, server.ended()) => match ended {
                Ok(()) => return,
                Err(_) => None,
            },
            signal = signals.stop() => Some(signal),
        },
    };
    match again {
        Some(signal) => tracing::warn!(signal, "a second signal: what is in flight is cut"),
        None => tracing::warn!(
            ?limit,
            "the time to drain is over: what is in flight is cut"
        ),
    }
    server.cut();
    let _ = timeout(Duration::from_secs(5), server.ended()).await;
}
