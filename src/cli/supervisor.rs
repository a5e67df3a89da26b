//! A running proxy's life as its main thread leads it: signals in, reloads, the drain, the exit status out; and what a
//! service manager is told of it.

use std::future::Future;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::evidence::beat;
use super::failure::Failure;
use super::mode_watch::ModeWatch;
use super::reload::Reload;
use crate::admin::ReloadRequest;
use crate::proxy::{Cut, Server, Shared};
use crate::telemetry::Telemetry;
use crate::telemetry::health::{Said, Stage};
use crate::telemetry::reader::STOP;

/// How long threads get to end after everything was cut, and the log to take what waits.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// How long the end waits for a log that takes nothing.
const WITHOUT_PROGRESS: Duration = Duration::from_secs(1);

/// How often `--watch-config` looks at the files.
const LOOK_AT_FILES: Duration = Duration::from_millis(500);

/// Everything that a running proxy is made of, as its main thread sees it.
pub struct Supervisor {
    pub server: Server,
    pub telemetry: Arc<Telemetry>,
    pub reload: Reload,
    /// What `POST /-/reload` asks for.
    pub reloads: mpsc::Receiver<ReloadRequest>,
    /// From the signal to the closing of the listeners.
    pub drain_delay: Duration,
    /// From there to the cutting of what is still in flight.
    pub drain_timeout: Duration,
}

impl Supervisor {
    /// Stays until the server has ended. Gives the exit status: 0, or 1 when calls had to be cut.
    pub async fn stay(mut self, mut signals: Signals) -> Result<u8, Failure> {
        let ticking = tokio::spawn(tick(self.reload.shared(), self.reload.modes()));
        let beating = tokio::spawn(beat(Arc::clone(&self.telemetry)));
        self.telemetry.health.enter(Stage::Serving);
        tell(&[NotifyState::Ready]);

        let signal = self.until_stopped(&mut signals).await;
        tracing::info!(signal, "stopping: calls in flight end first");
        self.telemetry.health.enter(Stage::Draining);
        tell(&[NotifyState::Stopping]);
        self.telemetry.write_sums();
        self.drain(&mut signals).await;
        ticking.abort();
        beating.abort();

        let cut = self.server.join();
        // Behind the last line of any call, also of those that were cut.
        self.telemetry.mark(STOP, SystemTime::now());
        write_last_lines(&self.telemetry).await;
        let Cut { requests, tunnels } = cut;
        if requests == 0 {
            tracing::info!(
                tunnels_cut = tunnels,
                "stopped; every call that had come was answered"
            );
            Ok(0)
        } else {
            tracing::error!(
                cut = requests,
                tunnels_cut = tunnels,
                "stopped; calls were cut that had not ended in time"
            );
            Ok(1)
        }
    }

    /// Does what signals, the admin address and changed files ask for until a signal asks to stop; gives its name.
    async fn until_stopped(&mut self, signals: &mut Signals) -> &'static str {
        let mut looks = interval(LOOK_AT_FILES);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop(signal) => break signal,
                    Asked::Reopen => self.reopen(),
                    Asked::Reload => {
                        self.reopen();
                        let _ = self.reload("SIGHUP");
                    }
                },
                Some(asked) = self.reloads.recv() => {
                    let _ = asked.send(self.reload("/-/reload"));
                }
                _ = looks.tick() => {
                    if self.reload.is_due() {
                        let _ = self.reload("--watch-config");
                    }
                }
            }
        };
        // Who asks from now on, or has just asked, is told at once.
        self.reloads.close();
        while self.reloads.try_recv().is_ok() {}
        stopped
    }

    /// Reads the configuration again, and tells the service manager.
    fn reload(&mut self, cause: &'static str) -> Result<Vec<&'static str>, String> {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
        let outcome = self.reload.run(cause);
        self.server.look_at_pacing();
        tell(&[NotifyState::Ready]);
        outcome
    }

    fn reopen(&self) {
        match self.telemetry.reopen_logs() {
            Ok(()) => tracing::info!("logs are open again at their paths"),
            Err(error) => {
                tracing::error!(%error, "a log cannot be opened again; it goes on with the file that it has")
            }
        }
    }

    /// Ends the server: at the latest after both times, or at once at a second signal.
    async fn drain(&mut self, signals: &mut Signals) {
        let second = self
            .unless_stopped(signals, sleep(self.drain_delay))
            .await
            .is_none();
        self.server.drain();
        let ended = if second {
            None
        } else {
            tokio::select! {
                ended = timeout(self.drain_timeout, self.server.ended()) => Some(ended.is_ok()),
                _ = signals.stopped() => None,
            }
        };
        match ended {
            Some(true) => return,
            Some(false) => {
                tracing::warn!(limit = ?self.drain_timeout, "the time to drain is over; what is in flight is cut")
            }
            None => tracing::warn!("a second signal; what is in flight is cut"),
        }
        self.server.cut();
        let _ = timeout(LAST_MOMENT, self.server.ended()).await;
    }

    /// What the work gives, or None when a signal to stop comes first.
    async fn unless_stopped<T>(
        &self,
        signals: &mut Signals,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = signals.stopped() => None,
        }
    }
}

/// Tries once more to write what waits, for as long as that gets on; says what is lost.
async fn write_last_lines(telemetry: &Telemetry) {
    let lost = || {
        let status = telemetry.log.status();
        (status.queued, status.dropped)
    };
    let end = Instant::now() + LAST_MOMENT;
    let (mut waiting, mut moved) = (u64::MAX, Instant::now());
    loop {
        telemetry.tick();
        let (queued, _) = lost();
        let now = Instant::now();
        if queued < waiting {
            (waiting, moved) = (queued, now);
        }
        if queued == 0 || now > end || now - moved > WITHOUT_PROGRESS {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let (queued, dropped) = lost();
    if queued + dropped > 0 {
        tracing::error!(
            lost = queued + dropped,
            unwritten = queued,
            dropped,
            "the deprecation log could not be written to the end; these lines are lost"
        );
    }
}

/// The signals that a proxy listens to.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    reopen: Signal,
}

/// What a signal asks for.
enum Asked {
    Stop(&'static str),
    /// SIGHUP: read the configuration again, open the logs again.
    Reload,
    /// SIGUSR1: open the logs again.
    Reopen,
}

impl Signals {
    /// Listens to them, and keeps what comes: before anything is served, for each of them would end the process by itself.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::found(format!("cannot listen to signals: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
            reopen: listen(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.reload.recv() => Asked::Reload,
            _ = self.reopen.recv() => Asked::Reopen,
        }
    }

    /// Resolves at the next signal to stop; all others are passed over.
    async fn stopped(&mut self) {
        while !matches!(self.next().await, Asked::Stop(_)) {}
    }
}

/// Once a second: rotated logs are noticed, waiting lines written, new certificates taken, changes of modes told, and the
/// service manager sees that we live.
async fn tick(shared: Arc<Shared>, modes: Arc<ModeWatch>) {
    let watched = sd_notify::watchdog_enabled().is_some();
    let mut certificates = CertificateWatch::default();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        shared.telemetry.tick();
        certificates.look(&shared);
        for line in shared.telemetry.health.to_say(Instant::now()) {
            match line {
                Said::Trouble(what) => tracing::warn!("{what}"),
                Said::Over(what) => tracing::info!("{what}"),
            }
        }
        modes.look(Timestamp::now());
        if watched {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// Takes new certificates when their files have changed. What is wrong with them is said once, not every second.
#[derive(Default)]
struct CertificateWatch {
    said: Option<String>,
}

impl CertificateWatch {
    fn look(&mut self, shared: &Shared) {
        let Some(certificates) = shared
            .certificates
            .as_ref()
            .filter(|certificates| certificates.changed())
        else {
            return;
        };
        match certificates.reload() {
            Ok(()) => {
                self.said = None;
                shared
                    .telemetry
                    .metrics
                    .set_certificates(certificates.ends());
                tracing::info!(
                    "the certificates' files have changed; new connections get the new ones"
                );
                certificates.say_warnings();
            }
            Err(why) if self.said.as_ref() != Some(&why) => {
                tracing::error!(
                    "the certificates' files have changed and cannot be used; the old ones stay: {why}"
                );
                self.said = Some(why);
            }
            Err(_) => {}
        }
    }
}

/// Tells the service manager, where there is one (`NOTIFY_SOCKET`). It cannot help us if it does not listen.
fn tell(state: &[NotifyState<'_>]) {
    // sd-notify knows sockets in the file system only; `@NAME` is one without a file (sd_notify(3)).
    let socket = std::env::var_os("NOTIFY_SOCKET");
    let _ = match socket
        .as_ref()
        .and_then(|name| name.as_bytes().strip_prefix(b"@"))
    {
        None => sd_notify::notify(state),
        Some(name) => tell_abstract(name, state),
    };
}

fn tell_abstract(name: &[u8], state: &[NotifyState<'_>]) -> io::Result<()> {
    let lines: String = state.iter().map(|state| format!("{state}\n")).collect();
    let address = SocketAddr::from_abstract_name(name)?;
    UnixDatagram::unbound()?.send_to_addr(lines.as_bytes(), &address)?;
    Ok(())
}
