//! All that was measured in a run.
use crate::bench;
use crate::candidate::Candidate;
use crate::table::Sample;
use std::io::{Error, Result};

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

/// All that was measured in a run.
#[derive(Default)]
pub struct Run {
    /// The samples with their workloads' names, in the order of the rounds.
    pub samples: Vec<(&'static str, Sample)>,
    /// What was counted.
    pub counts: Vec<Count>,
    /// What went wrong; the others' figures hold.
    pub faults: Vec<String>,
}

impl Run {
    /// Notes what went wrong, and says it.
    pub fn failed(&mut self, fault: String) {
        eprintln!("FAILED: {fault}");
        self.faults.push(fault);
    }

    /// Whether all went well.
    pub fn verdict(&self) -> Result<()> {
        match self.faults.len() {
            0 => Ok(()),
            count => Err(Error::other(format!(
                "{count} measurements failed: {}",
                self.faults.join("; ")
            ))),
        }
    }

    /// The samples of a workload.
    pub fn of<'r>(&'r self, workload: &'r str) -> impl Iterator<Item = &'r Sample> {
        let of_it = self
            .samples
            .iter()
            .filter(move |(name, _)| *name == workload);
        of_it.map(|(_, sample)| sample)
    }

    /// What was counted for a call of a workload.
    pub fn counted(&self, workload: &str, candidate: Candidate, what: bench::Count) -> Option<f64> {
        let is_it = |count: &&Count| {
            (count.workload, count.candidate, count.what) == (workload, candidate, what)
        };
        self.counts.iter().find(is_it).map(|count| count.each)
    }
}
