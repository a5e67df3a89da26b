//! What is counted of the portal's limits: by named caller, and by method.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::UNNAMED;
use super::labels::{Label, MethodLimit, Paced, caller_of};

/// Methods that have series of their own; later ones share one.
const METHODS: usize = 300;
/// The series of all methods beyond that.
const OTHER: &str = "other";

/// All of it.
#[derive(Debug, Default)]
pub(super) struct PortalLimits {
    /// By the caller's name.
    pub(super) callers: BTreeMap<String, [u64; Paced::ALL.len()]>,
    /// By method: how often its limits refused it.
    pub(super) methods: BTreeMap<String, [u64; MethodLimit::ALL.len()]>,
    /// By method and caller: the portal's time that they have used.
    operating: BTreeMap<(String, String), Operating>,
}

/// A method that has used much of the portal's time.
#[derive(Clone, Debug, PartialEq)]
pub struct MostUsed {
    pub method: String,
    /// The caller's name.
    pub caller: String,
    pub seconds: f64,
    /// It was warned of.
    pub is_high: bool,
}

/// What the portal told of the time that a method has used.
#[derive(Clone, Copy, Debug)]
struct Operating {
    seconds: f64,
    told: Instant,
    warned: Option<Instant>,
}

/// For so long the portal counts a method's time.
const WINDOW: Duration = Duration::from_secs(600);
/// Callers without a name share an entry: the highest of the last minute counts.
const HIGHEST_OF: Duration = Duration::from_secs(60);
/// Methods and callers that are remembered.
const ENTRIES: usize = 2_000;
/// The part of the limit that is warned of.
const WARNED_AT: f64 = 0.8;

impl PortalLimits {
    /// The names of the callers file: their series exist from the start, those of names that are gone end.
    pub(super) fn set_names(&mut self, names: &[String]) {
        self.callers
            .retain(|name, _| name == UNNAMED || names.contains(name));
        for name in names.iter().map(String::as_str).chain([UNNAMED]) {
            if !self.callers.contains_key(name) {
                self.callers.insert(name.to_owned(), Default::default());
            }
        }
    }

    pub(super) fn paced(&mut self, name: Option<&str>, what: Paced) {
        let name = caller_of(name, |name| self.callers.contains_key(name));
        if let Some(counts) = self.callers.get_mut(name) {
            counts[what.index()] += 1;
        }
    }

    /// Says whether that is to be warned of.
    pub(super) fn operating(
        &mut self,
        method: &str,
        name: Option<&str>,
        seconds: f64,
        limit: Option<Duration>,
        now: Instant,
    ) -> bool {
        let name = caller_of(name, |name| self.callers.contains_key(name));
        let key = (method.to_owned(), name.to_owned());
        if self.operating.len() >= ENTRIES && !self.operating.contains_key(&key) {
            self.operating
                .retain(|_, entry| is_in(WINDOW, entry.told, now));
            if self.operating.len() >= ENTRIES {
                return false;
            }
        }
        let entry = self.operating.entry(key).or_insert(Operating {
            seconds: 0.0,
            told: now,
            warned: None,
        });
        if name != UNNAMED || seconds >= entry.seconds || !is_in(HIGHEST_OF, entry.told, now) {
            (entry.seconds, entry.told) = (seconds, now);
        }
        let is_high = limit.is_some_and(|limit| seconds > WARNED_AT * limit.as_secs_f64());
        let is_warned = entry.warned.is_some_and(|at| is_in(WINDOW, at, now));
        if is_high && !is_warned {
            entry.warned = Some(now);
            return true;
        }
        false
    }

    /// The highest of all callers by method, as told in the last ten minutes.
    pub(super) fn operating_by_method(&self, now: Instant) -> BTreeMap<&str, f64> {
        let mut methods: BTreeMap<&str, f64> = BTreeMap::new();
        for ((method, _), entry) in &self.operating {
            let method = known(&methods, method);
            let most = methods.entry(method).or_insert(0.0);
            if is_in(WINDOW, entry.told, now) {
                *most = most.max(entry.seconds);
            }
        }
        methods
    }

    pub(super) fn most_operating(&self, most: usize, now: Instant) -> Vec<MostUsed> {
        let mut all: Vec<_> = self
            .operating
            .iter()
            .filter(|(_, entry)| is_in(WINDOW, entry.told, now) && entry.seconds >= 1.0)
            .map(|((method, name), entry)| MostUsed {
                method: method.clone(),
                caller: name.clone(),
                seconds: entry.seconds,
                is_high: entry.warned.is_some_and(|at| is_in(WINDOW, at, now)),
            })
            .collect();
        all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        all.truncate(most);
        all
    }

    pub(super) fn method_limited(&mut self, method: &str, limit: MethodLimit) {
        let method = known(&self.methods, method);
        self.methods.entry(method.to_owned()).or_default()[limit.index()] += 1;
    }
}

fn is_in(window: Duration, at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < window
}

/// The method's series: what the portal answers for is a method of its own, but a log of years is not to grow.
fn known<'m, K: Ord + Borrow<str>, T>(methods: &BTreeMap<K, T>, method: &'m str) -> &'m str {
    if methods.len() < METHODS || methods.contains_key(method) {
        method
    } else {
        OTHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_callers_file_have_series_of_their_own() {
        let mut limits = PortalLimits::default();
        limits.set_names(&["1C".into(), "shop".into()]);
        limits.paced(Some("1C"), Paced::Waited);
        limits.paced(Some("made up"), Paced::Waited);
        limits.paced(None, Paced::RefusedByUs);
        assert_eq!(limits.callers["1C"], [1, 0, 0]);
        assert_eq!(limits.callers[UNNAMED], [1, 1, 0]);
        limits.set_names(&["shop".into()]);
        assert_eq!(limits.callers.keys().collect::<Vec<_>>(), ["shop", UNNAMED]);
    }

    #[test]
    fn the_portals_time_is_kept_by_method_and_caller_for_ten_minutes() {
        let mut limits = PortalLimits::default();
        limits.set_names(&["1C".into()]);
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let limit = Some(Duration::from_secs(480));
        assert!(!limits.operating("crm.item.list", Some("1C"), 100.0, limit, at(0)));
        assert!(limits.operating("crm.item.list", Some("1C"), 400.0, limit, at(1)));
        assert!(!limits.operating("crm.item.list", Some("1C"), 401.0, limit, at(2)));
        assert!(!limits.operating("crm.item.list", None, 7.0, None, at(2)));
        assert!(!limits.operating("crm.item.list", None, 3.0, None, at(3)));
        assert_eq!(limits.operating_by_method(at(3))["crm.item.list"], 401.0);
        let most = limits.most_operating(5, at(3));
        let told: Vec<_> = most
            .iter()
            .map(|used| (used.caller.as_str(), used.seconds, used.is_high))
            .collect();
        assert_eq!(told, [("1C", 401.0, true), (UNNAMED, 7.0, false)]);
        assert!(!limits.operating("crm.item.list", Some("1C"), 300.0, limit, at(100)));
        assert_eq!(limits.operating_by_method(at(100))["crm.item.list"], 300.0);
        assert_eq!(limits.operating_by_method(at(701))["crm.item.list"], 0.0);
        assert!(limits.operating("crm.item.list", Some("1C"), 390.0, limit, at(702)));
    }

    #[test]
    fn methods_without_end_do_not_become_series_without_end() {
        let mut limits = PortalLimits::default();
        for n in 0..1000 {
            limits.method_limited(&format!("m{n}"), MethodLimit::OperationTimeLimit);
        }
        assert_eq!(limits.methods.len(), METHODS + 1);
        assert_eq!(limits.methods[OTHER][0], 700);
    }
}
