//! One candidate doing one work: started afresh, measured, checked.
use crate::candidate::{self, Candidate, Place, Running, free_address};
use crate::load::{self, Pace};
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

    fn place<'p>(&'p self, folder: &'p Path, job: &Job<'_>, count: bool) -> Result<Place<'p>> {
        Ok(Place {
            folder,
            certificate: self.folder,
            binary: self.binary,
            portal: self.portal,
            listen: free_address()?,
            tls: job.pace.tls,
            count,
            own_rules: job.own_rules,
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
        let place = self.place(folder.path(), job, false)?;
        let running = Running::start(candidate, &place)?;
        self.seen().expect(job.traffic);
        let pace = |time| Pace { time, ..job.pace };
        let warm = self.time.min(Duration::from_millis(300));
        let warm = load::run(place.listen, job.traffic, pace(warm))?;
        let before = running.cpu();
        let ran = load::run(place.listen, job.traffic, pace(self.time))?;
        let cpu = running.cpu() - before;
        let sent = (warm.requests + ran.requests) as u64;
        self.check(sent)?;
        if job.logged && candidate.translates() && running.logged() != sent {
            let logged = running.logged();
            let fault = format!("{sent} deprecated calls, but {logged} lines in the log");
            return Err(Error::other(fault));
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
            Count::Instructions => self.count_instructions(&job, candidate),
            Count::SystemCalls => self.count_system_calls(&job, candidate),
        }
    }

    /// The user-mode instructions of a call: those of a run with many calls less those of one with few.
    fn count_instructions(&self, job: &Job<'_>, candidate: Candidate) -> Result<Counted> {
        let of = |limit: usize| {
            let folder = tempfile::tempdir_in(self.folder)?;
            let place = self.place(folder.path(), job, true)?;
            self.seen().expect(job.traffic);
            let running = Running::start(candidate, &place)?;
            let ran = self.some(&place, job, limit)?;
            drop(running);
            Ok::<_, Error>((candidate::counted(folder.path())?, ran))
        };
        let (few, many) = (of(500)?, of(2500)?);
        Ok(Counted {
            each: many.0.saturating_sub(few.0) as f64 / (many.1 - few.1).max(1) as f64,
            parts: String::new(),
        })
    }

    /// The system calls of a call, on connections that are open on both sides.
    fn count_system_calls(&self, job: &Job<'_>, candidate: Candidate) -> Result<Counted> {
        let folder = tempfile::tempdir_in(self.folder)?;
        let place = self.place(folder.path(), job, false)?;
        let running = Running::start(candidate, &place)?;
        self.seen().expect(job.traffic);
        self.some(&place, job, 2000)?;
        self.seen().expect(job.traffic);
        let mut ran = 0;
        let calls = running.system_calls(|| {
            ran = self.some(&place, job, 10_000)?;
            Ok(())
        })?;
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
        let time = Duration::from_secs(60);
        let pace = Pace {
            time,
            limit,
            ..job.pace
        };
        let ran = load::run(place.listen, job.traffic, pace)?;
        self.check(ran.requests as u64)?;
        Ok(ran.requests)
    }

    fn memory(&self, job: &Job<'_>, candidate: Candidate) -> Result<Memory> {
        const MANY: usize = 5000;
        let folder = tempfile::tempdir_in(self.folder)?;
        let place = self.place(folder.path(), job, false)?;
        let running = Running::start(candidate, &place)?;
        self.seen().expect(job.traffic);
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
