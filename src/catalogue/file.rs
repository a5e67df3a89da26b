//! Rules of one's own (`--rules FILE`): the language of `rules.json` and a little more, in JSON. `docs/RULES.md` teaches it,
//! `docs/rules.schema.json` describes it for editors. What is wrong is told with line, column and a hint.

mod steps;
mod text;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::correction;
use super::read::{ReadError, check_method, page};
use super::rule::{Rule, RuleKind};
use crate::places::Places;
use std::collections::HashMap;
use steps::{MapEntry, RemoveEntry, RenameEntry, SetEntry};
use text::{Text, told};

/// The JSON Schema of rule files.
pub const SCHEMA: &str = include_str!("../../docs/rules.schema.json");

/// What a rule can say.
pub const KEYS: [&str; 13] = [
    "method",
    "successor",
    "watched",
    "read_only",
    "rename",
    "map",
    "remove",
    "set",
    "deprecated",
    "documentation",
    "migration",
    "examples",
    "comment",
];

/// A rule, where it stands, and its examples.
#[derive(Clone, Debug)]
pub struct OwnRule {
    /// The rule.
    pub rule: Rule,
    /// The line and column at which it begins.
    pub place: (usize, usize),
    /// What its author expects.
    pub examples: Vec<Example>,
}

/// A call, and what the portal is to get.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub says: String,
    /// The call.
    pub call: Message,
    /// What becomes of it.
    pub becomes: Message,
    /// The line and column at which it begins.
    #[serde(skip)]
    pub place: (usize, usize),
}

/// A request of an example.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The HTTP method; `POST` with a body and `GET` without one.
    pub verb: Option<String>,
    /// A method with parameters or without, or a path.
    pub target: String,
    /// That of the body; JSON for an object or list, a form for text.
    pub content_type: Option<String>,
    /// The body: text as it travels, or JSON, which is compared as JSON.
    pub body: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<'f> {
    #[serde(borrow)]
    rules: Vec<&'f RawValue>,
    #[serde(default, rename = "$schema")]
    _schema: String,
    #[serde(default, rename = "comment")]
    _comment: String,
}

/// A rule, of which each part is read where it stands, so that what is wrong is told with its place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'f> {
    #[serde(borrow)]
    method: &'f RawValue,
    #[serde(borrow)]
    successor: Option<&'f RawValue>,
    #[serde(default)]
    watched: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(borrow, default)]
    rename: Vec<&'f RawValue>,
    #[serde(borrow, default)]
    map: Vec<&'f RawValue>,
    #[serde(borrow, default)]
    remove: Vec<&'f RawValue>,
    #[serde(borrow, default)]
    set: Vec<&'f RawValue>,
    #[serde(borrow)]
    deprecated: Option<&'f RawValue>,
    #[serde(borrow)]
    documentation: Option<&'f RawValue>,
    #[serde(borrow)]
    migration: Option<&'f RawValue>,
    #[serde(borrow, default)]
    examples: Vec<&'f RawValue>,
    #[serde(default, rename = "comment")]
    _comment: String,
}

/// Reads a rule file: `{"rules": […]}`, or only the list.
///
/// # Errors
/// Where it is no rule file: line, column, what is wrong and what was probably meant.
pub fn read(text: &str) -> Result<Vec<OwnRule>, ReadError> {
    // Some editors put a byte order mark before it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let list = match text.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(text),
        Some(b'{') => serde_json::from_str(text).map(|whole: Whole<'_>| whole.rules),
        _ => {
            return Err(ReadError {
                line: 1,
                column: 1,
                message: "a rule file is {\"rules\": [ … ]}, or only the list".to_owned(),
            });
        }
    };
    let list: Vec<&RawValue> = list.map_err(|error| told(text, 0, &error))?;
    let places = Places::new(text.as_bytes());
    let file = Text {
        text,
        places: &places,
    };
    let mut rules: Vec<OwnRule> = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    for raw in list {
        let entry: Entry<'_> = file.read(raw)?;
        let method = entry.method;
        let own = own_rule(file, raw, entry)?;
        let name = own.rule.method.to_ascii_lowercase();
        if let Some(first) = lines.insert(name, own.place.0) {
            let why = format!(
                "{} has a rule already, at line {first}; put both into one",
                own.rule.method
            );
            return Err(file.wrong(method, why));
        }
        rules.push(own);
    }
    Ok(rules)
}

fn own_rule<'f>(file: Text<'f>, raw: &'f RawValue, entry: Entry<'f>) -> Result<OwnRule, ReadError> {
    let method = method_of(file, entry.method)?;
    let successor = entry
        .successor
        .map(|part| method_of(file, part))
        .transpose()?;
    let migration = match entry.migration {
        None => None,
        Some(part) => {
            let members: serde_json::Map<String, Value> = file.read(part)?;
            let own = correction::own(&method, successor.as_deref(), &members);
            Some(own.map_err(|why| file.wrong(part, why))?)
        }
    };
    let (deprecated, documentation) = (entry.deprecated, entry.documentation);
    let texts = || -> Result<_, ReadError> {
        let deprecated = text_of(file, deprecated, date)?;
        Ok((deprecated, text_of(file, documentation, page)?))
    };
    let changes = [&entry.rename, &entry.map, &entry.remove, &entry.set];
    let change = changes.into_iter().flatten().next().copied();
    let rule = if let (None, false, None, Some(migration)) =
        (&successor, entry.watched, change, &migration)
    {
        let shipped = correction::shipped_with(&method, migration.clone())
            .map_err(|why| file.wrong(raw, why))?;
        let (deprecated, documentation) = texts()?;
        Rule {
            read_only: shipped.read_only | entry.read_only,
            deprecated: deprecated.or(shipped.deprecated),
            documentation: documentation.or(shipped.documentation),
            ..shipped
        }
    } else {
        let kind = kind_of(&method, successor.is_some(), entry.watched, change)
            .map_err(|(part, why)| file.wrong(part.unwrap_or(raw), why))?;
        let steps = [
            steps::read::<RenameEntry>(file, entry.rename)?,
            steps::read::<MapEntry>(file, entry.map)?,
            steps::read::<RemoveEntry>(file, entry.remove)?,
            steps::read::<SetEntry>(file, entry.set)?,
        ];
        let (deprecated, documentation) = texts()?;
        Rule {
            method,
            replacement: successor,
            kind,
            read_only: entry.read_only,
            steps: steps.concat(),
            deprecated,
            documentation,
            migration: migration.map(Box::new),
            ..Rule::default()
        }
    };
    Ok(OwnRule {
        rule,
        place: file.place(raw),
        examples: examples(file, entry.examples)?,
    })
}

fn method_of<'f>(file: Text<'f>, part: &'f RawValue) -> Result<String, ReadError> {
    let method: String = file.read(part)?;
    check_method(&method).map_err(|why| file.wrong(part, why))?;
    Ok(method)
}

fn text_of<'f>(
    file: Text<'f>,
    part: Option<&'f RawValue>,
    check: fn(String) -> Result<String, String>,
) -> Result<Option<String>, ReadError> {
    let checked = |part| check(file.read(part)?).map_err(|why| file.wrong(part, why));
    part.map(checked).transpose()
}

/// The kind of a rule. `change` is the first change that it makes. Fails with what is wrong, of the rule or of a part.
fn kind_of<'f>(
    method: &str,
    has_successor: bool,
    is_watched: bool,
    change: Option<&'f RawValue>,
) -> Result<RuleKind, (Option<&'f RawValue>, String)> {
    match (has_successor, is_watched, change) {
        (true, false, _) => Ok(RuleKind::Exact),
        (false, false, _) => Err((
            None,
            format!(
                "{method} names no successor; add \"successor\", or \"watched\": true to only log its calls"
            ),
        )),
        (_, true, Some(change)) => Err((
            Some(change),
            format!(
                "{method} is watched, so its calls are never changed; take \"watched\" or the changes out"
            ),
        )),
        (_, true, None) => Ok(RuleKind::Watched),
    }
}

fn examples<'f>(file: Text<'f>, parts: Vec<&'f RawValue>) -> Result<Vec<Example>, ReadError> {
    let read = |part| {
        let place = file.place(part);
        let example: Example = file.read(part)?;
        Ok(Example { place, ..example })
    };
    parts.into_iter().map(read).collect()
}

fn date(text: String) -> Result<String, String> {
    match text.parse::<jiff::civil::Date>() {
        Ok(date) if date.to_string() == text => Ok(text),
        _ => Err(format!("{text:?} is not a day; write it as 2026-02-04")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    #[test]
    fn a_file_is_an_object_or_only_the_list() {
        let rule = r#"{ "method": "a.b", "successor": "c.d" }"#;
        for text in [
            format!("[{rule}]"),
            format!("{{\"$schema\": \"x\", \"rules\": [{rule}]}}"),
        ] {
            let rules = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(rules[0].rule.method, "a.b");
            assert_eq!(rules[0].rule.kind, RuleKind::Exact);
        }
    }

    #[test]
    fn the_rules_that_ship_are_in_this_language_but_for_one_key() {
        let shipped = include_str!("rules.json");
        let without: String = shipped
            .lines()
            .filter(|line| !line.trim_start().starts_with("\"reads\""))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(read(&without).map(|rules| rules.len()), Ok(16));
    }

    #[test]
    fn a_page_may_be_given_by_its_address_and_a_byte_order_mark_does_no_harm() {
        let text = "\u{feff}[{\"method\": \"a\", \"successor\": \"c\", \"documentation\": \
                    \"https://apidocs.bitrix24.com/api-reference/x.html\"}]";
        let rules = read(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            rules[0].rule.documentation.as_deref(),
            Some("api-reference/x")
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_line_column_and_hint() {
        let rule = |more: &str| format!("[{{\"method\": \"a\", \"successor\": \"c\", {more}}}]");
        for (text, said) in [
            (
                "{\n  \"rules\": [\n    { \"method\": \"a\", \"sucessor\": \"b\" }\n  ]\n}".to_owned(),
                "line 3, column 31: there is no \"sucessor\" here; did you mean \"successor\"?",
            ),
            (
                "{\"rule\": []}".to_owned(),
                "line 1, column 7: there is no \"rule\" here; did you mean \"rules\"?",
            ),
            ("{}".to_owned(), "\"rules\" is missing here"),
            ("17".to_owned(), "line 1, column 1: a rule file is {\"rules\": ["),
            ("".to_owned(), "line 1, column 1: a rule file is {\"rules\": ["),
            ("[{\"method\": \"a\"".to_owned(), "before all brackets are closed"),
            (
                "[\n\n  {\"method\": \"a\"}]".to_owned(),
                "line 3, column 3: a names no successor",
            ),
            (
                "[{\"method\": \"a b\", \"successor\": \"c\"}]".to_owned(),
                "line 1, column 13: \"a b\" is not a method",
            ),
            (
                "[{\"method\": \"a\",\n \"successor\": \"b..c\"}]".to_owned(),
                "line 2, column 15: \"b..c\" is not a method",
            ),
            (
                "[{\"method\": \"a\", \"successor\": \"c.xml\"}]".to_owned(),
                "line 1, column 31: \"c.xml\" ends in a format, which each call has as it likes; leave .xml out",
            ),
            (
                "[{\"method\": \"Batch\", \"successor\": \"c\"}]".to_owned(),
                "a batch has no rule",
            ),
            (
                "[{\"method\": 7, \"successor\": \"c\"}]".to_owned(),
                "line 1, column 13: text in quotes is expected here, not a number",
            ),
            (
                rule("\n\"set\": [{\"name\": \"y\", \"to\": 1},\n {\"name\": \"x.y\", \"to\": 1}]"),
                "line 3, column 11: \"set\": a portal never sees the top-level parameter \"x.y\": PHP makes it \"x_y\"",
            ),
            (rule("\"set\": [{\"name\": \"x\", \"to\": []}]"), "\"set\": [] is not a value"),
            (rule("\"set\": [{\"name\": \"x\"}]"), "\"to\" is missing here"),
            (rule("\"set\": {}"), "a list is expected here, not an object"),
            (
                rule("\"set\": [{\"name\": \"x\", \"to\": 1, \"inside\": \"y\"}]"),
                "a list is expected here, not text",
            ),
            (
                rule("\"remove\": [{\"name\": \"x[y]\"}]"),
                "is not a name of one parameter; write \"inside\": [\"x\"] and the name \"y\"",
            ),
            (rule("\"remove\": [{\"name\": \"é\"}]"), "printable ASCII"),
            (
                rule("\"remove\": [{\"name\": \"7\", \"inside\": [\"x\"]}]"),
                "\"7\" is the place of an entry in a list",
            ),
            (rule("\"remove\": [{\"name\": 7}]"), "a name is text in quotes"),
            (
                rule("\"rename\": [{\"from\": [], \"to\": \"x\"}]"),
                "\"rename\": a list of names is empty",
            ),
            (
                rule("\"remove\": [{\"name\": \"x\", \"when\": {\"name\": \"y.z\"}}]"),
                "\"when\": a portal never sees",
            ),
            (rule("\"deprecated\": \"soon\""), "\"soon\" is not a day; write it as 2026-02-04"),
            (rule("\"deprecated\": \"2026-13-01\""), "is not a day"),
            (
                rule("\"documentation\": \"https://example.com/x\""),
                "is not a page of the documentation; write its path",
            ),
            (rule("\"documentation\": \"a\\r\\nb: c\""), "is not a page"),
            (rule("\"comment\": \"x\", \"comment\": \"y\""), "\"comment\" is here twice"),
            (
                "[{\"method\": \"a\", \"successor\": \"c\"},\n{\"method\": \"A\", \"successor\": \"c\"}]".to_owned(),
                "line 2, column 12: A has a rule already, at line 1",
            ),
            (
                "[{\"method\": \"a\", \"watched\": true, \"successor\": \"c\", \"remove\": [{\"name\": \"x\"}]}]".to_owned(),
                "line 1, column 64: a is watched",
            ),
            ("[{\"method\": \"a\",}]".to_owned(), "line 1, column 17: "),
        ] {
            let why = complaint(&text);
            assert!(why.contains(said), "{text}: {why}");
        }
    }

    #[test]
    fn many_rules_in_one_line_cost_one_reading_of_it() {
        let rule = |n: usize| {
            format!(
                "{{\"method\": \"own.m{n}\", \"successor\": \"own.s\", \"examples\": [{{\"says\": \"x\", \"call\": \
                 {{\"target\": \"own.m{n}\"}}, \"becomes\": {{\"target\": \"own.s\"}}}}]}}"
            )
        };
        let rules: Vec<String> = (0..2_000).map(rule).collect();
        let text = format!("[{}]", rules.join(","));
        crate::places::counted::bytes();
        assert_eq!(read(&text).map(|rules| rules.len()), Ok(2_000));
        let read = crate::places::counted::bytes();
        // Once in all, and each rule once more from its begin to its examples.
        assert!(read <= 2 * text.len(), "{read} of {}", text.len());
    }
}
