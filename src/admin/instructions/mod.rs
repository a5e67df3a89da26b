//! What the owner of a caller is to change: the exact replacement call in the languages that callers are written in, with
//! the names of their own parameters in place (pure). Nothing of it is a secret: a call's values are never known here, and
//! a webhook's address is the reader's own.

mod markdown;
mod parameters;
mod snippets;
mod syntax;

use serde::Serialize;

use super::overview::identity;
use crate::catalogue::{Rule, RuleKind};
use crate::telemetry::live::Row;
use parameters::Parameters;

/// What one caller is to change about one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instructions {
    /// The deprecated method.
    pub method: String,
    /// What to call instead, as the documentation says it: a method, a family `x.*`, several, or nothing.
    pub replacement: Option<String>,
    /// Whether the proxy translates these calls, so that the replacement below is known to do the same.
    pub exact: bool,
    /// The page of the documentation.
    pub documentation: Option<String>,
    /// Who calls: its name or what is known of it.
    pub caller: String,
    /// What is known of the caller and of its calls, as label and text.
    pub facts: Vec<(&'static str, String)>,
    /// What changes in a call, in words.
    pub changes: Vec<String>,
    /// The replacement call; the caller's own library first.
    pub snippets: Vec<Snippet>,
}

/// The replacement call for one library.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snippet {
    /// The library's name.
    pub name: &'static str,
    /// The language, as a Markdown fence names it.
    pub language: &'static str,
    pub code: String,
    /// Whether the caller is known to use this library.
    pub own: bool,
}

/// What stands for the value that the caller sends today.
const AS_BEFORE: &str = "AS_BEFORE";

impl Instructions {
    /// Instructions for the caller and the method of a row, by the rule that holds for the method now. `portal` is the
    /// portal's origin, where it is known.
    pub fn of(row: &Row, rule: Option<&Rule>, portal: Option<&str>) -> Self {
        let exact = rule.is_some_and(|rule| rule.kind == RuleKind::Exact);
        let parameters = Parameters::of(rule, &row.changes);
        let snippets = match row.replacement.as_deref().filter(|name| is_method(name)) {
            Some(successor) => snippets::all(successor, &parameters, row, portal),
            None => Vec::new(),
        };
        Self {
            method: clean(&row.method),
            replacement: row.replacement.as_deref().map(clean),
            exact,
            documentation: row
                .documentation
                .clone()
                .filter(|page| page.starts_with("https://")),
            caller: clean(&row.name.clone().unwrap_or_else(|| identity(row))),
            facts: facts(row),
            changes: row.changes.iter().map(|change| clean(change)).collect(),
            snippets,
        }
    }

    /// The same as Markdown, for a ticket or a letter.
    pub fn markdown(&self) -> String {
        markdown::of(self)
    }

    /// What the placeholder in the snippets stands for; nothing where there is none.
    pub fn legend(&self) -> Option<String> {
        self.snippets
            .iter()
            .any(|snippet| snippet.code.contains(AS_BEFORE))
            .then(|| format!("{AS_BEFORE} stands for the value that is sent today."))
    }

    /// The kind of the replacement, as a sentence; nothing where the snippets speak for themselves.
    pub fn caution(&self) -> Option<String> {
        match (&self.replacement, self.exact) {
            (Some(_), true) => None,
            (Some(successor), false) if self.snippets.is_empty() => Some(format!(
                "The successor is {successor}: which of its methods to call, and with what, depends on what the \
                 integration does. The documentation tells."
            )),
            (Some(successor), false) => Some(format!(
                "{successor} takes its place, but the two are not the same call for call: parameters, results or rights \
                 may differ. Compare them in the documentation before you switch."
            )),
            (None, _) => Some(
                "The documentation names no successor. What this call is used for has to be solved in another way."
                    .to_owned(),
            ),
        }
    }
}

fn facts(row: &Row) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut fact = |label, text: Option<&String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            facts.push((label, clean(text)));
        }
    };
    let who = match row.auth.as_str() {
        "webhook" => Some(format!(
            "Inbound webhook of user {}",
            row.user.as_deref().unwrap_or("unknown")
        )),
        "oauth" => Some("Application (OAuth)".to_owned()),
        "session" => Some("Browser session".to_owned()),
        "none" => Some("No credentials".to_owned()),
        _ => None,
    };
    fact("Calls as", who.as_ref());
    for (label, count, listed) in [
        ("All keys", row.keys, &row.behind.keys),
        ("All libraries", row.libraries, &row.behind.libraries),
        ("All addresses", row.addresses, &row.behind.addresses),
    ] {
        if count > 1 {
            fact(label, Some(&format!("{count}: {}", listed.join(", "))));
        }
    }
    fact("Application", row.application.as_ref());
    fact("Fingerprint of the credential", row.fingerprint.as_ref());
    fact("From address", row.address.as_ref());
    fact("Library", row.sdk.as_ref());
    fact("User-Agent", row.user_agent.as_ref());
    fact("Last call", Some(&row.target));
    fact("Sent as", Some(&row.encoding));
    if row.batch > 0 {
        fact("In a batch", Some(&format!("{} of the calls", row.batch)));
    }
    facts
}

/// Whether a successor is one method that can be called.
fn is_method(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
}

/// Text without what a terminal, an editor or a browser would act on: control characters, and those that turn the
/// direction of writing.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_active(c) { '\u{FFFD}' } else { c })
        .collect()
}

/// Whether a character does something instead of being shown.
pub(super) fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            key: "webhook:x.bitrix24.com:1:ab12".into(),
            name: Some("shop import".into()),
            method: "crm.lead.details.configuration.reset".into(),
            replacement: Some("crm.item.details.configuration.reset".into()),
            documentation: Some("https://apidocs.bitrix24.com/a.html".into()),
            auth: "webhook".into(),
            user: Some("1".into()),
            sdk: Some("b24pysdk 1.3.2".into()),
            encoding: "json".into(),
            action: "rewritten".into(),
            changes: vec![
                "extras[lead.customer.type] is now extras[leadCustomerType]".into(),
                "entityTypeId is set to 1".into(),
            ],
            ..Row::default()
        }
    }

    fn of(row: &Row, portal: Option<&str>) -> Instructions {
        let catalogue = crate::catalogue::Catalogue::builtin();
        let rule = catalogue.find(row.method.as_bytes());
        Instructions::of(row, rule.map(AsRef::as_ref), portal)
    }

    #[test]
    fn every_language_gets_its_call_and_the_callers_own_comes_first() {
        let said = of(&row(), Some("https://x.bitrix24.com"));
        let names: Vec<_> = said.snippets.iter().map(|s| (s.name, s.own)).collect();
        assert_eq!(names[0], ("b24pysdk", true));
        for name in [
            "curl",
            "CRest",
            "b24phpsdk",
            "BX24.js",
            "@bitrix24/b24jssdk",
            "fast-bitrix24",
        ] {
            assert!(names.contains(&(name, false)), "{name}");
        }
        for snippet in &said.snippets {
            assert!(snippet.code.contains("entityTypeId"), "{}", snippet.code);
            assert!(
                snippet.code.contains("leadCustomerType"),
                "{}",
                snippet.code
            );
            assert!(!snippet.code.contains("lead.customer.type"));
        }
        assert_eq!(said.caution(), None);
        assert!(said.legend().unwrap().starts_with("AS_BEFORE stands for"));
    }

    #[test]
    fn a_family_of_successors_gets_no_call_but_a_word() {
        let family = Row {
            method: "crm.dealcategory.list".into(),
            replacement: Some("crm.category.*".into()),
            action: "observed".into(),
            changes: Vec::new(),
            ..row()
        };
        let said = of(&family, None);
        assert!(said.snippets.is_empty());
        assert!(said.caution().unwrap().contains("crm.category.*"));
        let none = Row {
            replacement: None,
            ..family
        };
        assert!(of(&none, None).caution().unwrap().contains("no successor"));
    }

    #[test]
    fn what_a_client_invents_stays_text() {
        let hostile = Row {
            name: Some("a\u{202e}b\u{7}\n# c".into()),
            documentation: Some("javascript:alert(1)".into()),
            ..row()
        };
        let said = of(&hostile, None);
        assert_eq!(said.caller, "a\u{FFFD}b\u{FFFD}\u{FFFD}# c");
        assert_eq!(said.documentation, None);
    }
}
