//! How cost grows: with connections, calls in flight, rules, commands in a batch, and bodies. Written as JSON, of which
//! `plot` makes tables and pictures.
use crate::bench::Bench;
use crate::candidate::Candidate::{self, Haproxy, Nginx, NginxLua, Ours};
use crate::candidate::Setup;
use crate::load::Pace;
use crate::traffic::Traffic;
use crate::workload::Job;
use serde_json::{Value, json};
use std::io::{Error, Result};
use std::path::Path;
use std::time::Duration;

/// One thing that grows.
struct Series {
    /// As it is called in options and files.
    name: &'static str,
    /// What is done.
    title: &'static str,
    /// What grows.
    grows: &'static str,
    sizes: &'static [usize],
    candidates: &'static [Candidate],
    traffic: fn(usize) -> Traffic,
    pace: fn(usize) -> (usize, usize),
    logged: bool,
    own_rules: fn(usize) -> usize,
}

const PEERS: &[Candidate] = &[Ours, Nginx, Haproxy];

const CONNECTIONS: Series = Series {
    name: "connections",
    title: "A small call is forwarded, at most 64 at once",
    grows: "open connections, which take turns",
    sizes: &[1, 10, 100, 1000, 10_000],
    candidates: PEERS,
    traffic: |_| Traffic::small(),
    pace: |connections| (connections, connections.min(64)),
    logged: false,
    own_rules: |_| 0,
};

const BODIES: &[usize] = &[1 << 10, 16 << 10, 128 << 10, 1 << 20, 8 << 20, 32 << 20];

const ALL: [Series; 7] = [
    CONNECTIONS,
    Series {
        name: "upstream",
        title: "A small call is forwarded, 64 open connections",
        grows: "calls in flight: as many connections to the portal",
        sizes: &[1, 2, 4, 8, 16, 32, 64],
        pace: |in_flight| (64, in_flight),
        ..CONNECTIONS
    },
    Series {
        name: "rules",
        title: "A small call is forwarded, 64 connections",
        grows: "rules: the 234 that ship, and own ones",
        sizes: &[234, 250, 468, 1000, 5000],
        candidates: &[Ours],
        pace: |_| (64, 64),
        own_rules: |rules| rules - 234,
        ..CONNECTIONS
    },
    Series {
        name: "batch",
        title: "A batch with nothing to change; ours and Lua look into it",
        grows: "commands",
        sizes: &[1, 2, 5, 10, 25, 50],
        candidates: &[Ours, NginxLua, Nginx, Haproxy],
        traffic: |commands| Traffic::batch_of(commands, false),
        pace: |_| (64, 64),
        ..CONNECTIONS
    },
    Series {
        name: "batch-deprecated",
        title: "A batch, one command translated and logged",
        grows: "commands",
        sizes: &[1, 2, 5, 10, 25, 50],
        candidates: &[Ours, NginxLua],
        traffic: |commands| Traffic::batch_of(commands, true),
        pace: |_| (64, 64),
        logged: true,
        ..CONNECTIONS
    },
    Series {
        name: "download",
        title: "A body from the portal, 4 connections",
        grows: "bytes",
        sizes: BODIES,
        traffic: Traffic::download_of,
        pace: |_| (4, 4),
        ..CONNECTIONS
    },
    Series {
        name: "upload",
        title: "A body to the portal, 4 connections",
        grows: "bytes",
        sizes: BODIES,
        traffic: Traffic::upload_of,
        pace: |_| (4, 4),
        ..CONNECTIONS
    },
];

/// Measures all wanted series and writes them to `file`.
///
/// # Errors
/// A candidate did not do its work, or did it wrongly.
pub fn measure(
    bench: &Bench<'_>,
    rounds: usize,
    about: &str,
    file: &Path,
    wants: impl Fn(&str) -> bool,
    wants_candidate: impl Fn(Candidate) -> bool,
) -> Result<()> {
    let files = open_files();
    let mut measured = Vec::new();
    for series in ALL.iter().filter(|series| wants(series.name)) {
        let mut points: Vec<Point> = Vec::new();
        for size in series.sizes.iter().copied() {
            let candidates = series.candidates.iter().copied();
            points.extend(
                candidates
                    .filter(|candidate| wants_candidate(*candidate))
                    .map(|candidate| Point::new(size, candidate)),
            );
        }
        for round in 0..rounds {
            for point in &mut points {
                let traffic = (series.traffic)(point.size);
                let (connections, in_flight) = (series.pace)(point.size);
                if connections + in_flight + 200 > files {
                    eprintln!(
                        "{connections} connections need more open files than {files}: left out"
                    );
                    continue;
                }
                let job = Job {
                    traffic: &traffic,
                    pace: Pace {
                        connections,
                        in_flight,
                        rate: None,
                        reconnect: false,
                        tls: false,
                        streams: None,
                        time: Duration::ZERO,
                        limit: usize::MAX,
                    },
                    logged: series.logged,
                    setup: Setup {
                        own_rules: (series.own_rules)(point.size),
                        ..Setup::PLAIN
                    },
                };
                let (name, size, who) = (series.name, point.size, point.candidate);
                let work = bench.work(&job, who).map_err(|error| {
                    Error::other(format!("{name} {size}, {}: {error}", who.name()))
                })?;
                let (who, cpu, rate) = (who.name(), work.cpu, work.rate);
                eprintln!(
                    "round {} {name} {size} {who}: {cpu:.1} µs, {rate:.0} calls a second",
                    round + 1
                );
                point.cpu.push(work.cpu);
                point.rate.push(work.rate);
                point.median.push(work.median);
            }
        }
        measured.push(json!({
            "name": series.name,
            "title": series.title,
            "grows": series.grows,
            "points": points.iter().filter(|point| !point.cpu.is_empty()).map(Point::json).collect::<Vec<_>>(),
        }));
    }
    let all = json!({ "about": about, "series": measured });
    std::fs::write(file, format!("{all:#}\n"))
}

/// As many files as this process may have open, and each candidate.
fn open_files() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map_or(usize::MAX, |files| files as usize)
}

/// A candidate at a size: a figure for each round.
struct Point {
    size: usize,
    candidate: Candidate,
    cpu: Vec<f64>,
    rate: Vec<f64>,
    median: Vec<f64>,
}

impl Point {
    fn new(size: usize, candidate: Candidate) -> Self {
        Self {
            size,
            candidate,
            cpu: Vec::new(),
            rate: Vec::new(),
            median: Vec::new(),
        }
    }

    fn json(&self) -> Value {
        let rounded = |figures: &[f64], digits: i32| -> Vec<f64> {
            let unit = 10_f64.powi(digits);
            figures
                .iter()
                .map(|figure| (figure * unit).round() / unit)
                .collect()
        };
        json!({
            "size": self.size,
            "candidate": self.candidate.name(),
            "cpu_us": rounded(&self.cpu, 2),
            "calls_per_second": rounded(&self.rate, 1),
            "p50_ms": rounded(&self.median, 4),
        })
    }
}
