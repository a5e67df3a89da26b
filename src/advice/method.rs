//! What one caller is to change about one method, in words, a table and calls (pure). Nothing of it is a secret: a call's
//! values are never known here, and a webhook's address is the reader's own.

use serde::Serialize;

use super::language::Language;
use super::parameters::Parameters;
use super::seen::Seen;
use super::snippets::{self, Snippet};
use super::table::{self, Line};
use super::text::{AS_BEFORE, NEW_NAMES, YOUR_VALUE, clean};
use crate::catalogue::migration::Paging;
use crate::catalogue::{Migration, Rule, RuleKind};

/// What one caller is to change about one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The deprecated method.
    pub method: String,
    /// What to call instead: a method, or several with blanks between them, or nothing.
    pub replacement: Option<String>,
    /// Whether the proxy translates these calls.
    pub exact: bool,
    /// Whether the snippets are ready to use; else each is a sketch.
    pub ready: bool,
    /// The deprecated method's page.
    pub documentation: Option<String>,
    /// The successor's page.
    pub successor_documentation: Option<String>,
    /// Who calls: its name or what is known of it.
    pub caller: String,
    /// What is known of the caller and of its calls, as label and text.
    pub facts: Vec<(String, String)>,
    /// What to know before anything else, in sentences.
    pub cautions: Vec<String>,
    /// What the lines are about: the caller's own parameters, or all that are documented.
    pub about_lines: String,
    /// In the old call → in the new call.
    pub lines: Vec<Line>,
    /// The map of field names that holds for call and answer, or for the answer only.
    pub field_map: Option<String>,
    /// The scope and the rights that the new call needs, in sentences.
    pub needs: Vec<String>,
    /// What changes in the answer, and what else differs, in sentences.
    pub answer: Vec<String>,
    /// Documented parameters and fields that have no successor.
    pub lost: Vec<String>,
    /// What the proxy changed in the last call, in words.
    pub changes: Vec<String>,
    /// What the placeholders in the snippets stand for.
    pub legend: Option<String>,
    /// The replacement call; the caller's own library first.
    pub snippets: Vec<Snippet>,
    /// All calls, and the first and the last one in milliseconds since 1970; 0 where that is not known.
    pub calls: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    /// The date (`YYYY-MM-DD`) from which its calls are refused.
    pub until: Option<String>,
}

impl Advice {
    /// Advice for a caller's use of a method, by the rule that holds for the method now. `portal` is the portal's origin,
    /// where it is known.
    pub fn of(seen: &Seen, rule: Option<&Rule>, portal: Option<&str>, language: &Language) -> Self {
        let entry = rule.and_then(Rule::migration);
        // Without a successor there is no new call to say anything about.
        let new_call = entry.filter(|entry| !entry.successor.is_empty());
        let exact = rule.is_some_and(|rule| rule.kind == RuleKind::Exact);
        let ready = exact || entry.is_some_and(|entry| entry.equal);
        let replacement = match (entry, rule) {
            (Some(entry), _) => entry.replacement(),
            (None, Some(rule)) => rule.replacement.clone(),
            (None, None) => seen.replacement.clone(),
        };
        let named: Vec<String> = seen.parameters.iter().map(|name| clean(name)).collect();
        let lines = new_call
            .map(|entry| table::lines(entry, &named, language))
            .unwrap_or_default();
        let parameters = match (ready, entry) {
            (true, _) if named.is_empty() => Parameters::of_rule(rule, &seen.changes),
            (true, Some(entry)) if !exact || rule.is_some_and(|rule| rule.steps.is_empty()) => {
                Parameters::of_lines(&lines, entry)
            }
            (true, _) => Parameters::of_rule(rule, &seen.changes),
            (false, Some(entry)) => Parameters::of_lines(&lines, entry),
            (false, None) => Parameters::of_rule(rule, &seen.changes),
        };
        let call = snippets::Call {
            method: replacement.as_deref().unwrap_or_default(),
            parameters: &parameters,
            seen,
            entry,
            ready,
            rest: ready && named.is_empty(),
            language,
        };
        let snippets = match replacement.as_deref().is_some_and(is_method) {
            true => snippets::all(&call, portal),
            false => Vec::new(),
        };
        let page = |page: Option<String>| page.filter(|page| page.starts_with("https://"));
        Self {
            method: clean(&seen.method),
            replacement: replacement.as_deref().map(clean),
            exact,
            ready,
            documentation: page(match rule {
                Some(rule) => rule.documentation_url(),
                None => seen.documentation.clone(),
            }),
            successor_documentation: page(entry.and_then(Migration::page_url)),
            caller: clean(&caller(seen, language)),
            facts: facts(seen, language),
            cautions: cautions(entry, replacement.as_deref(), ready, language),
            about_lines: match (named.is_empty(), ready) {
                (true, _) => language.say("lines-documented", &[]),
                (false, _) => language.say("lines-seen", &[]),
            },
            lines,
            field_map: entry
                .and_then(|entry| entry.fields.clone().or_else(|| entry.result_fields.clone())),
            needs: new_call
                .map(|entry| needs(entry, language))
                .unwrap_or_default(),
            answer: new_call
                .map(|entry| answer(entry, language))
                .unwrap_or_default(),
            lost: new_call.map(|entry| entry.lost.clone()).unwrap_or_default(),
            changes: seen.changes.iter().map(|change| clean(change)).collect(),
            legend: legend(&snippets, ready, language),
            snippets,
            calls: seen.calls,
            first_seen: seen.first_seen,
            last_seen: seen.last_seen,
            until: seen.until.clone().map(|date| clean(&date)),
        }
    }
}

impl Advice {
    /// What the successor's page is.
    pub fn successors_page(&self, language: &Language) -> String {
        match self.replacement {
            Some(_) => language.say("page-new", &[]),
            None => language.say("page-named", &[]),
        }
    }
}

fn legend(snippets: &[Snippet], ready: bool, language: &Language) -> Option<String> {
    let has = |word: &str| snippets.iter().any(|snippet| snippet.code.contains(word));
    let is_sketch = !ready && !snippets.is_empty();
    let sentences = [
        is_sketch.then(|| language.say("legend-sketch", &[])),
        has(AS_BEFORE).then(|| language.say("legend-as-before", &[("word", AS_BEFORE)])),
        has(NEW_NAMES).then(|| language.say("legend-new-names", &[("word", NEW_NAMES)])),
        has(YOUR_VALUE).then(|| language.say("legend-your-value", &[("word", YOUR_VALUE)])),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    Some(sentences.join(" ")).filter(|sentences| !sentences.is_empty())
}

/// What to know before anything else.
fn cautions(
    entry: Option<&Migration>,
    replacement: Option<&str>,
    ready: bool,
    language: &Language,
) -> Vec<String> {
    let mut said = Vec::new();
    let Some(successor) = replacement else {
        said.push(match entry.and_then(|entry| entry.documented.as_deref()) {
            Some(family) => language.say("no-successor-in-family", &[("family", family)]),
            None => language.say("no-successor", &[]),
        });
        // What the family lacks has just been said.
        let types = entry.iter().flat_map(|entry| &entry.types);
        let more = types.filter(|english| !english.starts_with("the page named"));
        said.extend(more.map(|english| sentence(language.phrase(english))));
        return said;
    };
    let listed = successor.replace(' ', ", ");
    if let Some(family) = entry.and_then(|entry| entry.documented.as_deref()) {
        said.push(language.say("chosen", &[("family", family), ("successor", &listed)]));
    }
    match (entry, ready) {
        (_, true) => said.push(language.say("ready", &[])),
        (Some(entry), false) if entry.successor.len() > 1 => {
            said.push(language.say("several", &[("successor", &listed)]));
        }
        (Some(_), false) => said.push(language.say("sketch", &[("successor", &listed)])),
        (None, false) => said.push(language.say("unknown", &[("successor", &listed)])),
    }
    if let Some(entry) = entry {
        if entry.rest_version == Some(3) {
            said.push(language.say("version-3", &[]));
        }
        if entry.positional {
            said.push(language.say("positional", &[]));
        }
    }
    said
}

/// The scope and the rights that the new call needs.
fn needs(entry: &Migration, language: &Language) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(scope) = &entry.scope {
        let values = [
            ("scope", scope.successor.as_str()),
            ("old", scope.legacy.as_str()),
        ];
        said.push(match scope.legacy == scope.successor {
            true => language.say("scope-same", &values[..1]),
            false => language.say("scope-other", &values),
        });
    }
    if let Some(rights) = &entry.rights {
        said.push(language.say("rights", &[("rights", language.phrase(rights))]));
    }
    said
}

/// What changes in the answer, and what else differs.
fn answer(entry: &Migration, language: &Language) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(result) = &entry.result {
        let values = [
            ("new", result.successor.as_str()),
            ("old", result.legacy.as_str()),
        ];
        said.push(match result.legacy == result.successor {
            true => language.say("answer-same", &values[..1]),
            false => language.say("answer-moved", &values),
        });
    }
    match entry.paging {
        Some(Paging::Same) => {
            said.push(language.say("paging-same", &[]));
        }
        Some(Paging::Differs) => {
            said.push(language.say("paging-differs", &[]));
        }
        None => {}
    }
    if entry.fields.is_some() {
        said.push(language.say("fields-in-both", &[]));
    } else if entry.result_fields.is_some() {
        said.push(language.say("fields-in-answer", &[]));
    }
    said.extend(
        entry
            .types
            .iter()
            .map(|english| sentence(language.phrase(english))),
    );
    said
}

/// A phrase as a sentence.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let mut out: String = match letters.next() {
        // A name keeps its letters: `fm`, `deadline` is no beginning to change.
        Some(first) if phrase.split(' ').next().is_some_and(is_plain_word) => {
            first.to_uppercase().collect()
        }
        Some(first) => first.to_string(),
        None => String::new(),
    };
    out.push_str(letters.as_str());
    if !out.ends_with(['.', '…', '!']) {
        out.push('.');
    }
    out
}

fn is_plain_word(word: &str) -> bool {
    let names = [
        "fm", "deadline", "id", "dialogId", "start", "title", "from", "userIds", "isFixed",
        "complete", "limit", "select", "filter", "true",
    ];
    let word = word.trim_end_matches([',', ':']);
    word.chars().skip(1).all(|c| c.is_lowercase()) && !names.contains(&word)
}

/// As what a caller calls; nothing where that was not seen.
fn who(seen: &Seen, language: &Language) -> Option<String> {
    let user = seen.user.as_deref().unwrap_or("?");
    match seen.auth.as_str() {
        "webhook" => Some(language.say("who-webhook", &[("user", user)])),
        "oauth" => Some(language.say("who-application", &[])),
        "session" => Some(language.say("who-session", &[])),
        "none" => Some(language.say("who-nobody", &[])),
        _ => None,
    }
}

/// Who a caller is: its name, or what its calls show.
pub(super) fn caller(seen: &Seen, language: &Language) -> String {
    match (&seen.name, &seen.application) {
        (Some(name), _) => name.clone(),
        (None, Some(application)) => application.clone(),
        (None, None) => who(seen, language).unwrap_or_else(|| language.say("who-unknown", &[])),
    }
}

fn facts(seen: &Seen, language: &Language) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |label: String, text: Option<&String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            facts.push((label, clean(text)));
        }
    };
    let who = who(seen, language);
    fact(language.say("fact-who", &[]), who.as_ref());
    let behind = &seen.behind;
    for (label, (count, listed)) in [
        (language.say("fact-keys", &[]), &behind.keys),
        (language.say("fact-libraries", &[]), &behind.libraries),
        (language.say("fact-addresses", &[]), &behind.addresses),
    ] {
        if *count > 1 {
            fact(label, Some(&format!("{count}: {}", listed.join(", "))));
        }
    }
    fact(
        language.say("fact-application", &[]),
        seen.application.as_ref(),
    );
    fact(
        language.say("fact-fingerprint", &[]),
        seen.fingerprint.as_ref(),
    );
    fact(language.say("fact-address", &[]), seen.address.as_ref());
    fact(language.say("fact-library", &[]), seen.sdk.as_ref());
    fact(language.say("fact-agent", &[]), seen.user_agent.as_ref());
    fact(language.say("fact-call", &[]), Some(&seen.target));
    fact(language.say("fact-encoding", &[]), Some(&seen.encoding));
    if seen.batch > 0 {
        let batch = language.say("fact-batch-calls", &[("calls", &seen.batch.to_string())]);
        fact(language.say("fact-batch", &[]), Some(&batch));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn seen() -> Seen {
        Seen {
            name: Some("shop import".into()),
            method: "crm.lead.details.configuration.reset".into(),
            auth: "webhook".into(),
            user: Some("1".into()),
            sdk: Some("b24pysdk 1.3.2".into()),
            encoding: "json".into(),
            changes: vec![
                "extras[lead.customer.type] is now extras[leadCustomerType]".into(),
                "entityTypeId is set to 1".into(),
            ],
            ..Seen::default()
        }
    }

    fn of(seen: &Seen, portal: Option<&str>) -> Advice {
        let catalogue = Catalogue::builtin();
        let rule = catalogue.find_in_any_case(seen.method.as_bytes());
        Advice::of(seen, rule.map(AsRef::as_ref), portal, Language::english())
    }

    fn code<'a>(said: &'a Advice, name: &str) -> &'a str {
        let mut all = said.snippets.iter();
        &all.find(|snippet| snippet.name == name).expect(name).code
    }

    #[test]
    fn every_language_gets_its_call_and_the_callers_own_comes_first() {
        let said = of(&seen(), Some("https://x.bitrix24.com"));
        let names: Vec<_> = said
            .snippets
            .iter()
            .map(|s| (s.name.as_str(), s.own))
            .collect();
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
            assert!(
                !snippet.code.contains("lead.customer.type"),
                "{}",
                snippet.code
            );
            assert!(!snippet.code.contains("sketch"), "{}", snippet.code);
        }
        let marked = said.snippets.iter().filter(|s| s.code.contains("not run"));
        let marked: Vec<&str> = marked.map(|s| s.name.as_str()).collect();
        assert_eq!(marked, ["b24phpsdk"]);
        assert!(code(&said, "b24pysdk").contains("domain=\"x.bitrix24.com\""));
        assert!(said.legend.unwrap().contains(AS_BEFORE));
        assert!(said.ready);
    }

    #[test]
    fn a_watched_methods_call_is_a_sketch_with_the_callers_own_fields() {
        let own = Seen {
            method: "crm.lead.add".into(),
            sdk: Some("CRest 1.36".into()),
            parameters: [
                "fields[TITLE]",
                "fields[PHONE][][VALUE]",
                "fields[UF_CRM_1]",
            ]
            .map(str::to_owned)
            .to_vec(),
            changes: Vec::new(),
            ..seen()
        };
        let said = of(&own, None);
        assert!(!said.ready);
        let crest = code(&said, "CRest");
        for part in [
            "// A sketch",
            "'entityTypeId' => 1,",
            "'title' => 'AS_BEFORE',",
            "'typeId' => 'PHONE',",
            "'UF_CRM_1' => 'AS_BEFORE',",
            "'useOriginalUfNames' => 'Y',",
            "$answer['result']['item']['id']",
        ] {
            assert!(crest.contains(part), "{part}\n{crest}");
        }
        assert!(!crest.contains("stays as it is"), "{crest}");
        assert!(code(&said, "curl").contains(r#""fm":[{"typeId":"PHONE""#));
    }

    #[test]
    fn scope_rights_answer_and_both_pages_are_told() {
        let said = of(
            &Seen {
                method: "crm.measure.list".into(),
                ..seen()
            },
            None,
        );
        assert!(
            said.needs[0].contains("Scope: catalog. The old call needed crm"),
            "{:?}",
            said.needs
        );
        assert!(said.needs[1].starts_with("Rights: "), "{:?}", said.needs);
        assert_eq!(
            said.answer[0],
            "The data are in result.measures; they were in result."
        );
        assert!(
            said.documentation
                .unwrap()
                .ends_with("crm-measure-list.html")
        );
        assert!(
            said.successor_documentation
                .unwrap()
                .ends_with("catalog-measure-list.html")
        );
    }

    #[test]
    fn no_successor_and_our_own_choice_are_said_plainly() {
        let none = of(
            &Seen {
                method: "crm.invoice.recurring.list".into(),
                ..seen()
            },
            None,
        );
        assert_eq!(none.replacement, None);
        assert!(
            none.cautions[0].starts_with("No successor: the documentation points to crm.item.*")
        );
        assert!(none.snippets.is_empty() && none.lines.is_empty() && none.answer.is_empty());
        assert_eq!(none.cautions.len(), 1);
        let works = of(
            &Seen {
                method: "im.search.last.get".into(),
                ..seen()
            },
            None,
        );
        assert!(
            works.cautions[1].starts_with("Works, but"),
            "{:?}",
            works.cautions
        );
        let chosen = of(
            &Seen {
                method: "crm.deal.productrows.get".into(),
                ..seen()
            },
            None,
        );
        assert!(chosen.cautions[0].contains("only the family crm.item.productrow.*"));
        assert!(chosen.cautions[0].contains("our choice"));
        let several = of(
            &Seen {
                method: "imbot.message.like".into(),
                ..seen()
            },
            None,
        );
        assert!(several.snippets.is_empty());
        assert!(
            several.cautions[0].contains("Reaction.add, imbot.v2"),
            "{:?}",
            several.cautions
        );
    }

    #[test]
    fn a_method_of_another_generation_has_a_call_by_its_own_address_only() {
        let said = of(
            &Seen {
                method: "task.comment.add".into(),
                ..seen()
            },
            None,
        );
        let names: Vec<_> = said.snippets.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["curl"]);
        let curl = code(&said, "curl");
        assert!(curl.contains("/rest/api/1/CODE/'"), "{curl}");
        assert!(curl.contains("tasks.task.chat.message.send\""), "{curl}");
    }

    #[test]
    fn every_method_has_advice() {
        for rule in Catalogue::builtin().rules() {
            let said = of(
                &Seen {
                    method: rule.method.clone(),
                    ..Seen::default()
                },
                None,
            );
            assert!(!said.cautions.is_empty(), "{}", rule.method);
            assert_eq!(
                said.snippets.is_empty(),
                said.replacement.as_ref().is_none_or(|to| to.contains(' '))
            );
        }
    }

    #[test]
    fn what_a_client_invents_stays_text() {
        let hostile = Seen {
            name: Some("a\u{202e}b\u{7}\n# c".into()),
            method: "own.method".into(),
            documentation: Some("javascript:alert(1)".into()),
            ..seen()
        };
        let said = of(&hostile, None);
        assert_eq!(said.caller, "a\u{FFFD}b\u{FFFD}\u{FFFD}# c");
        assert_eq!(said.documentation, None);
    }
}
