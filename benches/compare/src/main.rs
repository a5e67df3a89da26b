//! Compares what the proxy costs with nginx and HAProxy, in rounds that take turns. `benches/compare.sh` runs it.
mod bench;
mod candidate;
mod document;
mod goals;
mod growth;
mod h2load;
mod load;
mod portal;
mod run;
mod table;
mod tls;
mod traffic;
mod workload;

use bench::{Bench, Count};
use candidate::Candidate;
use run::Run;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use table::Sample;
use workload::Workload;

const USAGE: &str = "usage: compare --binary PATH [--rounds 5] [--seconds 2] [--only small,…] [--candidates nginx,…] \
                     [--about TEXT] [--count instructions|syscalls|allocations | --growth FILE | --document FILE]";

struct Options {
    binary: PathBuf,
    rounds: Option<usize>,
    time: Option<Duration>,
    only: Option<String>,
    candidates: Option<String>,
    count: Option<Count>,
    /// Where the growth of cost is written to.
    growth: Option<PathBuf>,
    /// The document whose tables are written anew.
    document: Option<PathBuf>,
    /// What is said of the machine in these files.
    about: String,
}

fn options() -> Option<Options> {
    let mut options = Options {
        binary: PathBuf::new(),
        rounds: None,
        time: None,
        only: None,
        candidates: None,
        count: None,
        growth: None,
        document: None,
        about: String::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--binary" => options.binary = value.into(),
            "--rounds" => options.rounds = Some(value.parse().ok().filter(|rounds| *rounds > 0)?),
            "--seconds" => {
                options.time = Some(Duration::try_from_secs_f64(value.parse().ok()?).ok()?);
            }
            "--only" => options.only = Some(value),
            "--candidates" => options.candidates = Some(value),
            "--count" => {
                let named = |count: &Count| count.name() == value;
                options.count = Some(Count::ALL.into_iter().find(named)?);
            }
            "--document" => options.document = Some(value.into()),
            "--growth" => options.growth = Some(value.into()),
            "--about" => options.about = value,
            _ => return None,
        }
    }
    (!options.binary.as_os_str().is_empty()).then_some(options)
}

impl Options {
    fn wants(&self, workload: &str) -> bool {
        is_in(&self.only, workload)
    }

    fn wants_candidate(&self, candidate: Candidate) -> bool {
        is_in(&self.candidates, candidate.name())
    }
}

fn is_in(list: &Option<String>, name: &str) -> bool {
    list.as_deref()
        .is_none_or(|list| list.split(',').any(|word| word == name))
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    load_side();
    let (portal, seen) = portal::start(load_side)?;
    let seconds = if options.growth.is_some() { 0.6 } else { 2.0 };
    let bench = Bench {
        folder: folder.path(),
        binary: &options.binary,
        portal,
        seen,
        time: options.time.unwrap_or(Duration::from_secs_f64(seconds)),
    };
    match (&options.growth, options.count) {
        (Some(file), _) => growth::measure(
            &bench,
            options.rounds.unwrap_or(3),
            &options.about,
            file,
            |series| options.wants(series),
            |candidate| options.wants_candidate(candidate),
        ),
        (None, Some(what)) => {
            let mut run = Run::default();
            count(&bench, options, what, |_, _| true, &mut run);
            run.verdict()
        }
        (None, None) => compare(&bench, options),
    }
}

/// The chosen workloads.
fn workloads(options: &Options) -> Vec<Workload> {
    workload::ALL
        .into_iter()
        .filter(|workload| options.wants(workload.name))
        .collect()
}

/// Counts what a call takes where it is wanted, and prints it.
fn count(
    bench: &Bench<'_>,
    options: &Options,
    what: Count,
    wants: impl Fn(&Workload, Candidate) -> bool,
    run: &mut Run,
) {
    let (title, places) = what.title();
    println!("\n| {title} | | |\n|---|--:|---|");
    for workload in workloads(options).iter().filter(|it| it.is_countable()) {
        for candidate in workload.candidates.iter().copied() {
            if !options.wants_candidate(candidate) || !wants(workload, candidate) {
                continue;
            }
            let (work, who) = (workload.name, candidate.name());
            match bench.count(workload, candidate, what) {
                Err(error) => run.failed(format!("{work}, {who}: {error}")),
                Ok(counted) => {
                    let each = counted.each;
                    println!("| {work}, {who} | {each:.places$} | {} |", counted.parts);
                    run.counts.push(run::Count {
                        workload: work,
                        candidate,
                        what,
                        each,
                    });
                }
            }
        }
    }
}

fn compare(bench: &Bench<'_>, options: &Options) -> Result<()> {
    let workloads = workloads(options);
    let mut run = Run::default();
    let rounds = options.rounds.unwrap_or(5);
    for round in 0..rounds {
        for workload in &workloads {
            let mut candidates: Vec<Candidate> = workload
                .candidates
                .iter()
                .copied()
                .filter(|candidate| options.wants_candidate(*candidate))
                .collect();
            let turn = round % candidates.len().max(1);
            candidates.rotate_left(turn);
            for candidate in candidates {
                let (number, work, who) = (round + 1, workload.name, candidate.name());
                match bench.sample(workload, candidate) {
                    Ok(sample) => {
                        eprintln!("round {number} {work} {}", sample.brief());
                        run.samples.push((work, sample));
                    }
                    Err(error) => {
                        run.failed(format!("round {number} {work}, {who}: {error}"));
                    }
                }
            }
        }
    }
    for workload in &workloads {
        let of_it: Vec<&Sample> = run.of(workload.name).collect();
        println!("{}", table::of(workload, &of_it));
    }
    if options.document.is_some() || options.only.is_none() {
        for what in Count::ALL {
            // A document shows the peers' counts, too; allocations are ours alone, for peers have pools of their own.
            let wants = |workload: &Workload, candidate| match candidate {
                Candidate::Ours => {
                    options.document.is_some() || goals::ask_for(workload.name, what)
                }
                _ => options.document.is_some() && what != Count::Allocations,
            };
            count(bench, options, what, wants, &mut run);
        }
    }
    println!("\n### Goals\n\n{}", goals::table(&run));
    if let Some(file) = &options.document {
        document::write(file, &options.about, rounds, &run)?;
    }
    run.verdict()
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
