//! Which entry decides, why those before it do not, and where each stands: for a person to read.

use jiff::Timestamp;

use super::policy::{Policy, Setting};
use super::{Because, CallerView, Decision};
use crate::catalogue::Rule;

/// Which entry decides for a caller at a moment, and why those before it do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What is done with the call.
    pub decision: Decision,
    /// What says so: an origin and what it says.
    pub decided_by: String,
    /// The entries that were passed over: what they say, and why they do not match.
    pub passed_over: Vec<(String, String)>,
}

impl Policy {
    /// Which entry decides for a caller at a moment, and why those before it do not.
    pub fn explain(&self, rule: &Rule, caller: &CallerView<'_>, now: Timestamp) -> Explanation {
        let mut passed_over = Vec::new();
        for &at in self.plan(rule).map_or(&[][..], |plan| &plan.entries) {
            match self.ask(at, caller, now) {
                Ok(decision) => {
                    return Explanation {
                        decision,
                        decided_by: self.origin(decision.because),
                        passed_over,
                    };
                }
                Err(miss) => passed_over.push((self.origin(Because::Entry(at)), miss.text())),
            }
        }
        let decision = self.mode(rule, caller, now);
        Explanation {
            decision,
            decided_by: self.origin(decision.because),
            passed_over,
        }
    }

    /// Where it stands and what it says, for a person to read.
    pub fn origin(&self, because: Because) -> String {
        match because {
            Because::Default => "the default".to_owned(),
            Because::Setting(at) => match &self.settings[at] {
                Setting {
                    method: Some(method),
                    step,
                    origin,
                    ..
                } => format!("{origin}: {method}={}", step.mode.as_str()),
                Setting { step, origin, .. } => format!("{origin}: {}", step.mode.as_str()),
            },
            Because::Entry(at) => {
                let entry = &self.entries[at].entry;
                let scope = entry
                    .scope()
                    .map_or(String::new(), |scope| format!(" for {scope}"));
                let windows: Vec<String> = entry.windows.iter().map(ToString::to_string).collect();
                let when = match windows.is_empty() {
                    true => String::new(),
                    false => format!(", {}", windows.join(", ")),
                };
                format!("{}: {}{scope}{when}", entry.origin, entry.word())
            }
        }
    }
}
