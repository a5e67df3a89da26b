//! `migration` in a rule file: an entry of `successors.json`, corrected by its reader (pure).

use serde_json::{Map, Value};

use super::builtin;
use super::migration::{Migration, field_map, field_maps};
use super::read::{check_method, page};
use super::rule::{Rule, RuleKind};

/// The entry of a rule of one's own: what ships for the method, with the members that the file gives. Where the rule has
/// another successor than what ships, there is nothing to begin with.
///
/// # Errors
/// Where it is no entry, with what would be right.
pub(super) fn own(
    method: &str,
    successor: Option<&str>,
    members: &Map<String, Value>,
) -> Result<Migration, String> {
    let shipped = Migration::shipped(method)
        .filter(|shipped| successor.is_none() || shipped.replacement().as_deref() == successor);
    let begun = shipped.cloned().unwrap_or_else(|| Migration {
        successor: successor.map(str::to_owned).into_iter().collect(),
        ..Migration::default()
    });
    let mut entry = begun.corrected(members)?;
    for method in &entry.successor {
        check_method(method)?;
    }
    if successor.is_some_and(|named| entry.replacement().as_deref() != Some(named)) {
        return Err(
            "\"successor\" of the rule and of its \"migration\" differ; leave the second out"
                .to_owned(),
        );
    }
    for path in [&mut entry.page, &mut entry.legacy_page]
        .into_iter()
        .flatten()
    {
        *path = page(std::mem::take(path))?;
    }
    for map in [&entry.fields, &entry.result_fields].into_iter().flatten() {
        if field_map(map).is_none() {
            let known: Vec<&str> = field_maps().iter().map(|(name, _)| name).collect();
            return Err(format!(
                "there is no map of fields {map:?}; there are {}, and \"field_names\" for your own",
                known.join(", ")
            ));
        }
    }
    Ok(entry)
}

/// The rule that ships for a method, with another entry.
///
/// # Errors
/// Where none ships, or where the entry would change the successor that its calls are translated to.
pub(super) fn shipped_with(method: &str, entry: Migration) -> Result<Rule, String> {
    let shipped = builtin::rules();
    let is_it = |rule: &Rule| rule.method.eq_ignore_ascii_case(method);
    let shipped = shipped.into_iter().find(is_it).ok_or_else(|| {
        format!(
            "no rule ships for {method}, so there is nothing to correct; add \"successor\", or \"watched\": true"
        )
    })?;
    if shipped.kind == RuleKind::Exact && entry.replacement() != shipped.replacement {
        return Err(format!(
            "calls of {method} are translated to {}; to send them elsewhere, write the whole rule",
            shipped.replacement.as_deref().unwrap_or_default()
        ));
    }
    Ok(Rule {
        replacement: entry.replacement(),
        migration: Some(Box::new(entry)),
        ..shipped
    })
}

#[cfg(test)]
mod tests {
    use crate::catalogue::file::read;
    use crate::catalogue::migration::Becomes;
    use crate::catalogue::{Rule, RuleKind};

    fn rule(text: &str) -> Rule {
        read(&format!("[{text}]")).expect(text).remove(0).rule
    }

    fn error(text: &str) -> String {
        read(&format!("[{text}]")).expect_err(text).message
    }

    #[test]
    fn a_correction_keeps_what_is_done_with_the_calls() {
        let own = rule(
            r#"{"method": "CRM.lead.details.configuration.get", "migration": {"rights": "anybody"}}"#,
        );
        assert_eq!(own.kind, RuleKind::Exact);
        assert_eq!(own.set.len(), 1);
        let entry = own.migration().unwrap();
        assert_eq!(entry.rights.as_deref(), Some("anybody"));
        assert!(entry.equal);
    }

    #[test]
    fn a_correction_may_name_another_successor_of_a_watched_method() {
        let own = rule(r#"{"method": "crm.deal.list", "migration": {"successor": ["my.list"]}}"#);
        assert_eq!(own.kind, RuleKind::Watched);
        assert_eq!(own.replacement.as_deref(), Some("my.list"));
    }

    #[test]
    fn a_rule_with_another_successor_begins_with_nothing() {
        let own = rule(
            r#"{"method": "crm.deal.list", "successor": "my.list", "migration": {"field_names": {"A": "b"}}}"#,
        );
        let entry = own.migration().unwrap();
        assert_eq!(entry.field("A"), Becomes::Name("b".to_owned()));
        assert_eq!(entry.field("TITLE"), Becomes::Unknown);
        assert_eq!(entry.replacement().as_deref(), Some("my.list"));
    }

    #[test]
    fn what_is_no_correction_is_told() {
        assert!(error(r#"{"method": "a.b", "migration": {}}"#).contains("no rule ships for a.b"));
        let unknown = error(r#"{"method": "crm.deal.list", "migration": {"right": "x"}}"#);
        assert!(unknown.contains("right"), "{unknown}");
        let map = error(r#"{"method": "crm.deal.list", "migration": {"fields": "deals"}}"#);
        assert!(
            map.contains("no map of fields \"deals\"; there are lead, deal"),
            "{map}"
        );
        let page = error(r#"{"method": "crm.deal.list", "migration": {"page": "https://x/"}}"#);
        assert!(page.contains("is not a page"), "{page}");
        let moved = error(
            r#"{"method": "crm.lead.details.configuration.get", "migration": {"successor": ["x.y"]}}"#,
        );
        assert!(moved.contains("write the whole rule"), "{moved}");
        let two = error(
            r#"{"method": "crm.deal.list", "successor": "a.b", "migration": {"successor": ["x.y"]}}"#,
        );
        assert!(two.contains("differ"), "{two}");
    }
}
