//! Whether the proxy works and whether it wants traffic: `/healthz` and `/readyz`.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::log::LogStatus;

/// Where in its life the process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Not all listeners are open yet.
    #[default]
    Starting,
    /// Ready for traffic.
    Serving,
    /// Ending: what is in flight is finished, nothing new is wanted.
    Draining,
}

/// The stage and the last attempt to reach the portal.
#[derive(Debug, Default)]
pub struct Health(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    stage: Stage,
    upstream: Option<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    at: Instant,
    /// What went wrong, for people; nothing when it went well.
    error: Option<String>,
}

impl Health {
    /// The process enters a stage.
    pub fn enter(&self, stage: Stage) {
        self.known().stage = stage;
    }

    /// The stage that the process is in.
    pub fn stage(&self) -> Stage {
        self.known().stage
    }

    /// The portal was reached: its connection was made, or it answered. Cheap enough for each new connection, not meant for
    /// each request.
    pub fn upstream_reached(&self) {
        self.known().upstream = Some(Attempt {
            at: Instant::now(),
            error: None,
        });
    }

    /// The portal could not be reached; `error` says why and holds no secret.
    pub fn upstream_failed(&self, error: impl Into<String>) {
        self.known().upstream = Some(Attempt {
            at: Instant::now(),
            error: Some(error.into()),
        });
    }

    /// What went wrong at the last attempt to reach the portal; nothing when it went well or there was none.
    pub fn upstream_error(&self) -> Option<String> {
        self.known()
            .upstream
            .as_ref()
            .and_then(|attempt| attempt.error.clone())
    }

    /// Status and text of `/readyz`: 200 while traffic is wanted, 503 before and after. The portal's state is said in the
    /// text and never changes the status: another replica would have the same portal.
    pub fn readyz(&self) -> (u16, String) {
        let known = self.known();
        let (status, mut text) = match known.stage {
            Stage::Starting => (503, "starting\n".to_owned()),
            Stage::Serving => (200, "ready\n".to_owned()),
            Stage::Draining => (503, "draining\n".to_owned()),
        };
        match &known.upstream {
            None => text.push_str("upstream: not tried yet\n"),
            Some(Attempt { at, error: None }) => {
                let _ = writeln!(text, "upstream: reached {} ago", ago(at.elapsed()));
            }
            Some(Attempt {
                at,
                error: Some(error),
            }) => {
                let _ = writeln!(
                    text,
                    "upstream: failed {} ago: {}",
                    ago(at.elapsed()),
                    one_line(error)
                );
            }
        }
        (status, text)
    }

    /// Status and text of `/healthz`: always 200 while the process answers, for a probe must not kill what still holds
    /// events; trouble with the log stands in the text.
    pub fn healthz(&self, log: &LogStatus) -> (u16, String) {
        let mut text = if log.ok {
            "ok\n".to_owned()
        } else {
            "degraded\n".to_owned()
        };
        if log.ok {
            text.push_str("deprecation log: written\n");
        } else {
            let error = log.last_error.as_deref().unwrap_or("unknown");
            let _ = writeln!(
                text,
                "deprecation log: cannot be written: {}; {} lines wait in memory",
                one_line(error),
                log.queued
            );
        }
        if log.dropped > 0 {
            let _ = writeln!(
                text,
                "deprecation log: {} lines were dropped since the start",
                log.dropped
            );
        }
        (200, text)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn ago(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
