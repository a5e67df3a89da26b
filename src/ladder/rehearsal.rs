//! A rehearsal: what a brownout or block would have refused, by the calls that a log holds. Each call is asked of the
//! policy as it was made, at its own time or at the time of the rehearsal's windows.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{CallerView, Policy};
use crate::catalogue::{Catalogue, Mode};
use crate::telemetry::caller::Caller;
use crate::telemetry::reader::Line;

/// A call as its event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastCall {
    /// When its head came.
    pub at: Timestamp,
    /// The deprecated method.
    pub method: String,
    /// Who made it.
    pub caller: Caller,
    /// The caller's name, as the event has it.
    pub name: Option<String>,
    /// How many there were: more than one where the log sums them up.
    pub count: u64,
}

/// What would have been refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// How many calls were looked at.
    pub calls: u64,
    /// How many would have been refused, by caller (name, else key) and method.
    pub refused: BTreeMap<(String, String), u64>,
}

impl PastCall {
    /// What a line of a deprecation log tells of; nothing when it is not a use of a deprecated method.
    pub fn of(line: &Line<'_>) -> Option<Self> {
        let count = line.uses();
        if count == 0 {
            return None;
        }
        Some(Self {
            at: Timestamp::from_millisecond(line.at()?.try_into().ok()?).ok()?,
            method: line.method.to_string(),
            name: line.caller.name.as_deref().map(str::to_owned),
            caller: line.caller.owned(),
            count,
        })
    }
}

impl Rehearsal {
    /// Asks the policy for one call, as if it were made at `at`. Says whether it would have been refused.
    pub fn ask(
        &mut self,
        policy: &Policy,
        catalogue: &Catalogue,
        call: &PastCall,
        at: Timestamp,
    ) -> bool {
        let Some(rule) = catalogue.find(call.method.to_ascii_lowercase().as_bytes()) else {
            return false;
        };
        self.calls += call.count;
        let view = CallerView {
            caller: &call.caller,
            name: call.name.as_deref(),
        };
        let mode = policy.mode(rule, &view, at).mode;
        let refused = matches!(mode, Mode::Brownout | Mode::Block);
        if refused {
            let caller = call.name.clone().unwrap_or_else(|| call.caller.key.clone());
            *self
                .refused
                .entry((caller, rule.method.clone()))
                .or_default() += call.count;
        }
        refused
    }

    /// How many calls would have been refused.
    pub fn refused_calls(&self) -> u64 {
        self.refused.values().sum()
    }

    /// How many callers would have met a refusal.
    pub fn refused_callers(&self) -> usize {
        // Sorted by caller, so that equal ones stand together.
        let mut callers: Vec<&str> = self
            .refused
            .keys()
            .map(|(caller, _)| caller.as_str())
            .collect();
        callers.dedup();
        callers.len()
    }
}
