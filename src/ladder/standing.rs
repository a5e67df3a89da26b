//! What holds for the callers that nobody names, what comes next and when, and what has changed between two moments: what
//! pages, metrics, `Sunset` and the log's `mode_changed` say.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::policy::Policy;
use super::{Because, Decision};
use crate::catalogue::{Mode, Rule};

/// How a rule stands at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The rule's method, in the catalogue's spelling.
    pub method: String,
    /// For callers that no entry names.
    pub mode: Mode,
    /// What says so: an origin and what it says.
    pub origin: String,
    /// For those that one does, in the order in which they are asked.
    pub exceptions: Vec<Exception>,
    /// For those that one will be for: windows and days to come.
    pub planned: Vec<Planned>,
    /// The next change for callers that no entry names.
    pub next: Option<(Timestamp, Mode)>,
    /// From when calls are refused for good, where that is known.
    pub sunset: Option<Timestamp>,
}

/// A mode for some callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Who, for a person to read.
    pub scope: String,
    /// Their mode.
    pub mode: Mode,
    /// What says so.
    pub origin: String,
    /// When it ends by itself, where it does.
    pub until: Option<Timestamp>,
}

/// A mode for some callers that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Who, for a person to read.
    pub scope: String,
    /// Their mode then.
    pub mode: Mode,
    /// What says so.
    pub origin: String,
    /// From when.
    pub from: Timestamp,
}

/// A change of a rule's mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The rule's method, in the catalogue's spelling.
    pub method: String,
    /// For whom; for all whom no entry names when there is none.
    pub scope: Option<String>,
    /// Before.
    pub from: Mode,
    /// After.
    pub to: Mode,
    /// What says so now; where an entry is over or gone, that is what holds in its place.
    pub origin: String,
}

/// A brownout that is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brownout {
    /// What [`Policy::stop`] takes.
    pub entry: usize,
    /// The methods whose calls are refused, as the configuration says them.
    pub methods: Vec<String>,
    /// For whom, for a person to read; nothing when it is for all.
    pub scope: Option<String>,
    /// Where it stands and what it says.
    pub origin: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// So many turns are looked at for the next change of a mode; more are windows within windows.
const TURNS: usize = 64;

impl Policy {
    /// How a rule stands at a moment.
    pub fn standing(&self, rule: &Rule, now: Timestamp) -> Standing {
        let general = self.general(rule, now);
        let exceptions = self
            .entries_of(rule)
            .iter()
            .filter_map(|&at| {
                let placed = &self.placed()[at];
                let until = placed.in_time(now).ok()?;
                Some(Exception {
                    scope: placed.entry.scope()?,
                    mode: placed.entry.step.mode,
                    origin: self.origin(Because::Entry(at)),
                    until,
                })
            })
            .collect();
        Standing {
            method: rule.method.clone(),
            mode: general.mode,
            origin: self.origin(general.because),
            exceptions,
            planned: self.planned(rule, now),
            next: self.next_general(rule, general.mode, now),
            sunset: self.sunset(rule),
        }
    }

    /// How all rules stand at a moment, by their ids.
    pub fn standings(&self, now: Timestamp) -> Vec<Standing> {
        let rules = self.catalogue().rules().iter();
        rules.map(|rule| self.standing(rule, now)).collect()
    }

    /// The brownouts that are going on at a moment.
    pub fn brownouts(&self, now: Timestamp) -> Vec<Brownout> {
        let going_on = |(at, placed): (usize, &super::policy::Placed)| {
            let until = placed.in_time(now).ok()?;
            (placed.entry.step.mode == Mode::Brownout).then(|| Brownout {
                entry: at,
                methods: placed
                    .entry
                    .methods
                    .iter()
                    .map(|methods| methods.text().to_owned())
                    .collect(),
                scope: placed.entry.scope(),
                origin: self.origin(Because::Entry(at)),
                until,
            })
        };
        self.placed()
            .iter()
            .enumerate()
            .filter_map(going_on)
            .collect()
    }

    /// The next moment after this one at which something may change for somebody; a good time to look for changes.
    pub fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        self.placed()
            .iter()
            .filter_map(|placed| placed.next_turn(now))
            .min()
    }

    /// The first day from which calls of a rule are refused for good, whoever makes them.
    pub fn sunset(&self, rule: &Rule) -> Option<Timestamp> {
        self.entries_of(rule)
            .iter()
            .map(|&at| &self.placed()[at].entry)
            .filter(|entry| {
                entry.step.mode == Mode::Block
                    && !entry.is_for_some()
                    && entry.windows.is_empty()
                    && entry.step.until.is_none()
            })
            .filter_map(|entry| entry.step.from)
            // An entry before it may stand in its way.
            .filter(|from| {
                let then = self.general(rule, *from).mode;
                matches!(then, Mode::Brownout | Mode::Block)
            })
            .min()
    }

    /// The modes for some callers that are to come.
    fn planned(&self, rule: &Rule, now: Timestamp) -> Vec<Planned> {
        let to_come = |&at: &usize| {
            let placed = &self.placed()[at];
            let scope = placed.entry.scope()?;
            if placed.in_time(now).is_ok() {
                return None;
            }
            let mut from = now;
            for _ in 0..TURNS {
                from = placed.next_turn(from)?;
                if placed.in_time(from).is_ok() {
                    return Some(Planned {
                        scope,
                        mode: placed.entry.step.mode,
                        origin: self.origin(Because::Entry(at)),
                        from,
                    });
                }
            }
            None
        };
        self.entries_of(rule).iter().filter_map(to_come).collect()
    }

    /// The mode for callers that no entry names.
    fn general(&self, rule: &Rule, now: Timestamp) -> Decision {
        let first = self.entries_of(rule).iter().find_map(|&at| {
            let placed = &self.placed()[at];
            if placed.entry.is_for_some() {
                return None;
            }
            let until = placed.in_time(now).ok()?;
            Some(Decision {
                mode: placed.entry.step.mode,
                because: Because::Entry(at),
                until,
            })
        });
        first.unwrap_or_else(|| self.base_of(rule))
    }

    fn next_general(&self, rule: &Rule, mode: Mode, now: Timestamp) -> Option<(Timestamp, Mode)> {
        let general = || {
            self.entries_of(rule)
                .iter()
                .map(|&at| &self.placed()[at])
                .filter(|placed| !placed.entry.is_for_some())
        };
        let mut moment = now;
        for _ in 0..TURNS {
            moment = general()
                .filter_map(|placed| placed.next_turn(moment))
                .min()?;
            let then = self.general(rule, moment).mode;
            if then != mode {
                return Some((moment, then));
            }
        }
        None
    }
}

/// What holds for callers that an entry names, by whom it is for; of several the first counts.
fn by_scope(standing: &Standing) -> HashMap<&str, &Exception> {
    let last_first = standing.exceptions.iter().rev();
    last_first.map(|one| (one.scope.as_str(), one)).collect()
}

/// What has changed from some standings to others of the same rules.
pub fn changes(before: &[Standing], after: &[Standing]) -> Vec<Change> {
    let mut changes = Vec::new();
    let before: HashMap<&str, &Standing> = before
        .iter()
        .map(|standing| (standing.method.as_str(), standing))
        .collect();
    for new in after {
        let Some(old) = before.get(new.method.as_str()).copied() else {
            continue;
        };
        if old.mode != new.mode {
            changes.push(Change {
                method: new.method.clone(),
                scope: None,
                from: old.mode,
                to: new.mode,
                origin: new.origin.clone(),
            });
        }
        let (were, are) = (by_scope(old), by_scope(new));
        let mut told: HashSet<&str> = HashSet::new();
        for exception in old.exceptions.iter().chain(&new.exceptions) {
            let scope = exception.scope.as_str();
            if !told.insert(scope) {
                continue;
            }
            let from = were.get(scope).map_or(old.mode, |before| before.mode);
            let (to, origin) = match are.get(scope) {
                Some(now) => (now.mode, &now.origin),
                None => (new.mode, &new.origin),
            };
            if from != to {
                changes.push(Change {
                    method: new.method.clone(),
                    scope: Some(scope.to_owned()),
                    from,
                    to,
                    origin: origin.clone(),
                });
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(mode: Mode, exceptions: &[(&str, Mode, &str)]) -> Standing {
        let exception = |(scope, mode, origin): &(&str, Mode, &str)| Exception {
            scope: (*scope).to_owned(),
            mode: *mode,
            origin: (*origin).to_owned(),
            until: None,
        };
        Standing {
            method: "crm.lead.list".to_owned(),
            mode,
            origin: "the default".to_owned(),
            exceptions: exceptions.iter().map(exception).collect(),
            planned: Vec::new(),
            next: None,
            sunset: None,
        }
    }

    #[test]
    fn a_change_names_what_is_now_in_force() {
        let with = [standing(
            Mode::Observe,
            &[("user 7", Mode::Block, "f:1:1: block for user 7")],
        )];
        let without = [standing(Mode::Observe, &[])];
        let begun = changes(&without, &with);
        assert_eq!(begun[0].origin, "f:1:1: block for user 7");
        let ended = changes(&with, &without);
        assert_eq!((ended[0].from, ended[0].to), (Mode::Block, Mode::Observe));
        assert_eq!(ended[0].origin, "the default");
        // The first of several for the same callers counts, before and after.
        let both = [standing(
            Mode::Observe,
            &[
                ("user 7", Mode::Observe, "f:1:1"),
                ("user 7", Mode::Block, "f:5:1"),
            ],
        )];
        assert_eq!(changes(&without, &both), []);
        assert_eq!(changes(&with, &both)[0].origin, "f:1:1");
    }
}
