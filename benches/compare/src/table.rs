//! What was measured, as tables in Markdown.
use crate::candidate::Candidate;
use crate::workload::Workload;
use std::fmt::Write;

/// One round of one candidate.
pub enum Sample {
    /// What a call cost.
    Work(Work),
    /// What connections cost.
    Memory(Memory),
}

/// What a call cost.
pub struct Work {
    /// Who was measured.
    pub candidate: Candidate,
    /// CPU microseconds a call, user and kernel.
    pub cpu: f64,
    /// Calls a second.
    pub rate: f64,
    /// The median latency in milliseconds.
    pub median: f64,
    /// The latency in milliseconds that one call in a hundred exceeds.
    pub slow: f64,
}

/// What connections cost.
pub struct Memory {
    /// Who was measured.
    pub candidate: Candidate,
    /// Resident MiB before the first.
    pub rest: f64,
    /// KiB for each connection that is open.
    pub each: f64,
    /// Resident MiB when all have left.
    pub after: f64,
}

impl Sample {
    /// Who was measured.
    pub fn candidate(&self) -> Candidate {
        match self {
            Sample::Work(work) => work.candidate,
            Sample::Memory(memory) => memory.candidate,
        }
    }

    /// In a few words, for who waits.
    pub fn brief(&self) -> String {
        let name = self.candidate().name();
        match self {
            Sample::Work(work) => format!(
                "{name}: {:.1} µs, {:.0} calls a second",
                work.cpu, work.rate
            ),
            Sample::Memory(memory) => {
                format!(
                    "{name}: {:.1} MiB, {:.1} KiB a connection",
                    memory.rest, memory.each
                )
            }
        }
    }

    fn figure(&self, of: fn(&Work) -> f64, or: fn(&Memory) -> f64) -> f64 {
        match self {
            Sample::Work(work) => of(work),
            Sample::Memory(memory) => or(memory),
        }
    }
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        (values[half - 1] + values[half]) / 2.0
    }
}

/// The least and the most.
pub fn range(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    (least, most)
}

/// The table of a workload.
pub fn of(workload: &Workload, samples: &[&Sample]) -> String {
    let mut out = format!("\n### {}: {}\n\n", workload.name, workload.what);
    let candidates: Vec<Candidate> = workload
        .candidates
        .iter()
        .copied()
        .filter(|candidate| {
            samples
                .iter()
                .any(|sample| sample.candidate() == *candidate)
        })
        .collect();
    let of = |candidate: Candidate, figure: &dyn Fn(&Sample) -> f64| -> Vec<f64> {
        samples
            .iter()
            .filter(|sample| sample.candidate() == candidate)
            .map(|sample| figure(sample))
            .collect()
    };
    if workload.idle {
        out.push_str("| | MiB at rest | KiB a connection | range | MiB when 5000 have left |\n|---|--:|--:|--:|--:|\n");
    } else {
        out.push_str("| | CPU µs a call | range | ours ÷ it, median (best rounds) | calls a second | p50 ms | p50 less ours | p99 ms |\n|---|--:|--:|--:|--:|--:|--:|--:|\n");
    }
    for candidate in &candidates {
        let name = candidate.name();
        let mid = |work, memory| median(of(*candidate, &|sample| sample.figure(work, memory)));
        let cost = |sample: &Sample| sample.figure(|work| work.cpu, |memory| memory.each);
        let costs = of(*candidate, &cost);
        let (least, most) = range(&costs);
        // Writing to a String does not fail.
        let _ = if workload.idle {
            writeln!(
                out,
                "| {name} | {:.1} | {:.1} | {least:.1}–{most:.1} | {:.1} |",
                mid(|work| work.cpu, |memory| memory.rest),
                median(costs),
                mid(|work| work.cpu, |memory| memory.after)
            )
        } else {
            let ours = of(candidates[0], &cost);
            let ours_median = median(of(candidates[0], &|sample| {
                sample.figure(|work| work.median, |memory| memory.rest)
            }));
            let ratios = ours
                .iter()
                .zip(&costs)
                .map(|(ours, its)| ours / its)
                .collect();
            writeln!(
                out,
                "| {name} | {:.1} | {least:.1}–{most:.1} | {:.2} ({:.2}) | {:.0} | {:.3} | {:+.3} | {:.2} |",
                median(costs),
                median(ratios),
                range(&ours).0 / least,
                mid(|work| work.rate, |memory| memory.rest),
                mid(|work| work.median, |memory| memory.rest),
                mid(|work| work.median, |memory| memory.rest) - ours_median,
                mid(|work| work.slow, |memory| memory.rest)
            )
        };
    }
    out
}

/// A whole number with commas between thousands.
pub fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
