//! How calls are named and logged: the part of the configuration that a reload changes, as one value.

use std::collections::HashMap;

use super::callers::Callers;
use super::event::DeprecationEvent;
use crate::catalogue::{Catalogue, RuleKind};
use crate::translate::Action;

/// How calls are named and logged. The policy of the modes holds it, so that one reload changes both at once.
#[derive(Debug, Default)]
pub struct Logging {
    /// The callers file.
    pub callers: Callers,
    /// How observed calls are logged.
    pub watched: WatchedLogs,
    /// The rules that are known, for the run's own lines.
    pub rules: RulesKnown,
}

/// How observed calls of watched methods are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchedLog {
    /// Each by itself.
    #[default]
    Each,
    /// Summed up by caller, method and hour.
    Hourly,
}

/// How they are logged, by method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedLogs {
    /// For all methods that are not named.
    pub usual: WatchedLog,
    /// For some, by their name in lower case.
    pub by_method: HashMap<String, WatchedLog>,
}

impl WatchedLogs {
    /// Whether a call is summed up: never one that was changed or refused, nor one of a method that could be.
    pub fn sums(&self, event: &DeprecationEvent<'_>) -> bool {
        if event.action != Action::Observed || event.rule.kind != RuleKind::Watched {
            return false;
        }
        let named = || self.by_method.get(&event.rule.method.to_ascii_lowercase());
        let wanted = if self.by_method.is_empty() {
            None
        } else {
            named().copied()
        };
        wanted.unwrap_or(self.usual) == WatchedLog::Hourly
    }

    /// Whether any call may be summed up.
    pub fn may_sum(&self) -> bool {
        self.usual == WatchedLog::Hourly
            || self
                .by_method
                .values()
                .any(|how| *how == WatchedLog::Hourly)
    }
}

/// Which methods are known as deprecated: a hash of their names, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesKnown {
    /// The first 16 hexadecimal digits of BLAKE3 of the methods' names in lower case, sorted, a line feed behind each.
    pub hash: String,
    pub methods: u64,
}

impl RulesKnown {
    /// What a catalogue knows, whatever its rules say.
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut names: Vec<String> = catalogue
            .rules()
            .iter()
            .map(|rule| rule.method.to_ascii_lowercase() + "\n")
            .collect();
        names.sort_unstable();
        Self {
            hash: blake3::hash(names.concat().as_bytes()).to_hex()[..16].to_owned(),
            methods: names.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Rule;

    #[test]
    fn the_hash_is_that_of_the_methods_names_in_whatever_order_and_case() {
        let of = |methods: &[&str]| {
            let rule = |method: &&str| Rule {
                method: (*method).to_owned(),
                ..Rule::default()
            };
            RulesKnown::of(&Catalogue::new(methods.iter().map(rule)))
        };
        assert_eq!(of(&["a.b", "C.d"]), of(&["c.d", "A.B"]));
        assert_ne!(of(&["a.b", "c.d"]).hash, of(&["a.b", "c.e"]).hash);
        assert_eq!(
            (of(&["a.b", "c.d"]).methods, of(&["a.b"]).hash.len()),
            (2, 16)
        );
    }
}
