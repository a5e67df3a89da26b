//! The tables of a run, as docs/BENCHMARKS.md has them, put between its marks.
use crate::bench::Count;
use crate::candidate::Candidate::{self, Haproxy, Nginx, NginxLua, Ours, OursTwo};
use crate::goals;
use crate::run::Run;
use crate::table::{Memory, Sample, Work, grouped, median, range};
use crate::workload;
use std::fmt::Write;
use std::io::{Error, Result};
use std::path::Path;

const BEGIN: &str = "<!-- run: written by benches/compare.sh --document -->";
const END: &str = "<!-- end of run -->";
const ALL: [(Candidate, &str); 4] = [
    (Ours, "ours"),
    (Nginx, "nginx"),
    (Haproxy, "HAProxy"),
    (NginxLua, "nginx with Lua"),
];

/// Writes the run's tables into the document.
///
/// # Errors
/// The document cannot be read or written, or has no marks.
pub fn write(document: &Path, about: &str, rounds: usize, run: &Run) -> Result<()> {
    let before = std::fs::read_to_string(document)?;
    let marks = || Error::other(format!("no {BEGIN} … {END} in {}", document.display()));
    let (head, rest) = before.split_once(BEGIN).ok_or_else(marks)?;
    let (_, tail) = rest.split_once(END).ok_or_else(marks)?;
    let text = format!(
        "{about}; {rounds} rounds; median of the rounds.\n\n{}\n{}\n{}\n{}\n### Goals, and what was reached\n\n{}",
        costs(run),
        latencies(run),
        memory(run),
        counts(run),
        goals::table(run)
    );
    std::fs::write(
        document,
        format!("{head}{BEGIN}\n\n{}\n\n{END}{tail}", text.trim_end()),
    )
}

/// The head of a table: a title, and columns of numbers.
fn head(out: &mut String, first: &str, columns: impl IntoIterator<Item = String>) {
    let columns: Vec<String> = columns.into_iter().collect();
    // Writing to a String does not fail.
    let _ = writeln!(out, "| {first} | {} |", columns.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(columns.len()));
}

fn row(out: &mut String, first: &str, cells: &[String]) {
    let _ = writeln!(out, "| {first} | {} |", cells.join(" | "));
}

fn works(run: &Run, workload: &str, candidate: Candidate, of: fn(&Work) -> f64) -> Vec<f64> {
    run.of(workload)
        .filter_map(|sample| match sample {
            Sample::Work(work) if work.candidate == candidate => Some(of(work)),
            _ => None,
        })
        .collect()
}

/// The middle of these with so many digits; empty where there are none.
fn middle(figures: Vec<f64>, digits: usize) -> String {
    if figures.is_empty() {
        return String::new();
    }
    match median(figures) {
        large @ 1000.0.. => grouped(large),
        figure => format!("{figure:.digits$}"),
    }
}

/// Ours by theirs: the middle of the rounds' ratios, and the ratio of the best rounds.
fn ratio(ours: &[f64], theirs: &[f64]) -> String {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    if ratios.is_empty() {
        return String::new();
    }
    let best = range(ours).0 / range(theirs).0;
    format!("{:.2} ({best:.2})", median(ratios))
}

fn costs(run: &Run) -> String {
    let mut out = String::new();
    let names = ALL.map(|(_, name)| name);
    let mut columns = vec!["ours, CPU µs a call".to_owned(), "range".to_owned()];
    columns.extend(names[1..].iter().map(|name| format!("{name}, µs")));
    columns.extend(
        names[1..]
            .iter()
            .map(|name| format!("ours ÷ {name} (best)")),
    );
    head(&mut out, "workload", columns);
    let cpu = |work: &Work| work.cpu;
    for workload in workload::ALL.iter().filter(|it| !it.idle) {
        let of = |candidate| works(run, workload.name, candidate, cpu);
        let ours = of(Ours);
        if ours.is_empty() {
            continue;
        }
        let (least, most) = range(&ours);
        let mut cells = vec![middle(ours.clone(), 1), format!("{least:.1}–{most:.1}")];
        let peers = [Nginx, Haproxy, NginxLua];
        cells.extend(peers.map(|peer| middle(of(peer), 1)));
        cells.extend(peers.map(|peer| ratio(&ours, &of(peer))));
        row(
            &mut out,
            &format!("`{}`: {}", workload.name, workload.what),
            &cells,
        );
    }
    let (one, two) = (
        works(run, "threads", Ours, cpu),
        works(run, "threads", OursTwo, cpu),
    );
    if !two.is_empty() {
        let _ = writeln!(
            out,
            "\nTwo threads make {} times the calls a CPU second of one.",
            ratio(&one, &two)
        );
    }
    out
}

fn latencies(run: &Run) -> String {
    let mut out = String::new();
    let columns = ALL.map(|(_, name)| [format!("{name}, p50"), "p99".to_owned()]);
    head(&mut out, "latency, ms", columns.into_iter().flatten());
    for workload in workload::ALL.iter().filter(|it| !it.idle) {
        let of = |candidate, what| middle(works(run, workload.name, candidate, what), 3);
        let cells: Vec<String> = ALL
            .iter()
            .flat_map(|(who, _)| [of(*who, |work| work.median), of(*who, |work| work.slow)])
            .collect();
        if !cells[0].is_empty() {
            row(&mut out, &format!("`{}`", workload.name), &cells);
        }
    }
    out
}

fn memory(run: &Run) -> String {
    let mut out = String::new();
    let columns = [
        "MiB at rest",
        "KiB an idle connection",
        "with TLS",
        "MiB when 5000 have left",
        "with TLS",
    ];
    head(&mut out, "memory", columns.map(String::from));
    for (who, name) in ALL {
        let of = |workload: &str, figure: fn(&Memory) -> f64| {
            let of_it = run.of(workload).filter_map(|sample| match sample {
                Sample::Memory(memory) if memory.candidate == who => Some(figure(memory)),
                _ => None,
            });
            middle(of_it.collect(), 1)
        };
        let cells = [
            of("idle", |memory| memory.rest),
            of("idle", |memory| memory.each),
            of("idle-tls", |memory| memory.each),
            of("idle", |memory| memory.after),
            of("idle-tls", |memory| memory.after),
        ];
        if cells.iter().any(|cell| !cell.is_empty()) {
            row(&mut out, name, &cells);
        }
    }
    out
}

fn counts(run: &Run) -> String {
    let mut out = String::new();
    let mut columns: Vec<String> = ALL
        .iter()
        .map(|(_, name)| format!("{name}, instructions"))
        .collect();
    columns.extend(ALL.iter().map(|(_, name)| format!("{name}, system calls")));
    columns.push("ours, allocations".into());
    head(&mut out, "of a call", columns);
    for workload in workload::ALL {
        let of = |who, what| {
            let each = run.counted(workload.name, who, what);
            match (each, what) {
                (None, _) => String::new(),
                (Some(each), Count::Instructions) => grouped(each),
                (Some(each), _) => format!("{each:.*}", what.title().1),
            }
        };
        let mut cells: Vec<String> = ALL
            .iter()
            .map(|(who, _)| of(*who, Count::Instructions))
            .collect();
        cells.extend(ALL.iter().map(|(who, _)| of(*who, Count::SystemCalls)));
        cells.push(of(Ours, Count::Allocations));
        if cells.iter().any(|cell| !cell.is_empty()) {
            row(&mut out, &format!("`{}`", workload.name), &cells);
        }
    }
    out
}
