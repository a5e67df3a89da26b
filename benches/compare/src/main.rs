//! Compares what the proxy costs with nginx and HAProxy, in rounds that take turns. `benches/compare.sh` runs it.
mod candidate;
mod load;
mod portal;
mod table;
mod tls;
mod traffic;
mod workload;

use candidate::{Candidate, Place, Running, free_address};
use portal::Seen;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::{Memory, Sample, Work};
use workload::Workload;

const USAGE: &str = "usage: compare --binary PATH [--rounds 5] [--seconds 2] [--only small,…] [--candidates nginx,…] [--count instructions]";

struct Options {
    binary: PathBuf,
    rounds: usize,
    time: Duration,
    only: Option<String>,
    candidates: Option<String>,
    count: bool,
}

fn options() -> Option<Options> {
    let mut options = Options {
        binary: PathBuf::new(),
        rounds: 5,
        time: Duration::from_secs(2),
        only: None,
        candidates: None,
        count: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--binary" => options.binary = value.into(),
            "--rounds" => options.rounds = value.parse().ok().filter(|rounds| *rounds > 0)?,
            "--seconds" => options.time = Duration::try_from_secs_f64(value.parse().ok()?).ok()?,
            "--only" => options.only = Some(value),
            "--candidates" => options.candidates = Some(value),
            "--count" if value == "instructions" => options.count = true,
            _ => return None,
        }
    }
    (!options.binary.as_os_str().is_empty()).then_some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match compare(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<()> {
    let is_in = |list: &Option<String>, name: &str| {
        list.as_deref()
            .is_none_or(|list| list.split(',').any(|word| word == name))
    };
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    load_side();
    let (address, seen) = portal::start(load_side)?;
    let bench = Bench {
        folder: folder.path(),
        binary: &options.binary,
        portal: address,
        seen,
        time: options.time,
    };
    let workloads: Vec<Workload> = workload::ALL
        .into_iter()
        .filter(|workload| is_in(&options.only, workload.name))
        .collect();
    if options.count {
        println!("| user instructions a call | |\n|---|--:|");
        for workload in workloads.iter().filter(|workload| !workload.idle) {
            for candidate in workload.candidates {
                if *candidate != Candidate::OursTwo && is_in(&options.candidates, candidate.name())
                {
                    let count = bench.count(workload, *candidate)?;
                    println!("| {}, {} | {count} |", workload.name, candidate.name());
                }
            }
        }
        return Ok(());
    }
    let mut samples = Vec::new();
    for round in 0..options.rounds {
        for workload in &workloads {
            let mut candidates: Vec<Candidate> = workload
                .candidates
                .iter()
                .copied()
                .filter(|candidate| is_in(&options.candidates, candidate.name()))
                .collect();
            let turn = round % candidates.len().max(1);
            candidates.rotate_left(turn);
            for candidate in candidates {
                let sample = bench.sample(workload, candidate).map_err(|error| {
                    let (work, who) = (workload.name, candidate.name());
                    Error::other(format!("{work}, {who}: {error}"))
                })?;
                eprintln!("round {} {} {}", round + 1, workload.name, sample.brief());
                samples.push((workload.name, sample));
            }
        }
    }
    for workload in &workloads {
        let of_it: Vec<&Sample> = samples
            .iter()
            .filter(|(name, _)| *name == workload.name)
            .map(|(_, sample)| sample)
            .collect();
        println!("{}", table::of(workload, &of_it));
    }
    Ok(())
}

/// Keeps this thread on the second core; the candidates have the first to themselves.
fn load_side() {
    let mut cores = CpuSet::new();
    cores.set(1);
    if let Err(error) = sched_setaffinity(None, &cores) {
        eprintln!("the load shares the candidate's core: {error}");
    }
}

fn certificate(folder: &Path) -> Result<()> {
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"])
        .args([
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(folder)
        .output()?;
    if !made.status.success() {
        return Err(Error::other(String::from_utf8_lossy(&made.stderr)));
    }
    let both = [
        std::fs::read(folder.join("cert.pem"))?,
        std::fs::read(folder.join("key.pem"))?,
    ];
    std::fs::write(folder.join("both.pem"), both.concat())
}

struct Bench<'b> {
    folder: &'b Path,
    binary: &'b Path,
    portal: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    time: Duration,
}

impl Bench<'_> {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One round of one candidate, started afresh.
    fn sample(&self, workload: &Workload, candidate: Candidate) -> Result<Sample> {
        let folder = tempfile::tempdir_in(self.folder)?;
        let place = Place {
            folder: folder.path(),
            certificate: self.folder,
            binary: self.binary,
            portal: self.portal,
            listen: free_address()?,
            tls: workload.tls,
            count: false,
        };
        let running = Running::start(candidate, &place)?;
        if workload.idle {
            return self.sample_idle(workload, candidate, &running, &place);
        }
        let traffic = workload.traffic();
        self.seen().expect(Some(traffic.arrives.clone()));
        let warm = load::run(
            place.listen,
            &traffic,
            workload.pace(Duration::from_millis(300)),
        )?;
        let before = running.cpu();
        let ran = load::run(place.listen, &traffic, workload.pace(self.time))?;
        let cpu = running.cpu() - before;
        self.check((warm.requests + ran.requests) as u64)?;
        if workload.logged && candidate.translates() {
            let (logged, sent) = (running.logged(), (warm.requests + ran.requests) as u64);
            if logged != sent {
                let fault = format!("{sent} deprecated calls, but {logged} lines in the log");
                return Err(Error::other(fault));
            }
        }
        Ok(Sample::Work(Work {
            candidate,
            cpu: cpu.as_secs_f64() * 1e6 / ran.requests as f64,
            rate: ran.requests as f64 / ran.time.as_secs_f64(),
            median: ran.quantile(0.5),
            slow: ran.quantile(0.99),
        }))
    }

    /// The user-mode instructions of a call: those of a run with many calls less those of one with few.
    fn count(&self, workload: &Workload, candidate: Candidate) -> Result<u64> {
        let of = |limit: usize| {
            let folder = tempfile::tempdir_in(self.folder)?;
            let place = Place {
                folder: folder.path(),
                certificate: self.folder,
                binary: self.binary,
                portal: self.portal,
                listen: free_address()?,
                tls: workload.tls,
                count: true,
            };
            let traffic = workload.traffic();
            self.seen().expect(Some(traffic.arrives.clone()));
            let running = Running::start(candidate, &place)?;
            let mut pace = workload.pace(Duration::from_secs(60));
            pace.limit = limit;
            let ran = load::run(place.listen, &traffic, pace)?;
            self.check(ran.requests as u64)?;
            drop(running);
            Ok::<_, Error>((candidate::counted(folder.path())?, ran.requests as u64))
        };
        let (few, many) = (of(500)?, of(2500)?);
        Ok(many.0.saturating_sub(few.0) / (many.1 - few.1).max(1))
    }

    fn sample_idle(
        &self,
        workload: &Workload,
        candidate: Candidate,
        running: &Running,
        place: &Place<'_>,
    ) -> Result<Sample> {
        const MANY: usize = 5000;
        let traffic = workload.traffic();
        self.seen().expect(Some(traffic.arrives.clone()));
        let rest = running.resident();
        let held = load::hold(place.listen, &traffic, workload.tls, MANY)?;
        let full = running.resident();
        drop(held);
        std::thread::sleep(Duration::from_millis(500));
        self.check(MANY as u64)?;
        Ok(Sample::Memory(Memory {
            candidate,
            rest: rest / 1024.0,
            each: (full - rest) / MANY as f64,
            after: running.resident() / 1024.0,
        }))
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
