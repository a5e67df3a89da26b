//! What the proxy must cost and what it should, beside what a run has measured.
use crate::bench;
use crate::candidate::Candidate::{self, Haproxy, Nginx, NginxLua, Ours, OursTwo};
use crate::run::Run;
use crate::table::{self, Memory, Sample, Work, median, range};
use std::fmt::Write;

/// What a goal is about.
enum Figure {
    /// CPU a call, as a ratio to another's: theirs in this workload.
    Cpu(&'static str, Candidate, &'static str, Candidate),
    /// The same, to the better of nginx and HAProxy.
    CpuToBetter(&'static str),
    /// The median latency less another's, in milliseconds.
    Latency(&'static str, Candidate),
    /// What is counted for each call of ours.
    Count(&'static str, bench::Count),
    /// Of our memory.
    Memory(&'static str, fn(&Memory) -> f64),
    /// Calls a CPU second of two threads, as a ratio to one's: the more, the better.
    Threads,
}

struct Goal {
    work: &'static str,
    figure: Figure,
    must: f64,
    /// What would be better still, where it was said.
    aim: Option<f64>,
}

/// A figure of all rounds, and of the best ones where it has rounds.
struct Measured {
    middle: f64,
    best: Option<f64>,
}

const fn goal(work: &'static str, figure: Figure, must: f64, aim: Option<f64>) -> Goal {
    Goal {
        work,
        figure,
        must,
        aim,
    }
}

const fn cpu(workload: &'static str, than: Candidate) -> Figure {
    Figure::Cpu(workload, Ours, workload, than)
}

const fn instructions(workload: &'static str) -> Figure {
    Figure::Count(workload, bench::Count::Instructions)
}

const fn calls(workload: &'static str) -> Figure {
    Figure::Count(workload, bench::Count::SystemCalls)
}

// One row a goal.
#[rustfmt::skip]
const GOALS: &[Goal] = &[
    goal("small: user instructions", instructions("small"), 24_000.0, Some(19_000.0)),
    goal("… CPU × the better of nginx and HAProxy", Figure::CpuToBetter("small"), 0.95, Some(0.88)),
    goal("… system calls", calls("small"), 4.10, None),
    goal("paced, 2003 calls a second: CPU × nginx", cpu("paced", Nginx), 1.02, Some(0.95)),
    goal("… p50 over nginx's, ms", Figure::Latency("paced", Nginx), 0.05, Some(0.02)),
    goal("watched, logged each: user instructions", instructions("watched"), 32_000.0, Some(26_000.0)),
    goal("… CPU × nginx that only passes", cpu("watched", Nginx), 1.10, Some(1.00)),
    goal("… system calls", calls("watched"), 4.30, Some(4.15)),
    goal("watched, summed hourly: user instructions", instructions("watched-hourly"), 27_000.0, Some(21_000.0)),
    goal("… CPU × own small", Figure::Cpu("watched-hourly", Ours, "small", Ours), 1.10, Some(1.03)),
    goal("deprecated: user instructions", instructions("deprecated"), 50_000.0, Some(38_000.0)),
    goal("… CPU × nginx with Lua", cpu("deprecated", NginxLua), 0.85, Some(0.75)),
    goal("… CPU × nginx that only passes", cpu("deprecated", Nginx), 1.30, Some(1.15)),
    goal("batch of 50, one deprecated: user instructions", instructions("batch"), 90_000.0, Some(65_000.0)),
    goal("… CPU × nginx with Lua", cpu("batch", NginxLua), 0.50, Some(0.38)),
    goal("a connection for each call: user instructions", instructions("connect"), 36_000.0, Some(29_000.0)),
    goal("… CPU × nginx", cpu("connect", Nginx), 1.00, Some(0.93)),
    goal("watched, a connection for each call: user instructions", instructions("watched-connect"), 45_000.0, Some(35_000.0)),
    goal("upload of 16 KiB: user instructions", instructions("upload16"), 38_000.0, None),
    goal("… CPU × nginx", cpu("upload16", Nginx), 1.00, Some(0.85)),
    goal("download of 16 KiB: CPU × nginx", cpu("download16", Nginx), 1.10, Some(0.95)),
    goal("10 MiB down: CPU × nginx with wide buffers", cpu("download", Nginx), 0.89, None),
    goal("10 MiB up: CPU × nginx with wide buffers", cpu("upload", Nginx), 0.84, None),
    goal("TLS kept alive: CPU × nginx", cpu("tls", Nginx), 0.84, None),
    goal("a TLS handshake for each call: CPU × nginx", cpu("handshake", Nginx), 0.42, None),
    goal("10,000 connections that take turns: CPU × nginx", cpu("turns", Nginx), 1.15, Some(1.00)),
    goal("small over HTTP/2 and TLS: CPU × nginx", cpu("h2", Nginx), 1.15, Some(1.00)),
    goal("resident at rest, MiB", Figure::Memory("idle", |memory| memory.rest), 8.5, Some(6.0)),
    goal("… an idle connection, KiB", Figure::Memory("idle", |memory| memory.each), 7.0, Some(4.0)),
    goal("… an idle connection with TLS, KiB", Figure::Memory("idle-tls", |memory| memory.each), 15.3, Some(12.0)),
    goal("… when 5000 connections have left, MiB", Figure::Memory("idle", |memory| memory.after), 9.0, Some(8.5)),
    goal("two threads × one: calls a CPU second", Figure::Threads, 0.95, Some(1.0)),
];

/// Whether a goal is about this count of ours.
pub fn ask_for(workload: &str, what: bench::Count) -> bool {
    GOALS.iter().any(
        |goal| matches!(goal.figure, Figure::Count(of, counted) if (of, counted) == (workload, what)),
    )
}

/// All goals; those that the run says nothing about have no figure.
pub fn table(run: &Run) -> String {
    let mut out = String::from(
        "| work | must | aim | measured, median (best rounds) | |\n|---|--:|--:|--:|---|\n",
    );
    for goal in GOALS {
        let said = match goal.figure.measured(run) {
            None => "not measured |".to_owned(),
            Some(measured) => {
                let best = measured
                    .best
                    .map_or(String::new(), |best| format!(" ({})", short(best)));
                format!(
                    "{}{best} | {}",
                    short(measured.middle),
                    goal.verdict(&measured)
                )
            }
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "| {} | {} | {} | {said} |",
            goal.work,
            short(goal.must),
            goal.aim.map_or(String::new(), short)
        );
    }
    out
}

/// A figure with as many digits as say something.
fn short(figure: f64) -> String {
    match figure.abs() {
        1000.0.. => table::grouped(figure),
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

impl Goal {
    /// Median and best rounds have to agree that a limit is kept.
    fn verdict(&self, measured: &Measured) -> &'static str {
        let keeps = |figure: f64, limit: f64| match self.figure {
            Figure::Threads => figure >= limit,
            _ => figure <= limit,
        };
        let both = |limit: f64| {
            let best = measured.best.unwrap_or(measured.middle);
            (keeps(measured.middle, limit), keeps(best, limit))
        };
        match (self.aim.map(both), both(self.must)) {
            (Some((true, true)), _) => "aim met",
            (_, (true, true)) => "met",
            (_, (false, false)) => "**missed**",
            _ => "not settled",
        }
    }
}

impl Figure {
    fn measured(&self, run: &Run) -> Option<Measured> {
        let works = |workload: &str, candidate: Candidate, of: fn(&Work) -> f64| -> Vec<f64> {
            run.of(workload)
                .filter_map(|sample| match sample {
                    Sample::Work(work) if work.candidate == candidate => Some(of(work)),
                    _ => None,
                })
                .collect()
        };
        let ratio = |ours: Vec<f64>, theirs: Vec<f64>| {
            let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
            (!ratios.is_empty()).then(|| Measured {
                middle: median(ratios),
                best: Some(range(&ours).0 / range(&theirs).0),
            })
        };
        match *self {
            Figure::Cpu(workload, ours, other, than) => ratio(
                works(workload, ours, |work| work.cpu),
                works(other, than, |work| work.cpu),
            ),
            Figure::CpuToBetter(workload) => {
                let of = |than| {
                    let theirs = works(workload, than, |work| work.cpu);
                    ratio(works(workload, Ours, |work| work.cpu), theirs)
                };
                let worst = |a: f64, b: f64| a.max(b);
                match (of(Nginx), of(Haproxy)) {
                    (Some(a), Some(b)) => Some(Measured {
                        middle: worst(a.middle, b.middle),
                        best: a.best.zip(b.best).map(|(a, b)| worst(a, b)),
                    }),
                    _ => None,
                }
            }
            Figure::Threads => ratio(
                works("threads", Ours, |work| work.cpu),
                works("threads", OursTwo, |work| work.cpu),
            ),
            Figure::Latency(workload, than) => {
                let ours = works(workload, Ours, |work| work.median);
                let theirs = works(workload, than, |work| work.median);
                let over: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a - b).collect();
                (!over.is_empty()).then(|| Measured {
                    middle: median(over),
                    best: Some(range(&ours).0 - range(&theirs).0),
                })
            }
            Figure::Count(workload, what) => {
                let each = run.counted(workload, Ours, what)?;
                Some(Measured {
                    middle: each,
                    best: None,
                })
            }
            Figure::Memory(workload, of) => {
                let figures: Vec<f64> = run
                    .of(workload)
                    .filter_map(|sample| match sample {
                        Sample::Memory(memory) if memory.candidate == Ours => Some(of(memory)),
                        _ => None,
                    })
                    .collect();
                (!figures.is_empty()).then(|| Measured {
                    best: Some(range(&figures).0),
                    middle: median(figures),
                })
            }
        }
    }
}
