//! What the log is to prove itself with: `--instance`, `--heartbeat-interval`, `--watched-log`; and the heart that beats.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use crate::catalogue::Catalogue;
use crate::ladder::Methods;
use crate::telemetry::Telemetry;
use crate::telemetry::logging::{WatchedLog, WatchedLogs};
use crate::telemetry::reader::HEARTBEAT;
use crate::telemetry::run::Run;

/// The longest name of an instance, in bytes.
const LONGEST_NAME: usize = 100;

/// A name that each line of the log bears.
pub fn instance(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err(format!(
            "a name has 1 to {LONGEST_NAME} bytes and no control characters"
        ));
    }
    Ok(text.to_owned())
}

/// A time of at least a second.
pub fn interval(text: &str) -> Result<Duration, String> {
    match super::values::duration(text)? {
        short if short < Duration::from_secs(1) => {
            Err("it is too short; give it at least 1s".to_owned())
        }
        long if long.subsec_nanos() != 0 => {
            Err("give it in whole seconds, as 30s or 1h".to_owned())
        }
        some => Ok(some),
    }
}

/// One value of `--watched-log`: for all methods, or for one.
pub fn watched_log(text: &str) -> Result<(Option<String>, WatchedLog), String> {
    let (method, how) = match text.rsplit_once('=') {
        Some((method, how)) => (Some(method), how),
        None => (None, text),
    };
    let how = super::values::choice(
        how.trim(),
        &[("each", WatchedLog::Each), ("hourly", WatchedLog::Hourly)],
    )?;
    let method = method.map(Methods::parse).transpose()?;
    match method {
        Some(method) if !method.is_name() => Err(format!(
            "`{}` is a pattern; name each method",
            method.text()
        )),
        method => Ok((method.map(|method| method.text().to_owned()), how)),
    }
}

/// All values of `--watched-log` together. A method that no rule knows is a mistake.
pub fn watched_logs(
    values: &[(Option<String>, WatchedLog)],
    catalogue: &Catalogue,
) -> Result<WatchedLogs, String> {
    let mut logs = WatchedLogs::default();
    for (method, how) in values {
        match method {
            None => logs.usual = *how,
            Some(method) if catalogue.find(method.as_bytes()).is_none() => {
                return Err(format!(
                    "--watched-log: no rule knows {method}; see b24-migration-proxy rules"
                ));
            }
            Some(method) => {
                logs.by_method.insert(method.clone(), *how);
            }
        }
    }
    Ok(logs)
}

/// Writes heartbeats when they are due, and sums when their hour is over, until it is dropped.
pub async fn beat(telemetry: Arc<Telemetry>) {
    let run: &Run = telemetry.run();
    let mut heartbeat = run.next_heartbeat(SystemTime::now());
    loop {
        let now = SystemTime::now();
        if now >= heartbeat {
            telemetry.mark(HEARTBEAT, now);
            heartbeat = run.next_heartbeat(now);
        } else {
            telemetry.write_due_sums(now);
        }
        // Not longer than a second: the clock may be set.
        let wait = heartbeat
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        sleep(wait.clamp(Duration::from_millis(1), Duration::from_secs(1))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_watched_calls_are_logged_is_for_all_or_for_a_method() {
        let read = |texts: &[&str]| {
            let values: Vec<_> = texts
                .iter()
                .map(|text| watched_log(text).unwrap())
                .collect();
            watched_logs(&values, &Catalogue::builtin())
        };
        let logs = read(&["hourly", "CRM.lead.list=each"]).unwrap();
        assert_eq!(logs.usual, WatchedLog::Hourly);
        assert_eq!(logs.by_method["crm.lead.list"], WatchedLog::Each);
        assert!(
            read(&["crm.laed.list=each"])
                .unwrap_err()
                .contains("no rule knows crm.laed.list")
        );
        for wrong in ["daily", "crm.*=each", "a b=each", "=each", ""] {
            assert!(watched_log(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_instance_has_a_name_and_an_interval_whole_seconds() {
        assert_eq!(instance(" pod-1 ").unwrap(), "pod-1");
        assert!(
            instance("").is_err()
                && instance("a\nb").is_err()
                && instance(&"a".repeat(101)).is_err()
        );
        assert_eq!(interval("1h"), Ok(Duration::from_secs(3600)));
        assert!(
            interval("500ms").is_err() && interval("1500ms").is_err() && interval("0").is_err()
        );
    }
}
