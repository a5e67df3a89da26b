//! What a run tells of itself in the log: `start`, `heartbeat` and `stop`, each with what it has counted and which rules it
//! knows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::event::SCHEMA;
use super::json::Object;
use super::logging::RulesKnown;
use super::reader::Counts;

/// What is told of a run in each of these lines.
#[derive(Clone, Debug)]
pub struct Run {
    /// Which replica it is.
    pub instance: String,
    /// When it was started: its name among the runs of the instance.
    pub started: SystemTime,
    /// How often it says that it lives.
    pub interval: Duration,
}

impl Run {
    /// A run that starts now.
    pub fn now(instance: &str, interval: Duration) -> Self {
        Self {
            instance: instance.to_owned(),
            started: SystemTime::now(),
            interval,
        }
    }

    /// Appends one of these lines. `heartbeats` is how many the run has written, with this one.
    pub fn write(
        &self,
        event: &str,
        now: SystemTime,
        rules: &RulesKnown,
        heartbeats: u64,
        counts: &Counts,
        out: &mut Vec<u8>,
    ) {
        let mut line = Object::begin(out);
        line.number("schema", SCHEMA)
            .moment("timestamp", now)
            .text("event", event)
            .text("instance", &self.instance)
            .moment("started", self.started)
            .text("version", env!("CARGO_PKG_VERSION"))
            .text("rules", &rules.hash)
            .number("methods", rules.methods)
            .number("interval_s", self.interval.as_secs())
            .number("heartbeats", heartbeats);
        let mut object = Object::begin(line.member("counts"));
        let Counts {
            requests,
            calls,
            batches,
            rewritten,
            observed,
            refused,
            unread,
            lines,
            dropped,
        } = *counts;
        object
            .number("requests", requests)
            .number("calls", calls)
            .number("batches", batches)
            .number("rewritten", rewritten)
            .number("observed", observed)
            .number("refused", refused)
            .number("unread", unread)
            .number("lines", lines)
            .number("dropped", dropped);
        object.end();
        line.end();
        out.push(b'\n');
    }

    /// When the next heartbeat is due after `now`: at a whole multiple of the interval since 1970, so that one of an hour
    /// comes with the full hour, when the sums of the last one are written.
    pub fn next_heartbeat(&self, now: SystemTime) -> SystemTime {
        let interval = self.interval.as_secs().max(1);
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        UNIX_EPOCH + Duration::from_secs((seconds / interval + 1) * interval)
    }
}

/// This machine's name.
pub fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(interval: u64) -> Run {
        Run {
            instance: "pod-1".to_owned(),
            started: UNIX_EPOCH + Duration::from_millis(1_795_652_717_042),
            interval: Duration::from_secs(interval),
        }
    }

    #[test]
    fn a_heartbeat_has_the_fields_of_the_documentation() {
        let mut out = Vec::new();
        let counts = Counts {
            requests: 1,
            calls: 2,
            batches: 3,
            rewritten: 4,
            observed: 5,
            refused: 6,
            unread: 7,
            lines: 8,
            dropped: 9,
        };
        let rules = RulesKnown {
            hash: "0123456789abcdef".to_owned(),
            methods: 234,
        };
        run(3600).write("heartbeat", UNIX_EPOCH, &rules, 12, &counts, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                concat!(
                    r#"{{"schema":1,"timestamp":"1970-01-01T00:00:00.000Z","event":"heartbeat","instance":"pod-1","#,
                    r#""started":"2026-11-26T00:25:17.042Z","version":"{}","rules":"0123456789abcdef","methods":234,"#,
                    r#""interval_s":3600,"heartbeats":12,"counts":{{"requests":1,"calls":2,"batches":3,"rewritten":4,"observed":5,"#,
                    r#""refused":6,"unread":7,"lines":8,"dropped":9}}}}"#,
                    "\n"
                ),
                env!("CARGO_PKG_VERSION")
            )
        );
    }

    #[test]
    fn heartbeats_come_at_whole_multiples_of_their_interval() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(run(3600).next_heartbeat(at(3599)), at(3600));
        assert_eq!(run(3600).next_heartbeat(at(3600)), at(7200));
        assert_eq!(
            run(1).next_heartbeat(at(5) + Duration::from_millis(1)),
            at(6)
        );
    }
}
