//! The rules: which methods are deprecated, and what becomes of their calls (pure).
mod rule;

pub use rule::{Mode, Rule, RuleKind};
use std::collections::HashMap;
use std::sync::Arc;

/// Every deprecated method that is known, found by its lower-cased name.
#[derive(Clone, Debug)]
pub struct Catalogue {
    rules: Vec<Arc<Rule>>,
    by_method: HashMap<Box<[u8]>, Arc<Rule>>,
}

impl Catalogue {
    /// The rules that ship.
    pub fn builtin() -> Self {
        let rule = Arc::new(Rule {
            id: 0,
            method: "crm.lead.details.configuration.reset".into(),
            replacement: Some("crm.item.details.configuration.reset".into()),
            kind: RuleKind::Exact,
            read_only: false,
            deprecated: Some("2026-02-04".into()),
            sunset: None,
            documentation: Some(
                "api-reference/crm/leads/custom-form/crm-lead-details-configuration-reset".into(),
            ),
        });
        let by_method = HashMap::from([(
            rule.method.to_ascii_lowercase().into_bytes().into(),
            rule.clone(),
        )]);
        Self {
            rules: vec![rule],
            by_method,
        }
    }

    /// The rule of a method, given in lower case.
    pub fn find(&self, lower_case_method: &[u8]) -> Option<&Arc<Rule>> {
        self.by_method.get(lower_case_method)
    }

    /// All rules, by their `id`.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }
}
