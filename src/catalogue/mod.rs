//! The rules: which methods are deprecated, and what becomes of their calls (pure).
//!
//! `rules.json` holds the methods that are call for call the same as their successors, `watched.tsv` all that the
//! documentation marks as deprecated. Adding an equivalent method is one entry in the first.
pub mod file;
mod lookup;
mod read;
mod rule;
mod step;

pub use read::{ReadError, read_rules, read_watched};
pub use rule::{Mode, Rename, Rule, RuleKind, Set};
use std::collections::HashMap;
use std::sync::Arc;
pub use step::{Step, What, When, form_text};

/// Every deprecated method that is known, found by its lower-cased name.
#[derive(Clone, Debug)]
pub struct Catalogue {
    rules: Vec<Arc<Rule>>,
    by_method: HashMap<Box<[u8]>, Arc<Rule>, lookup::Words>,
    longest: usize,
}

impl Catalogue {
    /// The rules that ship: the exact ones, then the watched ones.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads them.
    pub fn builtin() -> Self {
        let exact = read_rules(include_str!("rules.json")).expect("rules.json is read by a test");
        let watched =
            read_watched(include_str!("watched.tsv")).expect("watched.tsv is read by a test");
        Self::new(exact.into_iter().chain(watched))
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
        let mut catalogue = Self {
            rules: Vec::new(),
            by_method: HashMap::default(),
            longest: 0,
        };
        for mut rule in rules {
            let method = rule
                .method
                .to_ascii_lowercase()
                .into_bytes()
                .into_boxed_slice();
            if !catalogue.by_method.contains_key(&method) {
                rule.id = catalogue.rules.len();
                catalogue.longest = catalogue.longest.max(method.len());
                let rule = Arc::new(rule);
                catalogue.rules.push(rule.clone());
                catalogue.by_method.insert(method, rule);
            }
        }
        catalogue
    }

    /// The rule of a method, given in lower case: one probe, no allocation.
    pub fn find(&self, lower_case_method: &[u8]) -> Option<&Arc<Rule>> {
        self.by_method.get(lower_case_method)
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
