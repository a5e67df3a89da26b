//! What is counted of the portal's limits: by named caller, and by method.

use std::collections::BTreeMap;

use super::UNNAMED;
use super::labels::{Label, MethodLimit, Paced};

/// Methods that have series of their own; later ones share one.
const METHODS: usize = 300;
/// The series of all methods beyond that.
const OTHER: &str = "other";

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// The names of the callers file.
    names: Vec<String>,
    /// By the caller's name.
    pub(super) callers: BTreeMap<String, [u64; Paced::ALL.len()]>,
    /// By method: how often its limits refused it.
    pub(super) methods: BTreeMap<String, [u64; MethodLimit::ALL.len()]>,
}

impl Limits {
    /// The names of the callers file: their series exist from the start, those of names that are gone end.
    pub(super) fn set_names(&mut self, names: &[String]) {
        self.names = names.to_vec();
        self.callers
            .retain(|name, _| name == UNNAMED || names.contains(name));
        for name in names.iter().map(String::as_str).chain([UNNAMED]) {
            if !self.callers.contains_key(name) {
                self.callers.insert(name.to_owned(), Default::default());
            }
        }
    }

    pub(super) fn paced(&mut self, name: Option<&str>, what: Paced) {
        let name = name
            .filter(|name| self.callers.contains_key(*name))
            .unwrap_or(UNNAMED);
        if let Some(counts) = self.callers.get_mut(name) {
            counts[what.index()] += 1;
        }
    }

    pub(super) fn method_limited(&mut self, method: &str, limit: MethodLimit) {
        let method = known(&self.methods, method);
        self.methods.entry(method.to_owned()).or_default()[limit.index()] += 1;
    }
}

/// The method's series: what the portal answers for is a method of its own, but a log of years is not to grow.
fn known<'m, T>(methods: &BTreeMap<String, T>, method: &'m str) -> &'m str {
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
        let mut limits = Limits::default();
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
    fn methods_without_end_do_not_become_series_without_end() {
        let mut limits = Limits::default();
        for n in 0..1000 {
            limits.method_limited(&format!("m{n}"), MethodLimit::OperationTimeLimit);
        }
        assert_eq!(limits.methods.len(), METHODS + 1);
        assert_eq!(limits.methods[OTHER][0], 700);
    }
}
