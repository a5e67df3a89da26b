use super::*;
use serde_json::{Value, json};

/// Writes a log as a proxy does.
struct Log {
    lines: Vec<Value>,
    instance: &'static str,
    /// Minutes since the begin.
    now: u64,
    started: u64,
    heartbeats: u64,
    counts: Counts,
}

const HOUR: u64 = 60;
const BEGIN: u64 = 1_793_491_200_000;

fn at(minute: u64) -> u64 {
    BEGIN + minute * 60_000
}

impl Log {
    /// A run that has just started.
    fn start(instance: &'static str, now: u64) -> Self {
        let mut log = Self {
            lines: Vec::new(),
            instance,
            now,
            started: now,
            heartbeats: 0,
            counts: Counts::default(),
        };
        log.mark("start");
        log
    }

    fn mark(&mut self, event: &str) {
        self.heartbeats += u64::from(event == "heartbeat");
        self.lines.push(json!({
            "schema": 1, "timestamp": output::moment(at(self.now)), "event": event, "instance": self.instance,
            "started": output::moment(at(self.started)), "version": "0.1.0", "rules": "known", "methods": 234,
            "interval_s": 3600, "heartbeats": self.heartbeats, "counts": self.counts,
        }));
    }

    /// So many hours with a heartbeat and ordinary calls in each.
    fn hours(&mut self, hours: u64) {
        for _ in 0..hours {
            self.now += HOUR;
            self.counts.requests += 12;
            self.counts.calls += 10;
            self.counts.batches += 1;
            self.mark("heartbeat");
        }
    }

    fn line(&mut self, rest: Value) {
        let mut line = json!({
            "schema": 1, "timestamp": output::moment(at(self.now)), "event": "deprecated_call", "instance": self.instance,
            "method": "crm.lead.list", "caller": {"key": "webhook:p:7:0", "user": "7"},
        });
        for (name, value) in rest.as_object().unwrap() {
            line[name] = value.clone();
        }
        self.lines.push(line);
        self.counts.lines += 1;
    }

    /// A call a minute later.
    fn call(&mut self, action: &str) {
        self.now += 1;
        match action {
            "observed" => self.counts.observed += 1,
            "refused" => self.counts.refused += 1,
            _ => self.counts.rewritten += 1,
        }
        self.line(json!({ "action": action }));
        self.now -= 1;
    }

    fn stop(&mut self) {
        self.now += 1;
        self.mark("stop");
    }
}

/// The first 48 hours, asked right after them.
fn question() -> Question {
    Question {
        methods: Vec::new(),
        since: at(0),
        until: None,
        replicas: 1,
        instances: Vec::new(),
        allow_unread: false,
        rules: vec!["known".to_owned()],
        now: at(48 * HOUR),
    }
}

fn of_method() -> Question {
    Question {
        methods: vec!["crm.lead.list".to_owned()],
        ..question()
    }
}

fn verdict(question: &Question, lines: &[Value]) -> Verdict {
    let mut proof = Proof::new(question.clone(), None);
    for line in lines {
        let text = line.to_string();
        proof.take(&Line::read(text.as_bytes()).unwrap_or_else(|| panic!("{text}")));
    }
    proof.verdict()
}

fn status(question: &Question, lines: &[Value]) -> u8 {
    verdict(question, lines).status()
}

/// The reasons of the holes, in words.
fn why(question: &Question, lines: &[Value]) -> Vec<String> {
    let holes = verdict(question, lines).holes;
    holes.iter().map(|hole| hole.why.to_string()).collect()
}

#[test]
fn zero_is_proved_where_nothing_was_rewritten_and_somebody_looked_all_the_time() {
    let mut log = Log::start("a", 0);
    log.hours(24);
    log.call("observed");
    log.hours(24);
    let verdict = verdict(&question(), &log.lines);
    assert_eq!((verdict.status(), &verdict.holes[..]), (0, &[][..]));
    assert_eq!((verdict.since, verdict.until), (at(0), at(48 * HOUR)));
    assert_eq!(
        (
            verdict.counts.calls,
            verdict.counts.batches,
            verdict.counts.observed
        ),
        (480, 48, 1)
    );
    assert_eq!(
        (verdict.looked[0].runs, verdict.looked[0].heartbeats),
        (1, 48)
    );
    // The watched call is one all the same.
    assert_eq!(status(&of_method(), &log.lines), 1);
}

#[test]
fn one_late_call_is_still_used_with_who_and_when() {
    for action in ["rewritten", "refused"] {
        let mut log = Log::start("a", 0);
        log.hours(47);
        log.call(action);
        log.hours(1);
        let verdict = verdict(&question(), &log.lines);
        assert_eq!(verdict.status(), 1);
        let used = &verdict.used[0];
        assert_eq!(
            (used.caller.as_str(), used.method.as_str(), used.calls),
            ("webhook:p:7:0", "crm.lead.list", 1)
        );
        assert_eq!(used.last, output::moment(at(47 * HOUR + 1)));
    }
}

#[test]
fn a_call_after_the_last_heartbeat_counts_too() {
    let mut log = Log::start("a", 0);
    log.hours(47);
    log.call("rewritten");
    assert_eq!(status(&question(), &log.lines), 1);
}

#[test]
fn a_gap_of_three_hours_is_a_hole_with_its_times() {
    let mut log = Log::start("a", 0);
    log.hours(20);
    log.now += 2 * HOUR;
    log.hours(26);
    let verdict = verdict(&question(), &log.lines);
    assert_eq!(verdict.status(), 2);
    let hole = &verdict.holes[0];
    assert_eq!(
        (hole.from, hole.to, hole.instance.as_deref()),
        (at(20 * HOUR), at(23 * HOUR), Some("a"))
    );
    assert_eq!(verdict.holes.len(), 1);
    // Before and after it all is well.
    let later = Question {
        since: at(23 * HOUR),
        ..question()
    };
    assert_eq!(status(&later, &log.lines), 0);
    let earlier = Question {
        until: Some(at(20 * HOUR)),
        ..question()
    };
    assert_eq!(status(&earlier, &log.lines), 0);
}

#[test]
fn any_line_that_is_deleted_shows() {
    let mut one = Log::start("a", 0);
    let mut other = Log::start("b", 0);
    for day in 0..2 {
        for log in [&mut one, &mut other] {
            log.hours(12);
            log.call("observed");
            log.line(json!({"event": "mode_changed"}));
            log.hours(11);
            if day == 0 {
                log.stop();
                log.now += 1;
                log.started = log.now;
                log.counts = Counts::default();
                log.heartbeats = 0;
                log.mark("start");
                log.now -= 2;
            } else {
                log.hours(1);
            }
        }
    }
    let lines = [one.lines, other.lines].concat();
    let question = Question {
        until: Some(at(47 * HOUR)),
        ..question()
    };
    assert_eq!(status(&question, &lines), 0, "{:?}", why(&question, &lines));
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        let gone = fewer.remove(at);
        assert_eq!(status(&question, &fewer), 2, "{at}: {gone}");
    }
}

#[test]
fn a_torn_line_is_a_hole_unless_it_was_written_again_whole() {
    let mut log = Log::start("a", 0);
    log.hours(10);
    log.call("observed");
    log.hours(38);
    let at = log
        .lines
        .iter()
        .position(|line| line["event"] == "deprecated_call");
    let whole = log.lines[at.unwrap()].to_string();
    let verdict = |replacement: &[&str]| {
        let mut proof = Proof::new(question(), None);
        for line in &log.lines {
            let line = line.to_string();
            let lines = if line == whole {
                replacement.to_vec()
            } else {
                vec![&*line]
            };
            for line in lines.iter().filter_map(|line| Line::read(line.as_bytes())) {
                proof.take(&line);
            }
        }
        proof.verdict()
    };
    let torn = &whole[..whole.len() / 2];
    assert_eq!(verdict(&[torn, &whole]).status(), 0);
    let lost = verdict(&[torn]);
    assert_eq!(lost.status(), 2);
    assert_eq!(
        (lost.holes[0].from, lost.holes[0].to),
        (super::tests::at(10 * HOUR), super::tests::at(11 * HOUR))
    );
    let why = lost.holes[0].why.to_string();
    assert!(
        why.starts_with("1 line was written and 0 are here"),
        "{why}"
    );
}

#[test]
fn any_file_that_is_deleted_shows() {
    let mut log = Log::start("a", 0);
    let mut files = Vec::new();
    for _ in 0..6 {
        log.hours(4);
        log.call("observed");
        log.hours(4);
        files.push(std::mem::take(&mut log.lines));
    }
    assert_eq!(status(&question(), &files.concat()), 0);
    for gone in 0..files.len() {
        let mut fewer = files.clone();
        fewer.remove(gone);
        assert_eq!(status(&question(), &fewer.concat()), 2, "{gone}");
    }
}

#[test]
fn a_missing_replica_is_a_hole() {
    let mut one = Log::start("a", 0);
    one.hours(48);
    let mut late = Log::start("b", 10 * HOUR);
    late.hours(38);
    let lines = [one.lines, late.lines].concat();
    let replicas = |replicas| Question {
        replicas,
        ..question()
    };
    assert_eq!(status(&replicas(1), &lines), 0);
    let two = verdict(&replicas(2), &lines);
    assert_eq!(two.status(), 2);
    assert_eq!((two.holes[0].from, two.holes[0].to), (at(0), at(10 * HOUR)));
    assert_eq!(two.holes[0].why.to_string(), "1 of 2 instances looked");
    assert_eq!(status(&replicas(3), &lines), 2);
    let named = |instances: &[&str]| Question {
        instances: instances.iter().map(ToString::to_string).collect(),
        ..question()
    };
    assert_eq!(status(&named(&["a"]), &lines), 0);
    // Of the others nothing stands on its certificate.
    let of_one = verdict(&named(&["a"]), &lines);
    assert_eq!((of_one.looked.len(), of_one.counts.calls), (1, 480));
    assert_eq!(status(&named(&["a", "b"]), &lines), 2);
    assert_eq!(
        why(&named(&["a", "c"]), &lines),
        ["no line of this instance in these files"]
    );
}

#[test]
fn pods_may_come_and_go() {
    let mut lines = Vec::new();
    for (name, from, hours) in [("pod-1", 0, 10), ("pod-2", 9, 20), ("pod-3", 28, 20)] {
        let mut pod = Log::start(name, from * HOUR);
        pod.hours(hours);
        if name != "pod-3" {
            pod.stop();
        }
        lines.extend(pod.lines);
    }
    assert_eq!(
        status(&question(), &lines),
        0,
        "{:?}",
        why(&question(), &lines)
    );
    // Never two of them at each moment.
    assert_eq!(
        status(
            &Question {
                replicas: 2,
                ..question()
            },
            &lines
        ),
        2
    );
}

#[test]
fn a_clean_restart_within_an_interval_is_no_gap_and_a_longer_one_is() {
    for (minutes, expected) in [(59, 0), (61, 2)] {
        let mut log = Log::start("a", 0);
        log.hours(20);
        log.stop();
        let mut next = Log::start("a", log.now + minutes);
        next.now = 22 * HOUR;
        next.mark("heartbeat");
        next.hours(26);
        let lines = [log.lines, next.lines].concat();
        assert_eq!(
            status(&question(), &lines),
            expected,
            "{minutes}: {:?}",
            why(&question(), &lines)
        );
    }
}

#[test]
fn a_start_without_a_stop_is_a_hole_back_to_the_last_line() {
    let mut log = Log::start("a", 0);
    log.hours(20);
    log.call("observed");
    let next = Log::start("a", 20 * HOUR + 5);
    let mut next = Log {
        now: 21 * HOUR,
        ..next
    };
    next.mark("heartbeat");
    next.hours(27);
    let verdict = verdict(&question(), &[log.lines, next.lines].concat());
    assert_eq!(verdict.status(), 2);
    let hole = verdict
        .holes
        .iter()
        .find(|hole| hole.why == Why::NoStop)
        .unwrap();
    assert_eq!((hole.from, hole.to), (at(20 * HOUR + 1), at(20 * HOUR + 5)));
}

#[test]
fn lines_that_were_dropped_are_a_hole() {
    let mut log = Log::start("a", 0);
    log.hours(20);
    log.counts.dropped = 3;
    log.hours(28);
    assert_eq!(
        why(&question(), &log.lines),
        ["3 lines could not be written"]
    );
}

#[test]
fn unread_calls_need_to_be_allowed() {
    let mut log = Log::start("a", 0);
    log.hours(20);
    log.counts.unread += 1;
    log.line(json!({"event": "unread_call", "reason": "encoding"}));
    log.hours(28);
    let unread = verdict(&question(), &log.lines);
    assert_eq!(
        (unread.status(), unread.unread[0].caller.as_str()),
        (2, "webhook:p:7:0")
    );
    let allowed = Question {
        allow_unread: true,
        ..question()
    };
    assert_eq!(status(&allowed, &log.lines), 0);
}

#[test]
fn no_traffic_proves_nothing() {
    let mut log = Log::start("a", 0);
    for _ in 0..48 {
        log.now += HOUR;
        log.counts.requests += 5;
        log.mark("heartbeat");
    }
    let verdict = verdict(&question(), &log.lines);
    assert_eq!(
        (
            verdict.status(),
            verdict.holes.len(),
            verdict.has_no_traffic()
        ),
        (2, 0, true)
    );
}

#[test]
fn two_runs_of_one_instance_at_the_same_time_are_a_hole() {
    let mut one = Log::start("a", 0);
    one.hours(48);
    let mut other = Log::start("a", 30);
    other.hours(47);
    let mut lines = [one.lines, other.lines].concat();
    lines.sort_by_key(|line| line["timestamp"].as_str().map(str::to_owned));
    let told = why(&question(), &lines);
    assert!(
        told.iter()
            .any(|why| why.contains("give each its own --instance")),
        "{told:?}"
    );
    assert_eq!(status(&question(), &lines), 2);
}

#[test]
fn lines_from_before_heartbeats_are_a_hole_and_so_is_a_log_without_any() {
    let mut log = Log::start("a", 10 * HOUR);
    log.hours(38);
    let mut old = Log::start("a", 1);
    old.call("observed");
    let mut line = old.lines.pop().unwrap();
    line.as_object_mut().unwrap().remove("instance");
    let only_old = [line.clone()];
    let lines = [vec![line], log.lines].concat();
    let told = why(&question(), &lines);
    assert!(
        told.iter()
            .any(|why| why.starts_with("1 line of a version that wrote no heartbeats")),
        "{told:?}"
    );
    let told = why(&question(), &only_old);
    assert!(
        told.iter()
            .any(|why| why.starts_with("no start, heartbeat or stop line")),
        "{told:?}"
    );
    assert_eq!(
        (status(&question(), &only_old), status(&question(), &[])),
        (2, 2)
    );
}

#[test]
fn silence_up_to_now_is_a_hole() {
    let mut log = Log::start("a", 0);
    log.hours(46);
    // One and a half intervals.
    let soon = Question {
        now: at(47 * HOUR + 30),
        ..question()
    };
    assert_eq!(status(&soon, &log.lines), 0);
    let late = Question {
        now: at(47 * HOUR + 31),
        ..question()
    };
    assert_eq!(
        why(&late, &log.lines),
        ["no heartbeat and no stop line since"]
    );
}

#[test]
fn sums_that_are_not_written_yet_are_a_hole_for_a_method_only() {
    let mut log = Log::start("a", 0);
    log.hours(20);
    log.counts.observed += 4;
    log.now += 30;
    log.mark("heartbeat");
    // Without an end the period ends where all is shown.
    let now = |question: Question| Question {
        now: at(20 * HOUR + 30),
        ..question
    };
    assert_eq!(status(&now(question()), &log.lines), 0);
    assert_eq!(verdict(&now(of_method()), &log.lines).until, at(20 * HOUR));
    let until = Question {
        until: Some(at(20 * HOUR + 30)),
        ..now(of_method())
    };
    assert_eq!(status(&until, &log.lines), 2);
    // Killed, they are lost.
    let mut next = Log::start("a", 20 * HOUR + 31);
    next.hours(27);
    let told = why(&of_method(), &[log.lines.clone(), next.lines].concat());
    assert!(
        told.iter()
            .any(|why| why.starts_with("4 calls of watched methods were counted")),
        "{told:?}"
    );
    // Written, they show who calls.
    log.now += 31;
    log.line(
        json!({"event": "deprecated_calls", "action": "observed", "count": 4,
        "first": output::moment(at(20 * HOUR + 2)), "last": output::moment(at(20 * HOUR + 9))}),
    );
    log.mark("heartbeat");
    log.hours(26);
    let verdict = verdict(&of_method(), &log.lines);
    assert_eq!(
        (verdict.status(), verdict.used[0].calls, verdict.holes.len()),
        (1, 4, 0)
    );
}

#[test]
fn a_method_that_the_rules_of_the_time_did_not_hold_is_a_hole() {
    let mut log = Log::start("a", 0);
    log.hours(48);
    let other = Question {
        rules: vec!["others".to_owned()],
        ..of_method()
    };
    assert_eq!(status(&of_method(), &log.lines), 0);
    let told = why(&other, &log.lines);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("rules (known) that are not known to hold the method"));
}

#[test]
fn a_log_whose_lines_were_changed_is_a_hole() {
    let mut log = Log::start("a", 0);
    log.hours(10);
    log.call("rewritten");
    log.hours(38);
    let changed: Vec<Value> = log
        .lines
        .iter()
        .map(|line| {
            let mut line = line.clone();
            if line["action"] == "rewritten" {
                line["action"] = "observed".into();
            }
            line
        })
        .collect();
    assert_eq!(
        why(&question(), &changed),
        ["counts and lines say different things: the log was changed"]
    );
}
