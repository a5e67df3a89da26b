//! Modes change by themselves, by windows and dates, and by reloads: each change becomes a line of the deprecation log,
//! and the metrics show how the rules stand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::catalogue::Mode;
use crate::ladder::standing::{Change, Standing, changes};
use crate::ladder::{Policy, StoppedBy};
use crate::proxy::Shared;
use crate::telemetry::event::ModeChanged;

/// How the rules stood at the last look.
pub struct ModeWatch {
    policy: Arc<Policy>,
    standings: Vec<Standing>,
    stops: Vec<(usize, StoppedBy)>,
}

impl ModeWatch {
    /// Looks for the first time: nothing has changed yet.
    pub fn begin(shared: &Shared, now: Timestamp) -> Self {
        let policy = shared.policy.load_full();
        let standings = policy.standings(now);
        show(shared, &standings);
        Self {
            stops: policy.stops(now),
            policy,
            standings,
        }
    }

    /// Looks again, and tells what has changed since.
    pub fn look(&mut self, shared: &Shared, now: Timestamp) {
        let policy = shared.policy.load_full();
        let reloaded = !Arc::ptr_eq(&policy, &self.policy);
        if !reloaded && policy.entries().next().is_none() {
            return;
        }
        let stops = policy.stops(now);
        let ended = stops.iter().find(|stop| !self.stops.contains(stop));
        let cause = match (reloaded, ended) {
            (true, _) => "reload",
            (false, Some((_, StoppedBy::Admin))) => "admin",
            (false, Some((_, StoppedBy::Guard))) => "guard",
            (false, None) => "schedule",
        };
        let standings = policy.standings(now);
        let changes = changes(&self.standings, &standings);
        if !changes.is_empty() {
            tell(shared, &changes, cause);
        }
        if reloaded || !changes.is_empty() {
            show(shared, &standings);
        }
        *self = Self {
            policy,
            standings,
            stops,
        };
    }
}

fn tell(shared: &Shared, changes: &[Change], cause: &'static str) {
    for change in changes {
        tracing::info!(
            method = change.method,
            scope = change.scope,
            from = ?change.from,
            to = ?change.to,
            origin = change.origin,
            cause,
            "a method's mode has changed"
        );
    }
    let timestamp = SystemTime::now();
    let lines: Vec<ModeChanged> = changes
        .iter()
        .map(|change| ModeChanged {
            timestamp,
            method: change.method.clone(),
            from: change.from,
            to: change.to,
            scope: change.scope.clone(),
            cause,
            origin: Some(change.origin.clone()),
        })
        .collect();
    // A log in trouble says so itself.
    let _ = shared.telemetry.modes_changed(&lines);
}

fn show(shared: &Shared, standings: &[Standing]) {
    let metrics = &shared.telemetry.metrics;
    metrics.set_modes(
        standings
            .iter()
            .map(|standing| (standing.method.as_str(), standing.mode)),
    );
    let general = standings
        .iter()
        .map(|standing| (standing.mode, &standing.origin));
    let exceptions = standings
        .iter()
        .flat_map(|standing| &standing.exceptions)
        .map(|exception| (exception.mode, &exception.origin));
    // One entry may be for many methods, and is one brownout.
    let brownouts: BTreeSet<&String> = general
        .chain(exceptions)
        .filter(|(mode, _)| *mode == Mode::Brownout)
        .map(|(_, origin)| origin)
        .collect();
    metrics.set_brownouts(brownouts.len().try_into().unwrap_or(u64::MAX));
}
