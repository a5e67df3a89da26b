//! What the proxy must cost and what it should, beside what a run has measured.
use crate::bench;
use crate::candidate::Candidate::{self, Haproxy, Nginx, NginxLua, Ours, OursTwo};
use crate::table::{Memory, Sample, Work, median, range};
use std::fmt::Write;

/// What a call of a workload was counted to take.
pub struct Count {
    /// The workload's name.
    pub workload: &'static str,
    /// Who was counted.
    pub candidate: Candidate,
    /// What was counted.
    pub what: bench::Count,
    /// For each call.
    pub each: f64,
}

/// What a goal is about.
enum Figure {
    /// CPU a call, as a ratio to another's: theirs in this workload.
    Cpu(&'static str, Candidate, &'static str, Candidate),
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
    aim: f64,
}

/// A figure of all rounds, and of the best ones where it has rounds.
struct Measured {
    middle: f64,
    best: Option<f64>,
}

const fn cpu(
    work: &'static str,
    workload: &'static str,
    than: Candidate,
    must: f64,
    aim: f64,
) -> Goal {
    Goal {
        work,
        figure: Figure::Cpu(workload, Ours, workload, than),
        must,
        aim,
    }
}

const GOALS: &[Goal] = &[
    cpu("small call, CPU × nginx", "small", Nginx, 1.10, 0.95),
    cpu("… × HAProxy", "small", Haproxy, 1.10, 0.95),
    cpu(
        "… at 2003 calls a second, CPU × nginx",
        "paced",
        Nginx,
        1.05,
        0.92,
    ),
    Goal {
        work: "… p50 over nginx's, ms",
        figure: Figure::Latency("paced", Nginx),
        must: 0.05,
        aim: 0.02,
    },
    Goal {
        work: "… user instructions",
        figure: Figure::Count("small", bench::Count::Instructions),
        must: 60_000.0,
        aim: 42_000.0,
    },
    Goal {
        work: "… system calls, 64 connections",
        figure: Figure::Count("small", bench::Count::SystemCalls),
        must: 4.2,
        aim: 4.1,
    },
    cpu(
        "deprecated call, logged, CPU × nginx with Lua",
        "deprecated",
        NginxLua,
        0.85,
        0.70,
    ),
    Goal {
        work: "… × own small call",
        figure: Figure::Cpu("deprecated", Ours, "small", Ours),
        must: 1.35,
        aim: 1.15,
    },
    cpu(
        "batch of 50, one deprecated, CPU × nginx with Lua",
        "batch",
        NginxLua,
        0.50,
        0.38,
    ),
    cpu(
        "10 MiB down, CPU × nginx with wide buffers",
        "download",
        Nginx,
        0.95,
        0.80,
    ),
    cpu(
        "10 MiB up, CPU × nginx with wide buffers",
        "upload",
        Nginx,
        0.85,
        0.72,
    ),
    cpu(
        "a connection for each call, CPU × nginx",
        "connect",
        Nginx,
        1.00,
        0.93,
    ),
    cpu("TLS kept alive, CPU × nginx", "tls", Nginx, 0.97, 0.88),
    cpu(
        "a TLS handshake for each call, CPU × nginx",
        "handshake",
        Nginx,
        0.45,
        0.42,
    ),
    memory(
        "idle connection, KiB",
        "idle",
        |memory| memory.each,
        16.0,
        4.0,
    ),
    memory(
        "idle connection with TLS, KiB",
        "idle-tls",
        |memory| memory.each,
        26.0,
        15.0,
    ),
    memory(
        "resident at rest, MiB",
        "idle",
        |memory| memory.rest,
        12.0,
        6.0,
    ),
    memory(
        "… when 5000 connections have left, MiB",
        "idle",
        |memory| memory.after,
        40.0,
        12.0,
    ),
    Goal {
        work: "two threads × one, calls a CPU second",
        figure: Figure::Threads,
        must: 0.95,
        aim: 1.0,
    },
];

const fn memory(
    work: &'static str,
    workload: &'static str,
    of: fn(&Memory) -> f64,
    must: f64,
    aim: f64,
) -> Goal {
    Goal {
        work,
        figure: Figure::Memory(workload, of),
        must,
        aim,
    }
}

/// All goals; those that the run says nothing about have no figure.
pub fn table(samples: &[(&str, Sample)], counts: &[Count]) -> String {
    let mut out = String::from(
        "### Goals\n\n| work | must | aim | measured, median (best rounds) | |\n|---|--:|--:|--:|---|\n",
    );
    for goal in GOALS {
        let said = match goal.figure.measured(samples, counts) {
            None => "not measured | ".to_owned(),
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
            short(goal.aim)
        );
    }
    out
}

/// A figure with as many digits as say something.
fn short(figure: f64) -> String {
    match figure.abs() {
        1000.0.. => format!("{figure:.0}"),
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
        match (both(self.aim), both(self.must)) {
            ((true, true), _) => "aim met",
            (_, (true, true)) => "met",
            (_, (false, false)) => "**missed**",
            _ => "not settled",
        }
    }
}

impl Figure {
    fn measured(&self, samples: &[(&str, Sample)], counts: &[Count]) -> Option<Measured> {
        let works = |workload: &str, candidate: Candidate, of: fn(&Work) -> f64| -> Vec<f64> {
            let of_it = samples.iter().filter(|(name, _)| *name == workload);
            of_it
                .filter_map(|(_, sample)| match sample {
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
                let of_it = |count: &&Count| {
                    (count.workload, count.candidate, count.what) == (workload, Ours, what)
                };
                let each = counts.iter().find(of_it)?.each;
                Some(Measured {
                    middle: each,
                    best: None,
                })
            }
            Figure::Memory(workload, of) => {
                let figures: Vec<f64> = samples
                    .iter()
                    .filter(|(name, _)| *name == workload)
                    .filter_map(|(_, sample)| match sample {
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
