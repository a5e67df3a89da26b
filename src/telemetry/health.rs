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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_wanted_only_while_serving() {
        let health = Health::default();
        assert_eq!(
            health.readyz(),
            (503, "starting\nupstream: not tried yet\n".to_owned())
        );
        health.enter(Stage::Serving);
        assert_eq!(health.readyz().0, 200);
        health.enter(Stage::Draining);
        assert_eq!(health.readyz().0, 503);
        assert!(health.readyz().1.starts_with("draining\n"));
    }

    #[test]
    fn the_portals_state_is_that_of_the_last_attempt_and_changes_no_status() {
        let health = Health::default();
        health.enter(Stage::Serving);
        health.upstream_failed("connection refused\nby 192.0.2.1:443");
        let (status, text) = health.readyz();
        assert_eq!(
            (status, text.as_str()),
            (
                200,
                "ready\nupstream: failed 0 s ago: connection refused by 192.0.2.1:443\n"
            )
        );
        assert!(health.upstream_error().is_some());
        health.upstream_reached();
        assert!(health.readyz().1.contains("upstream: reached 0 s ago"));
        assert_eq!(health.upstream_error(), None);
    }

    #[test]
    fn trouble_with_the_log_is_said_and_is_no_reason_to_be_killed() {
        let health = Health::default();
        let well = LogStatus {
            ok: true,
            ..LogStatus::default()
        };
        assert_eq!(
            health.healthz(&well),
            (200, "ok\ndeprecation log: written\n".to_owned())
        );
        let ill = LogStatus {
            queued: 3,
            dropped: 2,
            last_error: Some("No space left".to_owned()),
            ..LogStatus::default()
        };
        let (status, text) = health.healthz(&ill);
        assert_eq!(status, 200);
        assert_eq!(
            text,
            "degraded\ndeprecation log: cannot be written: No space left; 3 lines wait in memory\n\
             deprecation log: 2 lines were dropped since the start\n"
        );
    }

    #[test]
    fn times_are_told_in_the_unit_that_people_would_use() {
        let told = |seconds| ago(Duration::from_secs(seconds));
        assert_eq!(
            [told(0), told(119), told(120), told(7200)],
            ["0 s", "119 s", "2 min", "2 h"]
        );
    }
}
