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

/// The least time between two lines of the operational log about one trouble.
const PAUSE: Duration = Duration::from_secs(10);

/// A line for the operational log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Something is wrong.
    Trouble(String),
    /// It is over.
    Over(String),
}

/// Attempts to reach the portal that failed, until it is reached again and both are said.
#[derive(Debug)]
struct Outage {
    since: Instant,
    why: String,
    failed: u64,
    /// When it was reached again.
    ended: Option<Instant>,
    is_said: bool,
}

/// Handshakes of clients that failed, by why.
#[derive(Debug, Default)]
struct Handshakes {
    failed: std::collections::BTreeMap<&'static str, u64>,
    said: Option<Instant>,
}

#[derive(Debug, Default)]
struct Known {
    stage: Stage,
    upstream: Option<Attempt>,
    outage: Option<Outage>,
    outage_said: Option<Instant>,
    handshakes: Handshakes,
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
        let mut known = self.known();
        let at = Instant::now();
        known.upstream = Some(Attempt { at, error: None });
        if let Some(outage) = &mut known.outage {
            outage.ended.get_or_insert(at);
        }
    }

    /// The portal could not be reached; `error` says why and holds no secret.
    pub fn upstream_failed(&self, error: impl Into<String>) {
        let mut known = self.known();
        let (at, error) = (Instant::now(), error.into());
        let outage = known.outage.get_or_insert_with(|| Outage {
            since: at,
            why: String::new(),
            failed: 0,
            ended: None,
            is_said: false,
        });
        outage.failed += 1;
        outage.ended = None;
        outage.why.clone_from(&error);
        known.upstream = Some(Attempt {
            at,
            error: Some(error),
        });
    }

    /// The TLS handshake of a client failed; `why` is one of few texts.
    pub fn handshake_failed(&self, why: &'static str) {
        *self.known().handshakes.failed.entry(why).or_default() += 1;
    }

    /// What the operational log is to say now; to be asked once a second.
    pub fn to_say(&self, now: Instant) -> Vec<Said> {
        let mut known = self.known();
        let due = |said: Option<Instant>| said.is_none_or(|said| now.duration_since(said) >= PAUSE);
        let mut lines = Vec::new();
        let is_due = due(known.outage_said);
        let mut over = false;
        if let Some(outage) = &mut known.outage {
            if !outage.is_said && is_due {
                outage.is_said = true;
                let why = one_line(&outage.why);
                lines.push(Said::Trouble(format!(
                    "the portal cannot be reached: {why}"
                )));
            }
            if let Some(ended) = outage.ended.filter(|_| outage.is_said) {
                let failed = outage.failed;
                let lasted = ago(ended.saturating_duration_since(outage.since));
                lines.push(Said::Over(format!(
                    "the portal is reached again, after {lasted} in which {failed} attempts failed"
                )));
                over = true;
            }
        }
        if over {
            known.outage = None;
        }
        if lines.iter().any(|line| matches!(line, Said::Trouble(_))) {
            known.outage_said = Some(now);
        }
        if !known.handshakes.failed.is_empty() && due(known.handshakes.said) {
            let failed = std::mem::take(&mut known.handshakes.failed);
            let parts: Vec<_> = failed
                .iter()
                .map(|(why, count)| format!("{count} times {why}"))
                .collect();
            lines.push(Said::Trouble(format!(
                "TLS handshakes of clients failed: {}",
                parts.join("; ")
            )));
            known.handshakes.said = Some(now);
        }
        lines
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
    fn an_outage_is_said_once_with_its_reason_and_its_end() {
        let health = Health::default();
        let start = Instant::now();
        assert_eq!(health.to_say(start), []);
        health.upstream_failed("it refused the connection");
        health.upstream_failed("it refused\nthe connection");
        let down = Said::Trouble("the portal cannot be reached: it refused the connection".into());
        assert_eq!(health.to_say(start), [down]);
        health.upstream_failed("it refused the connection");
        assert_eq!(health.to_say(start), []);
        health.upstream_reached();
        let back = "the portal is reached again, after 0 s in which 3 attempts failed";
        assert_eq!(health.to_say(start), [Said::Over(back.into())]);
        // One that comes and goes is said at most every ten seconds.
        for _ in 0..5 {
            health.upstream_failed("x");
            health.upstream_reached();
            assert_eq!(health.to_say(start + PAUSE / 2), []);
        }
        let lines = health.to_say(start + PAUSE);
        assert_eq!(
            lines,
            [
                Said::Trouble("the portal cannot be reached: x".into()),
                Said::Over(
                    "the portal is reached again, after 0 s in which 5 attempts failed".into()
                )
            ]
        );
        assert_eq!(health.to_say(start + PAUSE * 3), []);
    }

    #[test]
    fn handshakes_that_fail_are_summed_up() {
        let health = Health::default();
        let start = Instant::now();
        health.handshake_failed("b");
        let one = Said::Trouble("TLS handshakes of clients failed: 1 times b".into());
        assert_eq!(health.to_say(start), [one]);
        for why in ["b", "a", "b"] {
            health.handshake_failed(why);
            assert_eq!(health.to_say(start), []);
        }
        let sum = Said::Trouble("TLS handshakes of clients failed: 1 times a; 2 times b".into());
        assert_eq!(health.to_say(start + PAUSE), [sum]);
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
