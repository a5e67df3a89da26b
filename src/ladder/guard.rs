//! Ends a brownout that does harm: when the same callers' other calls begin to fail (5xx), over 5 % of at least 20 calls
//! and over twice as often as in the hour before it began.
//!
//! It keeps counts by the minute for two hours, of callers that make calls at all while a brownout is configured; without
//! one it is never asked. Only what the portal answered counts, and only for callers that it let in: it has answered one of
//! their calls with anything but 401 or 403. So nobody without a credential can end a brownout, fill the table of callers or
//! make it slow. Callers are kept as hashes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// So many calls must have been answered before anything is concluded.
pub const LEAST_CALLS: u64 = 20;

/// So many calls of a hundred may fail.
pub const TOLERATED_PER_CENT: u64 = 5;

/// So long before the brownout's begin is looked at, in minutes.
const BEFORE: i64 = 60;

/// So many minutes are kept.
const KEPT: usize = 128;

/// So many callers are kept that the portal let in; those who come later are not watched until others have been silent for
/// two hours. Of those that it has not let in, as many wait to be.
const MOST_CALLERS: usize = 2048;

/// Why a brownout was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Harm {
    /// Other calls of its callers that failed since it began.
    pub failed: u64,
    /// All other calls of its callers since it began.
    pub calls: u64,
    /// Those that failed in the hour before.
    pub failed_before: u64,
    /// All in the hour before.
    pub calls_before: u64,
}

/// What it counts.
#[derive(Debug, Default)]
pub struct Guard {
    state: Mutex<State>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct State {
    /// Those that the portal let in.
    callers: HashMap<u64, Minutes>,
    /// The minute in which silent callers were last given up.
    swept: i64,
    runs: HashMap<usize, Run>,
}

/// A brownout that is going on.
#[derive(Debug)]
struct Run {
    began: i64,
    /// Callers that it refused, and that the portal let in.
    callers: HashSet<u64>,
    /// Callers that it refused, and that the portal has not let in yet: anybody can invent them.
    strangers: HashSet<u64>,
}

/// Counts of one caller, a minute each, in a ring.
#[derive(Debug)]
struct Minutes {
    ring: Vec<Minute>,
    latest: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    minute: i64,
    calls: u32,
    failed: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u64,
    failed: u64,
}

impl Guard {
    /// A call was refused by the brownout of this entry, which began at `began`.
    pub fn refused(&self, entry: usize, began: Timestamp, caller: &str) {
        let caller = self.hasher.hash_one(caller);
        let began = began.as_second();
        let state = &mut *self.lock();
        let run = state.runs.entry(entry).or_insert_with(|| Run::new(began));
        if run.began != began {
            *run = Run::new(began);
        }
        if !state.callers.contains_key(&caller) {
            if run.strangers.len() >= MOST_CALLERS {
                run.strangers.clear();
            }
            run.strangers.insert(caller);
        } else if run.callers.len() < MOST_CALLERS {
            run.callers.insert(caller);
        }
    }

    /// Another call of this caller was answered by the portal with this status. Gives the entries whose brownouts do harm.
    pub fn answered(&self, caller: &str, status: u16, now: Timestamp) -> Vec<(usize, Harm)> {
        let caller = self.hasher.hash_one(caller);
        let minute = now.as_second().div_euclid(60);
        let failed = status >= 500;
        let mut state = self.lock();
        if !state.callers.contains_key(&caller) {
            if is_turned_away(status) || !state.has_room(minute) {
                return Vec::new();
            }
            state.callers.insert(caller, Minutes::new());
            for run in state.runs.values_mut() {
                if run.strangers.remove(&caller) && run.callers.len() < MOST_CALLERS {
                    run.callers.insert(caller);
                }
            }
        }
        if let Some(minutes) = state.callers.get_mut(&caller) {
            minutes.count(minute, failed);
        }
        if !failed {
            return Vec::new();
        }
        let affected = state
            .runs
            .iter()
            .filter(|(_, run)| run.callers.contains(&caller));
        affected
            .filter_map(|(entry, run)| Some((*entry, state.harm(run, minute)?)))
            .collect()
    }

    /// The brownout of this entry is over.
    pub fn forget(&self, entry: usize) {
        self.lock().runs.remove(&entry);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an answer of the portal's says that it does not know the caller.
fn is_turned_away(status: u16) -> bool {
    matches!(status, 401 | 403)
}

impl Run {
    fn new(began: i64) -> Self {
        Self {
            began,
            callers: HashSet::new(),
            strangers: HashSet::new(),
        }
    }
}

impl State {
    /// Whether one more caller can be kept. Looks for silent ones once a minute at most.
    fn has_room(&mut self, minute: i64) -> bool {
        if self.callers.len() >= MOST_CALLERS && self.swept != minute {
            self.swept = minute;
            self.callers
                .retain(|_, minutes| minutes.latest + (KEPT as i64) > minute);
        }
        self.callers.len() < MOST_CALLERS
    }

    fn harm(&self, run: &Run, now: i64) -> Option<Harm> {
        let began = run.began.div_euclid(60);
        let (mut since, mut before) = (Count::default(), Count::default());
        for caller in &run.callers {
            if let Some(minutes) = self.callers.get(caller) {
                since.add(minutes.between(began.max(now - BEFORE), now + 1));
                before.add(minutes.between(began - BEFORE, began));
            }
        }
        let too_often = since.failed * 100 > since.calls * TOLERATED_PER_CENT;
        // failed / calls > 2 × failed before / calls before, without dividing; without calls before, anything is more.
        let more_than_before =
            before.calls == 0 || since.failed * before.calls > 2 * before.failed * since.calls;
        (since.calls >= LEAST_CALLS && too_often && more_than_before).then_some(Harm {
            failed: since.failed,
            calls: since.calls,
            failed_before: before.failed,
            calls_before: before.calls,
        })
    }
}

impl Minutes {
    fn new() -> Self {
        Self {
            ring: vec![Minute::default(); KEPT],
            latest: 0,
        }
    }

    fn count(&mut self, minute: i64, failed: bool) {
        self.latest = self.latest.max(minute);
        let slot = &mut self.ring[minute.rem_euclid(KEPT as i64) as usize];
        if slot.minute != minute {
            *slot = Minute {
                minute,
                ..Minute::default()
            };
        }
        slot.calls = slot.calls.saturating_add(1);
        slot.failed = slot.failed.saturating_add(u32::from(failed));
    }

    fn between(&self, from: i64, until: i64) -> Count {
        let inside = self
            .ring
            .iter()
            .filter(|slot| (from..until).contains(&slot.minute));
        inside.fold(Count::default(), |mut count, slot| {
            count.calls += u64::from(slot.calls);
            count.failed += u64::from(slot.failed);
            count
        })
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_796_000_400 + minute * 60).unwrap()
    }

    /// The hour before, then a refusal, then calls of which some fail; whether the last failure ended it.
    fn ended(before: (u32, u32), since: (u32, u32)) -> bool {
        let guard = Guard::default();
        let mut ends = false;
        let mut calls = |(calls, failed): (u32, u32), minute| {
            for call in 0..calls {
                let status = if calls - call <= failed { 500 } else { 200 };
                ends = !guard.answered("a", status, at(minute)).is_empty();
            }
        };
        calls(before, -30);
        guard.refused(7, at(0), "a");
        calls(since, 3);
        ends
    }

    #[test]
    fn failures_over_5_per_cent_and_twice_the_hour_before_end_it() {
        assert!(ended((100, 0), (20, 2)));
        assert!(ended((0, 0), (20, 2)));
        assert!(ended((100, 4), (100, 9)));
    }

    #[test]
    fn few_calls_or_rare_failures_or_those_as_before_do_not() {
        assert!(!ended((100, 0), (19, 19)), "too few calls");
        assert!(!ended((100, 0), (100, 5)), "5 % is tolerated");
        assert!(!ended((100, 10), (100, 20)), "twice is not over twice");
    }

    #[test]
    fn other_callers_do_not_count() {
        let guard = Guard::default();
        guard.refused(7, at(0), "a");
        for _ in 0..100 {
            assert!(guard.answered("b", 500, at(1)).is_empty());
        }
    }

    #[test]
    fn what_happened_more_than_an_hour_before_does_not_count() {
        let guard = Guard::default();
        for _ in 0..100 {
            guard.answered("a", 500, at(-61));
        }
        for _ in 0..100 {
            guard.answered("a", 200, at(-5));
        }
        guard.refused(7, at(0), "a");
        let ends = (0..20)
            .filter(|_| !guard.answered("a", 500, at(1)).is_empty())
            .count();
        assert_eq!(ends, 1, "at the twentieth");
    }

    #[test]
    fn the_next_window_begins_anew() {
        let guard = Guard::default();
        guard.refused(7, at(0), "a");
        guard.refused(7, at(100), "b");
        for _ in 0..100 {
            assert!(guard.answered("a", 500, at(101)).is_empty());
        }
    }

    #[test]
    fn a_caller_that_the_portal_turns_away_does_not_count() {
        for status in [401, 403] {
            let guard = Guard::default();
            guard.refused(7, at(0), "made-up");
            for _ in 0..100 {
                assert!(guard.answered("made-up", status, at(1)).is_empty());
            }
            assert!(guard.lock().callers.is_empty(), "{status}");
        }
    }

    #[test]
    fn a_caller_that_is_refused_before_it_was_let_in_counts_from_then_on() {
        let guard = Guard::default();
        guard.refused(7, at(0), "a");
        let ends = (0..20)
            .filter(|_| !guard.answered("a", 500, at(1)).is_empty())
            .count();
        assert_eq!(ends, 1, "a 500 lets in, and the twentieth ends it");
    }

    #[test]
    fn made_up_codes_neither_fill_the_table_nor_push_out_who_was_let_in() {
        let guard = Guard::default();
        guard.answered("a", 200, at(-5));
        guard.refused(7, at(0), "a");
        for made_up in 0..3 * MOST_CALLERS {
            let caller = made_up.to_string();
            guard.refused(7, at(0), &caller);
            guard.answered(&caller, 401, at(1));
        }
        {
            let state = guard.lock();
            assert_eq!((state.callers.len(), state.runs[&7].callers.len()), (1, 1));
            assert!(state.runs[&7].strangers.len() <= MOST_CALLERS);
        }
        let ends = (0..20)
            .filter(|_| !guard.answered("a", 500, at(1)).is_empty())
            .count();
        assert_eq!(ends, 1);
    }

    #[test]
    fn a_full_table_gives_up_who_was_silent_for_two_hours() {
        let guard = Guard::default();
        for known in 0..MOST_CALLERS {
            guard.answered(&known.to_string(), 200, at(0));
        }
        guard.answered("late", 200, at(1));
        assert_eq!(guard.lock().callers.len(), MOST_CALLERS);
        guard.answered("later", 200, at(KEPT as i64));
        assert_eq!(guard.lock().callers.len(), 1);
    }
}
