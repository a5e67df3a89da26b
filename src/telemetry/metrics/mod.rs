//! Every metric's value (`docs/METRICS.md` says what each means).
//!
//! The data path counts into [`LocalMetrics`], one a thread, without locks; what is rare (a deprecated call, a reload) is
//! counted here behind a lock. [`Metrics::render`] sums all of it up when a scrape asks.

mod exposition;
pub mod labels;
mod pacing;
mod process;
mod shard;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use labels::caller_of;
pub use labels::{
    Comparison, ConnectError, ConnectionRefused, ErrorCode, Fault, Handshake, HeadError, Kind,
    Label, MethodLimit, Outcome, Paced, Phase, PoolState, PortalError, Sent, StatusClass, Usage,
};
pub use pacing::MostUsed;
pub use shard::{Held, LocalMetrics, Open, RequestSeen};

use super::budget::Budget;
use super::callers::UNNAMED;
use super::callers::{About, Callers, State};
use super::log::LineLog;
use crate::catalogue::{Mode, Rule, RuleKind};
use crate::translate::Action;

/// The method's label of methods that are in no rule.
const OTHER: &str = "other";

/// All that is counted. One for the process.
#[derive(Debug)]
pub struct Metrics {
    shards: Mutex<Vec<Arc<shard::Shard>>>,
    migration: Mutex<Migration>,
    log: OnceLock<Arc<LineLog>>,
    access_log: OnceLock<Arc<LineLog>>,
    certificates: Mutex<Vec<(String, i64)>>,
    brownouts: AtomicU64,
    limits: Mutex<pacing::PortalLimits>,
    budget: OnceLock<Arc<dyn Budget>>,
    reload_successful: AtomicU64,
    reload_seconds: AtomicI64,
    started: SystemTime,
}

/// What is counted by rule and caller.
#[derive(Debug, Default)]
struct Migration {
    /// By the legacy method's name.
    rules: BTreeMap<String, RuleSeen>,
    /// The names of the callers file: counters of theirs exist from the start.
    callers: Vec<String>,
    /// What the file says of each.
    about: Vec<About>,
}

#[derive(Debug, Default)]
struct RuleSeen {
    replacement: String,
    deprecated: String,
    translated: bool,
    mode: Option<&'static str>,
    /// By the caller's name.
    callers: BTreeMap<String, Arc<Uses>>,
    comparisons: [u64; Comparison::ALL.len()],
}

/// The uses of a method by the callers of one name: held by whoever counts them.
#[derive(Debug, Default)]
pub struct Uses {
    calls: [AtomicU64; Action::ALL.len()],
    /// The bits of the last use's seconds since 1970: of positive numbers they have the numbers' order.
    last: AtomicU64,
}

impl Uses {
    /// Counts one, at this second since 1970.
    pub fn count(&self, action: Action, seconds: f64) {
        self.calls[action.index()].fetch_add(1, Relaxed);
        self.was_used(seconds);
    }

    fn was_used(&self, seconds: f64) {
        self.last.fetch_max(seconds.max(0.0).to_bits(), Relaxed);
    }

    fn calls(&self, action: Action) -> u64 {
        self.calls[action.index()].load(Relaxed)
    }

    fn last_seconds(&self) -> f64 {
        f64::from_bits(self.last.load(Relaxed))
    }
}

impl Metrics {
    /// Counters at 0 for every rule that translates.
    pub fn new(rules: &[Arc<Rule>]) -> Arc<Self> {
        let metrics = Self {
            shards: Mutex::default(),
            migration: Mutex::default(),
            log: OnceLock::new(),
            access_log: OnceLock::new(),
            certificates: Mutex::default(),
            brownouts: AtomicU64::new(0),
            limits: Mutex::default(),
            budget: OnceLock::new(),
            reload_successful: AtomicU64::new(1),
            reload_seconds: AtomicI64::new(unix_seconds(SystemTime::now()) as i64),
            started: SystemTime::now(),
        };
        metrics.set_rules(rules);
        lock(&metrics.limits).set_names(&[]);
        Arc::new(metrics)
    }

    /// The rules after a reload. What was counted for rules that are gone is forgotten.
    pub fn set_rules(&self, rules: &[Arc<Rule>]) {
        let mut migration = lock(&self.migration);
        let mut before = std::mem::take(&mut migration.rules);
        for rule in rules {
            let mut seen = before.remove(&rule.method).unwrap_or_default();
            seen.replacement = rule.replacement.clone().unwrap_or_default();
            seen.deprecated = rule.deprecated.clone().unwrap_or_default();
            seen.translated = rule.kind == RuleKind::Exact;
            migration.rules.insert(rule.method.clone(), seen);
        }
        if let Some(other) = before.remove(OTHER) {
            migration.rules.insert(OTHER.to_owned(), other);
        }
        migration.begin_at_zero();
    }

    /// The names of the callers file, at the start and after a reload. Names that are gone lose their series.
    pub fn set_callers(&self, callers: &Callers) {
        lock(&self.limits).set_names(callers.names());
        let mut migration = lock(&self.migration);
        migration.callers = callers.names().to_vec();
        migration.about = callers.all().map(|(_, about)| about.clone()).collect();
        let Migration { rules, callers, .. } = &mut *migration;
        for rule in rules.values_mut() {
            rule.callers
                .retain(|name, _| name == UNNAMED || callers.contains(name));
        }
        migration.begin_at_zero();
    }

    /// The mode of each rule, by its legacy method.
    pub fn set_modes<'a>(&self, modes: impl IntoIterator<Item = (&'a str, Mode)>) {
        let mut migration = lock(&self.migration);
        for (method, mode) in modes {
            if let Some(rule) = migration.rules.get_mut(method) {
                rule.mode = Some(mode.as_str());
            }
        }
    }

    /// How many brownouts are running.
    pub fn set_brownouts(&self, running: u64) {
        self.brownouts.store(running, Relaxed);
    }

    /// The names of the certificates in use and when each ends, in seconds since 1970.
    pub fn set_certificates(&self, certificates: Vec<(String, i64)>) {
        *lock(&self.certificates) = certificates;
    }

    /// The configuration was read again, at `now`.
    pub fn reloaded(&self, successful: bool, now: SystemTime) {
        self.reload_successful.store(u64::from(successful), Relaxed);
        if successful {
            self.reload_seconds.store(unix_seconds(now) as i64, Relaxed);
        }
    }

    /// Where uses of a method are counted; `caller` is the name that the callers file gives. Good until [`Metrics::set_rules`]
    /// or [`Metrics::set_callers`].
    pub fn uses(&self, method: &str, caller: Option<&str>) -> Arc<Uses> {
        Arc::clone(lock(&self.migration).uses(method, caller))
    }

    /// A use that an earlier run of the proxy logged: its time counts, its number was counted then.
    pub fn deprecated_before(&self, method: &str, caller: Option<&str>, seconds: f64) {
        self.uses(method, caller).was_used(seconds);
    }

    /// The answers of a method and of its successor were compared.
    pub fn compared(&self, method: &str, result: Comparison) {
        if let Some(rule) = lock(&self.migration).rules.get_mut(method) {
            rule.comparisons[result.index()] += 1;
        }
    }

    /// A call before the portal's request limit; `name` is the one that the callers file gives.
    pub fn paced(&self, name: Option<&str>, what: Paced) {
        lock(&self.limits).paced(name, what);
    }

    /// The portal answered a call of this method with this code: counted where it is a limit for methods, and said whether it is.
    pub fn method_limited(&self, method: &str, code: &str) -> bool {
        let limit = MethodLimit::ALL.iter().find(|limit| limit.as_str() == code);
        if let Some(limit) = limit {
            lock(&self.limits).method_limited(method, *limit);
        }
        limit.is_some()
    }

    /// The portal has told how many seconds a method has used in the last ten minutes, all calls of one application; `name` is
    /// the one that the callers file gives. Says whether that is to be warned of: over 80 % of `limit`, for the first time in ten
    /// minutes.
    pub fn operating(
        &self,
        method: &str,
        name: Option<&str>,
        seconds: f64,
        limit: Option<Duration>,
        now: Instant,
    ) -> bool {
        lock(&self.limits).operating(method, name, seconds, limit, now)
    }

    /// The methods and callers that have used most of the portal's time in the last ten minutes.
    pub fn most_operating(&self, most: usize, now: Instant) -> Vec<MostUsed> {
        lock(&self.limits).most_operating(most, now)
    }

    /// The portal's budget, whose state is shown. The first one stays.
    pub fn watch_budget(&self, budget: Arc<dyn Budget>) {
        let _ = self.budget.set(budget);
    }

    /// The portal's budget.
    pub fn budget(&self) -> Option<&Arc<dyn Budget>> {
        self.budget.get()
    }

    /// The log whose lines are counted. The first one stays.
    pub fn watch_log(&self, log: Arc<LineLog>) {
        let _ = self.log.set(log);
    }

    /// The access log whose lines are counted. The first one stays.
    pub fn watch_access_log(&self, log: Arc<LineLog>) {
        let _ = self.access_log.set(log);
    }

    /// How many requests have come to their end, how many of them were single REST calls, and how many batches.
    pub fn requests_seen(&self) -> (u64, u64, u64) {
        let shards = lock(&self.shards);
        let of = |kind: Kind| {
            shards
                .iter()
                .map(|shard| shard.requests_of(kind))
                .sum::<u64>()
        };
        let (calls, batches) = (of(Kind::Call), of(Kind::Batch));
        (calls + batches + of(Kind::Other), calls, batches)
    }

    /// Cells for the current thread: once a thread, and kept.
    pub fn local(&self) -> LocalMetrics {
        let shard = Arc::new(shard::Shard::new());
        lock(&self.shards).push(Arc::clone(&shard));
        LocalMetrics::new(shard)
    }
}

impl Migration {
    fn uses(&mut self, method: &str, caller: Option<&str>) -> &Arc<Uses> {
        let method = if self.rules.contains_key(method) {
            method
        } else {
            OTHER
        };
        let caller = caller_of(caller, |name| {
            self.callers.iter().any(|known| known == name)
        });
        if !self.rules.contains_key(method) {
            self.rules.insert(method.to_owned(), RuleSeen::default());
        }
        let rule = self.rules.get_mut(method).expect("made above");
        // Looked up twice, where an owned key would cost each time.
        if !rule.callers.contains_key(caller) {
            rule.callers.insert(caller.to_owned(), Arc::default());
        }
        rule.callers.get(caller).expect("made above")
    }

    /// How many names are in each state, in the order of [`State::ALL`], at this second since 1970.
    fn states(&self, now: f64) -> [usize; State::ALL.len()] {
        let millis = |seconds: f64| (seconds * 1000.0) as u64;
        let mut names = [0; State::ALL.len()];
        for (name, about) in self.callers.iter().zip(&self.about) {
            let uses = self
                .rules
                .values()
                .filter_map(|rule| rule.callers.get(name));
            let last = uses.map(|uses| uses.last_seconds()).fold(0.0, f64::max);
            let state = about.state(millis(now), (last > 0.0).then(|| millis(last)));
            names[state as usize] += 1;
        }
        names
    }

    /// `increase()` misses a counter that is born at 1.
    fn begin_at_zero(&mut self) {
        for rule in self.rules.values_mut().filter(|rule| rule.translated) {
            for name in self.callers.iter().map(String::as_str).chain([UNNAMED]) {
                if !rule.callers.contains_key(name) {
                    rule.callers.insert(name.to_owned(), Arc::default());
                }
            }
        }
    }
}

/// A lock that a panic elsewhere does not close: counts are whole whenever the lock is free.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_seconds(moment: SystemTime) -> f64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
