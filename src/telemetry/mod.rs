//! What happened, said in one place: the deprecation log, the access log, metrics, callers, health, and the state that the
//! status page shows.

pub mod access;
pub mod budget;
pub mod caller;
pub mod callers;
pub mod event;
pub mod health;
mod history;
mod json;
pub mod live;
pub mod log;
pub mod logging;
pub mod metrics;
pub mod panics;
pub mod reader;
pub mod regressed;
pub mod run;
mod sampler;
mod sdk;
mod series;
pub mod shown;
mod stamp;
pub mod sums;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use access::AccessLine;
use caller::Fingerprints;
use callers::Callers;
use event::{DeprecationEvent, ModeChanged, UnreadCall};
use health::Health;
use live::{Live, ReadPart, Rebuilt};
use log::{DeprecationLog, LineLog, LogConfig, LogUnavailable};
use logging::{Logging, WatchedLogs};
use metrics::{LocalMetrics, Metrics};
use reader::Counts;
use regressed::Regressed;
use run::Run;
use sampler::Sampler;
use series::Series;
use stamp::Stamp;
use sums::Sums;

use crate::catalogue::Rule;
use crate::translate::Action;

thread_local! {
    /// Lines are formatted into the same buffer again and again.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that once held a large batch is not kept at that size.
const KEPT_BUFFER: usize = 256 << 10;

/// All of it, shared by all threads.
#[derive(Debug)]
pub struct Telemetry {
    pub metrics: Arc<Metrics>,
    /// The deprecation log.
    pub log: Arc<DeprecationLog>,
    /// The access log, where one is kept.
    pub access_log: Option<Arc<LineLog>>,
    pub health: Health,
    pub fingerprints: Fingerprints,
    /// What the status page shows.
    pub live: Live,
    /// Which calls are looked into for the names of their parameters.
    pub sampler: Sampler,
    run: Run,
    stamp: Stamp,
    /// How the run's own lines and those of sums are written. Calls bring the value of their policy.
    logging: ArcSwap<Logging>,
    sums: Mutex<Sums>,
    /// How many heartbeats were written; changed under the log's lock.
    heartbeats: AtomicU64,
    regressed: Regressed,
}

impl Telemetry {
    /// When this run began.
    pub fn started(&self) -> SystemTime {
        self.run.started
    }

    /// Opens the logs. With both on the same target they share one writer, so that neither tears the other's lines.
    ///
    /// # Errors
    /// A log cannot be opened: its config, and what the system says.
    pub fn open(
        log: LogConfig,
        access_log: Option<LogConfig>,
        rules: &[Arc<Rule>],
        fingerprints: Fingerprints,
        logging: Arc<Logging>,
        run: Run,
    ) -> Result<Arc<Self>, (LogConfig, io::Error)> {
        let open =
            |config: LogConfig| LineLog::open(config.clone()).map_err(|error| (config, error));
        let shared = access_log
            .as_ref()
            .is_some_and(|access| access.target == log.target);
        let log = open(log)?;
        let access_log = match access_log {
            Some(_) if shared => Some(Arc::clone(&log)),
            Some(config) => Some(open(config)?),
            None => None,
        };
        let metrics = Metrics::new(rules);
        metrics.watch_log(Arc::clone(&log));
        if let Some(access_log) = access_log.as_ref().filter(|_| !shared) {
            metrics.watch_access_log(Arc::clone(access_log));
        }
        metrics.set_callers(&logging.callers);
        let live = Live::default();
        live.rename(&logging.callers);
        Ok(Arc::new(Self {
            stamp: Stamp::new(&run.instance),
            run,
            logging: ArcSwap::new(logging),
            sums: Mutex::default(),
            heartbeats: AtomicU64::new(0),
            regressed: Regressed::default(),
            metrics,
            log,
            access_log,
            health: Health::default(),
            fingerprints,
            live,
            sampler: Sampler::default(),
        }))
    }

    /// Logs the uses of one request in one append, then counts them and shows them.
    ///
    /// # Errors
    /// Only with [`log::OnLogFailure::Refuse`]: the lines are not in the log. They are counted and shown all the same.
    pub fn record(
        &self,
        local: &LocalMetrics,
        logging: &Arc<Logging>,
        events: &[DeprecationEvent<'_>],
    ) -> Result<(), LogUnavailable> {
        let series = |event: &DeprecationEvent<'_>| {
            Series::of(logging, &event.rule, &event.caller, || {
                let name = logging.callers.name_of(&event.caller);
                let uses = self.metrics.uses(&event.rule.method, name);
                (name.map(str::to_owned), uses)
            })
        };
        // Nearly all requests have one use: they need no list.
        match events {
            [event] => self.record_in(local, logging, events, &[series(event)]),
            _ => {
                let series: Vec<_> = events.iter().map(series).collect();
                self.record_in(local, logging, events, &series)
            }
        }
    }

    fn record_in(
        &self,
        local: &LocalMetrics,
        logging: &Logging,
        events: &[DeprecationEvent<'_>],
        series: &[Rc<Series>],
    ) -> Result<(), LogUnavailable> {
        let Logging {
            watched, callers, ..
        } = logging;
        let logged = if watched.may_sum() && events.iter().any(|event| watched.sums(event)) {
            self.sum_up(watched, events, series, callers)
        } else {
            self.log_uses(callers, events, series)
        };
        for (event, series) in events.iter().zip(series) {
            self.count_and_show(local, event, series);
        }
        logged
    }

    /// Logs a call of which nobody knows what it calls.
    ///
    /// # Errors
    /// As [`Telemetry::record`].
    pub fn unread(&self, logging: &Logging, call: &UnreadCall<'_>) -> Result<(), LogUnavailable> {
        let name = logging.callers.name_of(&call.caller);
        let grown = Counts {
            unread: 1,
            ..Counts::default()
        };
        self.append(&grown, |lines| {
            lines.add(|line| call.write_line(name, line))
        })
    }

    /// Logs uses that have lines of their own.
    fn log_uses(
        &self,
        callers: &Callers,
        events: &[DeprecationEvent<'_>],
        series: &[Rc<Series>],
    ) -> Result<(), LogUnavailable> {
        let mut grown = Counts::default();
        for event in events {
            match event.action {
                Action::Rewritten => grown.rewritten += 1,
                Action::Observed => grown.observed += 1,
                Action::Refused => grown.refused += 1,
            }
        }
        self.append(&grown, |lines| {
            event::write_lines(events, |at| &series[at].parts, |line| lines.add(line));
            for (event, series) in events.iter().zip(series) {
                self.write_regression(callers, event, series, lines);
            }
        })
    }

    fn write_regression(
        &self,
        callers: &Callers,
        event: &DeprecationEvent<'_>,
        series: &Series,
        lines: &mut StampedLines<'_>,
    ) {
        let name = series.name.as_deref();
        lines.add(|line| self.regressed.write(callers, event, name, line));
    }

    /// Adds the uses that are summed up to their sums, and logs the others.
    fn sum_up(
        &self,
        watched: &WatchedLogs,
        events: &[DeprecationEvent<'_>],
        series: &[Rc<Series>],
        callers: &Callers,
    ) -> Result<(), LogUnavailable> {
        let (mut single, mut single_series) = (Vec::new(), Vec::new());
        let mut regressed = Vec::new();
        for (event, series) in events.iter().zip(series) {
            if watched.sums(event) {
                let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
                let full = sums.add(event);
                drop(sums);
                if full {
                    self.write_sums();
                }
                regressed.push((event, series));
            } else {
                single.push(event.clone());
                single_series.push(Rc::clone(series));
            }
        }
        // A log in trouble says so itself: these uses are written later.
        let _ = self.append(&Counts::default(), |lines| {
            for (event, series) in regressed {
                self.write_regression(callers, event, series, lines);
            }
        });
        self.log_uses(callers, &single, &single_series)
    }

    /// Appends lines of events, each stamped with the instance, and what they add to the run's counts.
    fn append(
        &self,
        grown: &Counts,
        format: impl FnOnce(&mut StampedLines<'_>),
    ) -> Result<(), LogUnavailable> {
        LINES.with_borrow_mut(|bytes| {
            bytes.clear();
            let mut lines = StampedLines {
                bytes,
                stamp: &self.stamp,
                number: 0,
            };
            format(&mut lines);
            let number = lines.number;
            let appended = self.log.append_counted(bytes, number, grown);
            bytes.shrink_to(KEPT_BUFFER);
            appended
        })
    }

    /// Writes one of the run's own lines, `start`, `heartbeat` or `stop`. Sums of hours that are over are written before
    /// it, and with `stop` all of them.
    pub fn mark(&self, event: &str, now: SystemTime) {
        self.write(now, Some(event), event == reader::STOP);
    }

    /// Writes the sums of hours that are over.
    pub fn write_due_sums(&self, now: SystemTime) {
        self.write(now, None, false);
    }

    /// Writes all sums: where there is no room for more, at a reload, when the drain begins.
    pub fn write_sums(&self) {
        self.write(SystemTime::now(), None, true);
    }

    fn write(&self, now: SystemTime, mark: Option<&str>, all_sums: bool) {
        let (requests, calls, batches) = self.metrics.requests_seen();
        let logging = self.logging.load();
        // A log in trouble says so itself.
        let _ = self.log.append_made(|counted, out| {
            let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
            let mut grown = Counts::default();
            if sums.calls > 0 && (all_sums || sums.is_due(now)) {
                let mut lines = Vec::new();
                (grown.lines, grown.observed) = sums.write(now, &logging.callers, &mut lines);
                self.stamp.copy(&lines, out);
            }
            if let Some(event) = mark {
                let pending = Counts {
                    requests,
                    calls,
                    batches,
                    observed: sums.calls,
                    ..Counts::default()
                };
                let counts = counted.plus(&grown).plus(&pending);
                let more = u64::from(event == reader::HEARTBEAT);
                let heartbeats = self.heartbeats.fetch_add(more, Relaxed) + more;
                self.run
                    .write(event, now, &logging.rules, heartbeats, &counts, out);
            }
            grown
        });
    }

    /// The run, as its own lines tell of it.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// How calls are named and logged as far as no call says it.
    pub fn logging(&self) -> Arc<Logging> {
        self.logging.load_full()
    }

    /// Another configuration is about to hold: its names and rules are to have their metrics before the first call.
    pub fn prepare(&self, logging: &Logging, rules: &[Arc<Rule>]) {
        self.metrics.set_callers(&logging.callers);
        self.metrics.set_rules(rules);
    }

    /// Another configuration holds: what was summed up so far is written, and the status page shows the new names.
    pub fn apply(&self, logging: Arc<Logging>) {
        self.live.rename(&logging.callers);
        self.logging.store(logging);
        self.write_sums();
    }

    fn count_and_show(&self, local: &LocalMetrics, event: &DeprecationEvent<'_>, series: &Series) {
        let seconds = event
            .timestamp
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        series.uses.count(event.action, seconds);
        if let (Action::Refused, Some(reason)) = (event.action, event.reason) {
            local.refused(reason);
        }
        let mut entry = series.entry.borrow_mut();
        self.live.show(&mut entry, event, series.name.as_deref());
    }

    /// Logs changes of modes and shows them.
    ///
    /// # Errors
    /// As [`Telemetry::record`].
    pub fn modes_changed(&self, changes: &[ModeChanged]) -> Result<(), LogUnavailable> {
        self.live.modes_changed(changes);
        self.append(&Counts::default(), |lines| {
            for change in changes {
                lines.add(|line| change.write_line(line));
            }
        })
    }

    /// Logs one request in the access log, where one is kept. The access log refuses nothing.
    pub fn access(&self, line: &AccessLine<'_>) {
        if let Some(access_log) = &self.access_log {
            let _ = write_with(
                |lines| line.write_line(lines),
                |lines| access_log.append(lines),
            );
        }
    }

    /// Brings back from the log at this path what the status page showed before a restart, and the times of last use: from
    /// every file of it that is there, newest first. Of the file that is open only what earlier runs wrote is read, so it
    /// may be called while traffic flows, on a thread of its own; no line counts twice.
    ///
    /// # Errors
    /// The folder or a file cannot be read. What was read before is kept.
    pub fn rebuild_from(&self, path: &Path) -> io::Result<Rebuilt> {
        let mut whole = Rebuilt::default();
        for log in history::files(path)? {
            let mut part = ReadPart::default();
            if Some(log.identity) == self.log.identity_at_open() {
                part.until = self.log.length_at_open();
            }
            let logging = self.logging.load();
            let said = |day: callers::Day, name: &str| self.regressed.said_before(day, name);
            let rebuilt = self
                .live
                .rebuild_from(log.file, part, &logging.callers, said)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", log.name)))?;
            whole.events += rebuilt.events;
            whole.skipped += rebuilt.skipped;
            whole.bytes += rebuilt.bytes;
            whole.tail |= rebuilt.tail;
            for row in self.live.snapshot().rows {
                self.metrics.deprecated_before(
                    &row.method,
                    row.name.as_deref(),
                    row.last_seen as f64 / 1000.0,
                );
            }
        }
        Ok(whole)
    }

    /// Opens both logs again: SIGHUP, SIGUSR1.
    ///
    /// # Errors
    /// One of them cannot be opened; it goes on with the file that it has.
    pub fn reopen_logs(&self) -> io::Result<()> {
        let access_log = self.access_log.as_ref().map_or(Ok(()), |log| log.reopen());
        self.log.reopen().and(access_log)
    }

    /// The portal's budget, for metrics and the status page.
    pub fn watch_budget(&self, budget: Arc<dyn budget::Budget>) {
        self.metrics.watch_budget(budget);
    }

    /// To be called about once a second: rotated files are noticed, waiting lines are written.
    pub fn tick(&self) {
        self.log.tick();
        if let Some(access_log) = &self.access_log {
            access_log.tick();
        }
    }
}

/// Lines of events, each stamped with the instance.
struct StampedLines<'a> {
    bytes: &'a mut Vec<u8>,
    stamp: &'a Stamp,
    number: u64,
}

impl StampedLines<'_> {
    /// Adds the line that is written, if one is.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        write(self.bytes);
        if self.bytes.len() > begin {
            self.number += u64::from(self.stamp.end(self.bytes, begin));
        }
    }
}

fn write_with<T>(format: impl FnOnce(&mut Vec<u8>), write: impl FnOnce(&[u8]) -> T) -> T {
    LINES.with_borrow_mut(|lines| {
        lines.clear();
        format(lines);
        let result = write(lines);
        lines.shrink_to(KEPT_BUFFER);
        result
    })
}
