//! One candidate doing one work: started afresh, measured, checked.
use crate::candidate::{Candidate, Place, Running, Tool, free_address};
use crate::h2load;
use crate::load::{self, Load, Ran};
use crate::portal::Seen;
use crate::table::{Memory, Sample, Work};
use crate::workload::{Job, Workload};
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is the same for all that is measured.
pub struct Bench<'b> {
    /// Where the certificate is, and what a candidate writes.
    pub folder: &'b Path,
    /// Our binary.
    pub binary: &'b Path,
    /// The portal, and what it has seen.
    pub portal: SocketAddr,
    /// What the portal has seen.
    pub seen: Arc<Mutex<Seen>>,
    /// How long a work is done.
    pub time: Duration,
}

/// What is counted instead of timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// User-mode instructions, under valgrind.
    Instructions,
    /// System calls, under strace.
    SystemCalls,
    /// Blocks taken from the allocator, under valgrind.
    Allocations,
}

impl Count {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Instructions, Self::SystemCalls, Self::Allocations];

    /// As it is called in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::SystemCalls => "syscalls",
            Self::Allocations => "allocations",
        }
    }

    /// What is counted, and how many digits of it say something.
    pub fn title(self) -> (&'static str, usize) {
        match self {
            Self::Instructions => ("user instructions a call", 0),
            Self::SystemCalls => ("system calls a call", 2),
            Self::Allocations => ("allocations a call", 1),
        }
    }
}

/// What was counted for each call.
pub struct Counted {
    /// All together.
    pub each: f64,
    /// Of what it is made up, where that is known.
    pub parts: String,
}

impl Bench<'_> {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place<'p>(
        &'p self,
        folder: &'p Path,
        job: &Job<'_>,
        under: Option<Tool>,
    ) -> Result<Place<'p>> {
        Ok(Place {
            folder,
            certificate: self.folder,
            binary: self.binary,
            portal: self.portal,
            listen: free_address()?,
            setup: job.setup,
            under,
        })
    }

    /// One round of one candidate.
    pub fn sample(&self, workload: &Workload, candidate: Candidate) -> Result<Sample> {
        let traffic = workload.traffic();
        let job = workload.job(&traffic);
        if workload.idle {
            self.memory(&job, candidate).map(Sample::Memory)
        } else {
            self.work(&job, candidate).map(Sample::Work)
        }
    }

    /// Does a job for a while.
    pub fn work(&self, job: &Job<'_>, candidate: Candidate) -> Result<Work> {
        let folder = tempfile::tempdir_in(self.folder)?;
        let place = self.place(folder.path(), job, None)?;
        let running = Running::start(candidate, &place)?;
        self.seen().expect(job.traffic, candidate.translates());
        let mut clients = Clients::connect(&place, job)?;
        let warm = self.time.min(Duration::from_millis(300));
        let warm = clients.run(warm, usize::MAX)?;
        let before = running.cpu();
        let ran = clients.run(self.time, usize::MAX)?;
        let cpu = running.cpu() - before;
        let sent = (warm.requests + ran.requests) as u64;
        self.check(sent)?;
        drop(clients);
        if candidate.translates() {
            check_log(running, job, sent)?;
        }
        Ok(Work {
            candidate,
            cpu: cpu.as_secs_f64() * 1e6 / ran.requests as f64,
            rate: ran.requests as f64 / ran.time.as_secs_f64(),
            median: ran.quantile(0.5),
            slow: ran.quantile(0.99),
        })
    }

    /// Counts what a call takes.
    pub fn count(&self, workload: &Workload, candidate: Candidate, what: Count) -> Result<Counted> {
        let traffic = workload.traffic();
        let job = workload.job(&traffic);
        match what {
            Count::Instructions => self.count_under(Tool::Callgrind, &job, candidate),
            Count::Allocations => self.count_under(Tool::Dhat, &job, candidate),
            Count::SystemCalls => self.count_system_calls(&job, candidate),
        }
    }

    /// What valgrind counts for a call: what it counts in a run with many calls less that in one with few.
    fn count_under(&self, tool: Tool, job: &Job<'_>, candidate: Candidate) -> Result<Counted> {
        let of = |limit: usize| {
            let folder = tempfile::tempdir_in(self.folder)?;
            let place = self.place(folder.path(), job, Some(tool))?;
            self.seen().expect(job.traffic, candidate.translates());
            let running = Running::start(candidate, &place)?;
            let ran = self.some(&place, job, limit)?;
            drop(running);
            Ok::<_, Error>((tool.counted(folder.path())?, ran))
        };
        let some = calls_to_count(job);
        let (few, many) = (of(some)?, of(5 * some)?);
        Ok(Counted {
            each: many.0.saturating_sub(few.0) as f64 / (many.1 - few.1).max(1) as f64,
            parts: String::new(),
        })
    }

    /// The system calls of a call, on connections that are open on both sides.
    fn count_system_calls(&self, job: &Job<'_>, candidate: Candidate) -> Result<Counted> {
        let folder = tempfile::tempdir_in(self.folder)?;
        let place = self.place(folder.path(), job, None)?;
        let running = Running::start(candidate, &place)?;
        self.seen().expect(job.traffic, candidate.translates());
        let mut clients = Clients::connect(&place, job)?;
        let long = Duration::from_secs(60);
        let some = calls_to_count(job);
        let warm = clients.run(long, 4 * some)?.requests;
        let mut ran = 0;
        let calls = running.system_calls(|| {
            ran = clients.run(long, 20 * some)?.requests;
            Ok(())
        })?;
        self.check((warm + ran) as u64)?;
        let each = |count: u64| count as f64 / ran.max(1) as f64;
        let parts: Vec<String> = calls
            .iter()
            .filter(|(_, count)| each(*count) >= 0.02)
            .map(|(name, count)| format!("{name} {:.2}", each(*count)))
            .collect();
        Ok(Counted {
            each: each(calls.iter().map(|(_, count)| count).sum()),
            parts: parts.join(", "),
        })
    }

    /// Makes about this many calls; gives how many.
    fn some(&self, place: &Place<'_>, job: &Job<'_>, limit: usize) -> Result<usize> {
        let ran = Clients::connect(place, job)?.run(Duration::from_secs(60), limit)?;
        self.check(ran.requests as u64)?;
        Ok(ran.requests)
    }

    fn memory(&self, job: &Job<'_>, candidate: Candidate) -> Result<Memory> {
        const MANY: usize = 5000;
        let folder = tempfile::tempdir_in(self.folder)?;
        let place = self.place(folder.path(), job, None)?;
        let running = Running::start(candidate, &place)?;
        self.seen().expect(job.traffic, candidate.translates());
        let rest = running.resident();
        let held = load::hold(place.listen, job.traffic, job.pace.tls, MANY)?;
        let full = running.resident();
        drop(held);
        // Until they have been seen to leave, and memory that is given back in time has been.
        std::thread::sleep(Duration::from_secs(2));
        self.check(MANY as u64)?;
        Ok(Memory {
            candidate,
            rest: rest / 1024.0,
            each: (full - rest) / MANY as f64,
            after: running.resident() / 1024.0,
        })
    }

    /// Every request must have reached the portal, and rightly.
    fn check(&self, sent: u64) -> Result<()> {
        let seen = self.seen();
        if let Some(fault) = &seen.bad {
            return Err(Error::other(format!(
                "the portal got a wrong request: {fault}"
            )));
        }
        if seen.good != sent {
            let good = seen.good;
            return Err(Error::other(format!(
                "{sent} calls were answered, but {good} reached the portal"
            )));
        }
        Ok(())
    }
}

/// How many calls are counted at least: fewer where each takes long.
fn calls_to_count(job: &Job<'_>) -> usize {
    if job.traffic.body.len() + job.traffic.answer.len() > 1 << 20 {
        20
    } else if job.pace.reconnect && job.pace.tls {
        100
    } else {
        500
    }
}

/// A log must have a line for each deprecated call, or sums of all, and none of other calls.
fn check_log(running: Running, job: &Job<'_>, sent: u64) -> Result<()> {
    let logged = if job.setup.hourly {
        if running.logged() != 0 {
            return Err(Error::other("a call that is summed up has a line"));
        }
        let log = String::from_utf8_lossy(&running.end()).into_owned();
        let sums = log.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["event"] == "deprecated_calls").then(|| line["count"].as_u64())?
        });
        sums.sum()
    } else {
        running.logged()
    };
    let due = if job.logged { sent } else { 0 };
    if logged == due {
        return Ok(());
    }
    Err(Error::other(format!(
        "{due} deprecated calls, but {logged} in the log"
    )))
}

/// Clients that are connected, or a program that connects its own each time.
enum Clients<'c> {
    Own(Box<Load<'c>>),
    Http2(&'c Place<'c>, &'c Job<'c>, Option<f64>),
}

impl<'c> Clients<'c> {
    fn connect(place: &'c Place<'c>, job: &'c Job<'c>) -> Result<Self> {
        Ok(if job.pace.streams.is_some() {
            Self::Http2(place, job, None)
        } else {
            let load = Load::connect(place.listen, job.traffic, job.pace)?;
            Self::Own(Box::new(load))
        })
    }

    /// Calls for about this time, or until so many calls are made.
    fn run(&mut self, time: Duration, limit: usize) -> Result<Ran> {
        match self {
            Self::Own(load) => load.run(time, limit),
            Self::Http2(place, job, rate) => {
                // As many calls as fit, by the rate of the run before.
                let fit = (rate.unwrap_or(5000.0) * time.as_secs_f64()) as usize;
                let calls = fit.max(job.pace.in_flight).min(limit);
                let ran = h2load::run(place.folder, place.listen, job.traffic, job.pace, calls)?;
                *rate = Some(ran.requests as f64 / ran.time.as_secs_f64());
                Ok(ran)
            }
        }
    }
}
