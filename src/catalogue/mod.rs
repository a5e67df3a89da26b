//! The rules: which methods are deprecated, and what becomes of their calls (pure).
//!
//! `rules.json` holds the methods that are call for call the same as their successors, `watched.tsv` all that the
//! documentation marks as deprecated. Adding an equivalent method is one entry in the first. `successors.json` and
//! `fields.json` tell what the owner of a caller has to change.
mod builtin;
mod correction;
pub mod file;
mod lookup;
pub mod migration;
mod read;
mod rule;
mod step;

pub use migration::Migration;
pub use read::{ReadError, read_rules, read_watched};
pub use rule::{Mode, Rename, Rule, RuleKind, Set};
use std::sync::Arc;
pub use step::{Step, What, When, form_text};

/// Every deprecated method that is known, found by its lower-cased name.
#[derive(Clone, Debug)]
pub struct Catalogue {
    rules: Vec<Arc<Rule>>,
    by_method: lookup::Index,
    longest: usize,
}

impl Catalogue {
    /// The rules that ship: the exact ones, then the watched ones.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads them.
    pub fn builtin() -> Self {
        Self::new(builtin::rules())
    }

    /// Rules of one's own, then those that ship.
    pub fn with(own: impl IntoIterator<Item = Rule>) -> Self {
        let shipped = Self::builtin();
        let shipped = shipped.rules.iter().map(|rule| Rule::clone(rule));
        Self::new(own.into_iter().chain(shipped))
    }

    /// The same rules, with the dates from which their calls are refused.
    #[must_use]
    pub fn with_sunsets(&self, sunset: impl Fn(&Rule) -> Option<String>) -> Self {
        Self::new(self.rules.iter().map(|rule| Rule {
            sunset: sunset(rule).or_else(|| rule.sunset.clone()),
            ..Rule::clone(rule)
        }))
    }

    /// A catalogue of these rules. Of several for a method the first counts; their `id`s are given here.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let rules: Vec<Rule> = rules.into_iter().collect();
        let mut catalogue = Self {
            rules: Vec::with_capacity(rules.len()),
            by_method: lookup::Index::for_rules(rules.len()),
            longest: 0,
        };
        for mut rule in rules {
            if catalogue.find_in_any_case(rule.method.as_bytes()).is_none() {
                rule.id = catalogue.rules.len();
                catalogue.longest = catalogue.longest.max(rule.method.len());
                catalogue.by_method.insert(rule.method.as_bytes(), rule.id);
                catalogue.rules.push(Arc::new(rule));
            }
        }
        catalogue
    }

    /// The rule of a method, given in lower case: one probe, no allocation.
    pub fn find(&self, lower_case_method: &[u8]) -> Option<&Arc<Rule>> {
        self.find_in_any_case(lower_case_method)
            .filter(|_| !lower_case_method.iter().any(u8::is_ascii_uppercase))
    }

    /// The rule of a method, in whatever case of letters it is given.
    #[inline]
    pub fn find_in_any_case(&self, method: &[u8]) -> Option<&Arc<Rule>> {
        let is = |place: usize| {
            let known = self.rules[place].method.as_bytes();
            known.eq_ignore_ascii_case(method)
        };
        self.by_method
            .find(method, is)
            .map(|place| &self.rules[place])
    }

    /// The length of the longest method: a longer one is in no rule.
    pub fn longest_method(&self) -> usize {
        self.longest
    }

    /// All rules, by their `id`.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deprecated_method_of_the_documentation_is_known_once() {
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.rules().len(), 234);
        let exact = catalogue
            .rules()
            .iter()
            .filter(|rule| rule.kind == RuleKind::Exact)
            .count();
        assert_eq!(exact, 16);
        for (id, rule) in catalogue.rules().iter().enumerate() {
            assert_eq!(rule.id, id);
            assert_eq!(
                catalogue.find(rule.method.to_ascii_lowercase().as_bytes()),
                Some(rule)
            );
            assert_eq!(
                catalogue.find_in_any_case(rule.method.to_ascii_uppercase().as_bytes()),
                Some(rule)
            );
            assert!(
                rule.documentation_url().is_some_and(
                    |url| url.starts_with("https://apidocs.bitrix24.com/api-reference/")
                )
            );
        }
    }

    #[test]
    fn a_method_that_is_not_deprecated_is_not_found() {
        let catalogue = Catalogue::builtin();
        for method in [
            "crm.deal.list.json",
            "crm.item.details.configuration.reset",
            "batch",
            "",
            "Crm.deal.list",
        ] {
            assert_eq!(catalogue.find(method.as_bytes()), None, "{method}");
        }
        assert_eq!(
            catalogue.find(b"crm.deal.list").map(|rule| rule.kind),
            Some(RuleKind::Watched)
        );
    }

    #[test]
    fn the_first_rule_of_a_method_counts() {
        let rule = |method: &str, replacement: &str| Rule {
            method: method.into(),
            replacement: Some(replacement.into()),
            ..Rule::default()
        };
        let catalogue =
            Catalogue::new([rule("a.B", "own"), rule("A.b", "built in"), rule("c", "c")]);
        assert_eq!(
            catalogue
                .find(b"a.b")
                .and_then(|rule| rule.replacement.as_deref()),
            Some("own")
        );
        assert_eq!(catalogue.find(b"c").map(|rule| rule.id), Some(1));
    }
}
