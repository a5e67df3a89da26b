//! Modes change by themselves, by windows and dates, and by reloads: each change becomes a line of the deprecation log,
//! and the metrics show how the rules stand. A reload is looked at by whoever does it, and between two looks each turn of
//! a window is, so that no change is lost that is taken back before the next look.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;

use crate::catalogue::Mode;
use crate::ladder::standing::{Change, Standing, changes};
use crate::ladder::{Policy, StoppedBy};
use crate::proxy::Shared;
use crate::telemetry::event::ModeChanged;

/// So many turns of windows are told one by one between two looks; a machine that slept for a week has missed more.
const MOST_TURNS: usize = 100;

/// Tells changes of modes.
pub struct ModeWatch {
    shared: Arc<Shared>,
    last: Mutex<Look>,
}

/// How the rules stood at the last look.
struct Look {
    at: Timestamp,
    policy: Arc<Policy>,
    standings: Vec<Standing>,
    stops: Vec<(usize, StoppedBy)>,
}

impl ModeWatch {
    /// Looks for the first time: nothing has changed yet.
    pub fn begin(shared: Arc<Shared>, now: Timestamp) -> Self {
        let policy = shared.policy.load_full();
        let standings = policy.standings(now);
        show(&shared, &standings);
        let last = Look {
            at: now,
            stops: policy.stops(now),
            policy,
            standings,
        };
        Self {
            shared,
            last: Mutex::new(last),
        }
    }

    /// Looks again, and tells what has changed since.
    pub fn look(&self, now: Timestamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.look(&self.shared, now);
    }

    /// Puts another policy in the place of the one that holds, and tells what that changes.
    pub fn replace(&self, policy: Arc<Policy>, now: Timestamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.look(&self.shared, now);
        self.shared.policy.store(policy);
        last.look(&self.shared, now);
    }
}

impl Look {
    fn look(&mut self, shared: &Shared, now: Timestamp) {
        let policy = shared.policy.load_full();
        let reloaded = !Arc::ptr_eq(&policy, &self.policy);
        if !reloaded {
            if policy.entries().next().is_none() {
                return;
            }
            for _ in 0..MOST_TURNS {
                match policy.next_turn(self.at).filter(|turn| *turn < now) {
                    Some(turn) => self.step(shared, &policy, false, turn),
                    None => break,
                }
            }
        }
        self.step(shared, &policy, reloaded, now);
    }

    /// Tells what is different at this moment from the last one.
    fn step(&mut self, shared: &Shared, policy: &Arc<Policy>, reloaded: bool, now: Timestamp) {
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
            tell(shared, &changes, cause, now);
        }
        if reloaded || !changes.is_empty() {
            show(shared, &standings);
        }
        *self = Self {
            at: now,
            policy: Arc::clone(policy),
            standings,
            stops,
        };
    }
}

fn tell(shared: &Shared, changes: &[Change], cause: &'static str, at: Timestamp) {
    for (change, methods) in alike(changes) {
        let scope = change.scope.as_deref();
        let (from, to) = (change.from.as_str(), change.to.as_str());
        let (origin, first) = (&*change.origin, &*change.method);
        if methods == 1 {
            tracing::info!(
                method = first,
                scope,
                from,
                to,
                origin,
                cause,
                "a method's mode has changed"
            );
        } else {
            tracing::info!(
                methods,
                first,
                scope,
                from,
                to,
                origin,
                cause,
                "the mode of methods has changed"
            );
        }
    }
    let since_1970 = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let timestamp = UNIX_EPOCH + Duration::from_millis(since_1970);
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

/// The changes that differ in their method only, as the first of them and how many they are: one entry may be for many
/// methods.
fn alike(changes: &[Change]) -> Vec<(&Change, usize)> {
    let mut found: Vec<(&Change, usize)> = Vec::new();
    let mut places = HashMap::new();
    for change in changes {
        let Change {
            scope,
            from,
            to,
            origin,
            ..
        } = change;
        let place = *places
            .entry((scope, from.as_str(), to.as_str(), origin))
            .or_insert(found.len());
        match found.get_mut(place) {
            Some((_, methods)) => *methods += 1,
            None => found.push((change, 1)),
        }
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_differ_in_their_method_only_are_one_line() {
        let change = |method: &str, scope: Option<&str>, to| Change {
            method: method.to_owned(),
            scope: scope.map(str::to_owned),
            from: Mode::Rewrite,
            to,
            origin: "proxy.toml:3:1: block".to_owned(),
        };
        let changes = [
            change("a", None, Mode::Block),
            change("b", None, Mode::Block),
            change("c", None, Mode::Observe),
            change("d", Some("user 7"), Mode::Block),
            change("e", None, Mode::Block),
        ];
        let told: Vec<(&str, usize)> = alike(&changes)
            .iter()
            .map(|(first, methods)| (first.method.as_str(), *methods))
            .collect();
        assert_eq!(told, [("a", 3), ("c", 1), ("d", 1)]);
    }
}
