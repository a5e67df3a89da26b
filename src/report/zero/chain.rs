//! One instance's chain of `start`, `heartbeat` and `stop`: between which of them its lines are complete, and where they
//! are not (pure).

use std::collections::HashSet;

use super::hole::{Hole, Why};
use crate::telemetry::reader::{Counts, HEARTBEAT, Line, START, STOP};

/// Neighbouring spans are joined up to this length, in milliseconds: heartbeats may come every second.
const JOINED: u64 = 600_000;

/// A stretch between two marks whose lines are all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    pub to: u64,
    /// What was counted in it.
    pub counts: Counts,
    /// The rules that were known: of its begin and of its end.
    pub rules: [String; 2],
}

/// A line of `start`, `heartbeat` or `stop`.
#[derive(Clone, Debug)]
struct Mark {
    at: u64,
    started: String,
    rules: String,
    /// In milliseconds.
    interval: u64,
    /// Its number among the heartbeats of its run, or that of the last one.
    heartbeats: Option<u64>,
    counts: Counts,
}

/// A run of the instance, from the first of its marks that was read.
#[derive(Debug)]
struct Run {
    mark: Mark,
    stopped: bool,
    /// What its lines show since the mark.
    shown: Counts,
    /// Observed uses that were counted since the first mark and that no line has shown; and the last mark without any.
    pending: u64,
    clear: u64,
    /// When the first mark came: earlier uses belong to what was counted before it.
    begin: u64,
}

/// What the log has of one instance.
#[derive(Debug, Default)]
pub struct Chain {
    run: Option<Run>,
    /// The starts of the runs before.
    before: HashSet<String>,
    /// The timestamp of the last line.
    last: u64,
    pub spans: Vec<Span>,
    pub holes: Vec<Hole>,
    /// Holes for a question about observed calls only.
    pub unshown: Vec<Hole>,
    pub runs: u64,
    pub heartbeats: u64,
    /// The version and the number of known methods that were told last.
    pub version: String,
    pub methods: u64,
}

impl Chain {
    /// Takes note of the instance's next line, in the order of the log.
    pub fn take(&mut self, line: &Line<'_>) {
        let at = line.at().unwrap_or_default();
        if matches!(&*line.event, START | HEARTBEAT | STOP) {
            self.mark(Mark::of(line, at), &line.event);
            self.version = line.version.as_deref().unwrap_or_default().to_owned();
            self.methods = line.methods.unwrap_or_default();
        } else if let Some(run) = &mut self.run {
            run.show(line);
        }
        self.last = self.last.max(at);
    }

    fn mark(&mut self, mark: Mark, event: &str) {
        self.runs += u64::from(event == START);
        self.heartbeats += u64::from(event == HEARTBEAT);
        let same = |run: &Run| run.mark.started == mark.started;
        match self.run.take() {
            None => {
                // The run says since when it looks; nothing shows what it saw until here.
                if event != START {
                    self.holes.push(Hole {
                        from: mark.begun().min(mark.at),
                        to: mark.at,
                        instance: None,
                        why: Why::NoStart,
                    });
                }
                self.run = Some(Run::begin(mark));
            }
            Some(mut run) if same(&run) && event != START => {
                let next = self.check(&mut run, mark, event);
                self.run = Some(next);
            }
            Some(run) => {
                self.change(&run, &mark, event);
                self.before.insert(run.mark.started);
                self.run = Some(Run::begin(mark));
            }
        }
        if event == STOP
            && let Some(run) = &mut self.run
        {
            run.stopped = true;
        }
    }

    /// A mark of the same run: its counts are to be those of the lines since the last one.
    fn check(&mut self, run: &mut Run, mark: Mark, event: &str) -> Run {
        let (from, to) = (run.mark.at, mark.at);
        let before = self.holes.len();
        let mut hole = |why: Why| {
            self.holes.push(Hole {
                from: from.min(to),
                to: from.max(to),
                instance: None,
                why,
            })
        };
        let grown = mark.counts.since(&run.mark.counts);
        if run.stopped {
            hole(Why::AfterStop);
        } else if to < from {
            hole(Why::Clock);
        } else if to - from > gap(run.mark.interval) {
            hole(Why::Gap);
        } else if let (Some(last), Some(number)) = (run.mark.heartbeats, mark.heartbeats)
            && number != last + u64::from(event == HEARTBEAT)
        {
            hole(Why::Heartbeats);
        }
        match grown {
            None => hole(Why::Backwards),
            Some(grown) if grown.lines != run.shown.lines => hole(Why::Lines {
                counted: grown.lines,
                found: run.shown.lines,
            }),
            Some(grown) if grown.dropped > 0 => hole(Why::Dropped(grown.dropped)),
            Some(grown)
                if (grown.rewritten, grown.refused, grown.unread)
                    != (run.shown.rewritten, run.shown.refused, run.shown.unread) =>
            {
                hole(Why::Counts);
            }
            Some(_) => {}
        }
        let grown = grown.unwrap_or_default();
        let pending = (run.pending + grown.observed).saturating_sub(run.shown.observed);
        let clear = if pending == 0 { to } else { run.clear };
        if self.holes.len() == before {
            self.cover(Span {
                from,
                to,
                counts: grown,
                rules: [run.mark.rules.clone(), mark.rules.clone()],
            });
        }
        Run {
            mark,
            stopped: false,
            shown: Counts::default(),
            pending,
            clear,
            begin: run.begin,
        }
    }

    /// A mark of another run.
    fn change(&mut self, run: &Run, mark: &Mark, event: &str) {
        let mut hole = |from: u64, why: Why| {
            self.holes.push(Hole {
                from: from.min(mark.at),
                to: from.max(mark.at),
                instance: None,
                why,
            });
        };
        let stray = run.stopped && run.shown.lines > 0;
        if self.before.contains(&mark.started) {
            hole(run.mark.at, Why::Overlap);
        } else if event != START {
            hole(run.mark.at, Why::NoStart);
        } else if stray {
            hole(run.mark.at, Why::AfterStop);
        } else if !run.stopped {
            // What came after the last mark is not confirmed by any count.
            if self.last > run.mark.at {
                hole(run.mark.at, Why::Unconfirmed);
            }
            hole(self.last.max(run.mark.at), Why::NoStop);
        } else if mark.at >= run.mark.at && mark.at - run.mark.at <= run.mark.interval {
            self.cover(Span {
                from: run.mark.at,
                to: mark.at,
                counts: Counts::default(),
                rules: [run.mark.rules.clone(), mark.rules.clone()],
            });
        }
        if run.pending > 0 {
            self.unshown.push(run.unshown());
        }
    }

    fn cover(&mut self, span: Span) {
        match self.spans.last_mut() {
            Some(last)
                if last.to == span.from
                    && span.to - last.from <= JOINED
                    && last
                        .rules
                        .iter()
                        .chain(&span.rules)
                        .all(|rules| *rules == last.rules[0]) =>
            {
                last.to = span.to;
                last.counts = last.counts.plus(&span.counts);
            }
            _ => self.spans.push(span),
        }
    }

    /// The last line's moment.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// When the instance was last heard of, and in which interval it speaks; whether it has stopped.
    pub fn end(&self) -> Option<(u64, u64, bool)> {
        let run = self.run.as_ref()?;
        Some((run.mark.at, run.mark.interval, run.stopped))
    }

    /// The last mark up to which lines show every observed use.
    pub fn clear(&self) -> Option<u64> {
        self.run.as_ref().map(|run| run.clear)
    }

    /// The hole of observed uses that no line shows yet.
    pub fn still_unshown(&self) -> Option<Hole> {
        let run = self.run.as_ref().filter(|run| run.pending > 0)?;
        Some(run.unshown())
    }
}

/// How far two marks may be apart.
pub fn gap(interval: u64) -> u64 {
    interval + interval / 2
}

impl Mark {
    fn of(line: &Line<'_>, at: u64) -> Self {
        Self {
            at,
            started: line.started.as_deref().unwrap_or_default().to_owned(),
            rules: line.rules.as_deref().unwrap_or_default().to_owned(),
            interval: line.interval_s.unwrap_or(3600).saturating_mul(1000),
            heartbeats: line.heartbeats,
            counts: line.counts.unwrap_or_default(),
        }
    }
}

impl Mark {
    /// When its run was started, in milliseconds since 1970.
    fn begun(&self) -> u64 {
        let started: Option<jiff::Timestamp> = self.started.parse().ok();
        started
            .and_then(|started| u64::try_from(started.as_millisecond()).ok())
            .unwrap_or(self.at)
    }
}

impl Run {
    fn begin(mark: Mark) -> Self {
        Self {
            stopped: false,
            shown: Counts::default(),
            pending: 0,
            clear: mark.at,
            begin: mark.at,
            mark,
        }
    }

    fn show(&mut self, line: &Line<'_>) {
        let uses = line.uses();
        let shown = &mut self.shown;
        shown.lines += 1;
        match &*line.action {
            "rewritten" => shown.rewritten += uses,
            "refused" => shown.refused += uses,
            // Of a sum from before the first mark nobody knows how much was counted since.
            _ if line.sums_an_hour() && line.span().0 < self.begin => {}
            _ => shown.observed += uses,
        }
        shown.unread += u64::from(&*line.event == crate::telemetry::reader::UNREAD);
    }

    fn unshown(&self) -> Hole {
        Hole {
            from: self.clear,
            to: self.mark.at,
            instance: None,
            why: Why::Unshown(self.pending),
        }
    }
}
