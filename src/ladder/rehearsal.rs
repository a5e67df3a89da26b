//! A rehearsal: what a brownout or block would have refused, by the calls that a log holds. Each call is asked of the
//! policy as it was made, at its own time or at the time of the rehearsal's windows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::{CallerView, Policy};
use crate::catalogue::{Catalogue, Mode};
use crate::telemetry::caller::{Auth, Caller};

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
}

/// What would have been refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// How many calls were looked at.
    pub calls: u64,
    /// How many would have been refused, by caller (name, else key) and method.
    pub refused: BTreeMap<(String, String), u64>,
}

#[derive(Deserialize)]
struct Line {
    event: String,
    timestamp: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    caller: LineCaller,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LineCaller {
    auth: String,
    key: String,
    name: Option<String>,
    user: Option<String>,
    fingerprint: Option<String>,
    application: Option<String>,
    address: Option<String>,
    user_agent: Option<String>,
    sdk: Option<String>,
}

impl PastCall {
    /// Reads one line of a deprecation log; nothing when it is no deprecated call.
    pub fn read(line: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(line).ok()?;
        if line.event != "deprecated_call" {
            return None;
        }
        let caller = line.caller;
        let auths = [Auth::Webhook, Auth::OAuth, Auth::Session, Auth::None];
        let auth = auths.into_iter().find(|auth| auth.as_str() == caller.auth);
        Some(Self {
            at: line.timestamp.parse().ok()?,
            method: line.method,
            name: caller.name,
            caller: Caller {
                auth: auth.unwrap_or_default(),
                user: caller.user,
                fingerprint: caller.fingerprint,
                application: caller.application,
                address: caller.address.and_then(|address| address.parse().ok()),
                user_agent: caller.user_agent,
                sdk: caller.sdk,
                key: caller.key,
            },
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
        self.calls += 1;
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
                .or_default() += 1;
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
