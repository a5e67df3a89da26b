//! Rules of one's own (`--rules FILE`): the language of `rules.json` and a little more, in JSON. `docs/RULES.md` teaches it,
//! `docs/rules.schema.json` describes it for editors. What is wrong is told with line, column and a hint.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::correction;
use super::read::{ReadError, check_method, is_key, is_top_level, page};
use super::rule::{Rule, RuleKind};
use super::step::{Step, What, When, scalar};
use crate::places::Places;
use std::collections::HashMap;

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

/// One name or several.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameEntry {
    #[serde(default)]
    inside: Vec<Names>,
    from: Names,
    to: String,
    #[serde(default)]
    yields_to: Vec<String>,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: Names,
    values: serde_json::Map<String, Value>,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: Names,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: String,
    to: Value,
    #[serde(default)]
    instead_of: Vec<String>,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhenEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: Names,
    #[serde(default)]
    is: Vec<Value>,
}

impl Names {
    fn all(self) -> Vec<String> {
        match self {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        }
    }
}

/// What is wrong, and the name in the file that it is about, where it is about one.
struct Wrong {
    about: Option<String>,
    why: String,
}

impl Wrong {
    fn of(about: &str, why: impl Into<String>) -> Self {
        Self {
            about: Some(about.to_owned()),
            why: why.into(),
        }
    }

    fn inside(self, key: &str) -> Self {
        Self {
            why: format!("\"{key}\": {}", self.why),
            ..self
        }
    }
}

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Self { about: None, why }
    }
}

/// A file's text, in which parts have their place.
#[derive(Clone, Copy)]
struct Text<'f> {
    text: &'f str,
    places: &'f Places<'f>,
}

impl<'f> Text<'f> {
    fn offset(self, part: &'f RawValue) -> usize {
        part.get().as_ptr() as usize - self.text.as_ptr() as usize
    }

    /// Reads a part.
    fn read<T: Deserialize<'f>>(self, part: &'f RawValue) -> Result<T, ReadError> {
        serde_json::from_str(part.get()).map_err(|error| told(self.text, self.offset(part), &error))
    }

    fn place(self, part: &'f RawValue) -> (usize, usize) {
        self.places.of(self.offset(part))
    }

    /// What is wrong with a part, at its place.
    fn wrong(self, part: &'f RawValue, wrong: impl Into<Wrong>) -> ReadError {
        let Wrong { about, why } = wrong.into();
        let inside = about.and_then(|name| part.get().find(&Value::from(name).to_string()));
        let (line, column) = self.places.of(self.offset(part) + inside.unwrap_or(0));
        ReadError {
            line,
            column,
            message: why,
        }
    }
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
    let method_of = |part: &'f RawValue| -> Result<String, ReadError> {
        let method: String = file.read(part)?;
        check_method(&method).map_err(|why| file.wrong(part, why))?;
        Ok(method)
    };
    let method = method_of(entry.method)?;
    let successor = entry.successor.map(method_of).transpose()?;
    let text_of = |part: Option<&'f RawValue>, check: fn(String) -> Result<String, String>| {
        let checked =
            |part: &'f RawValue| check(file.read(part)?).map_err(|why| file.wrong(part, why));
        part.map(checked).transpose()
    };
    let edits = [&entry.rename, &entry.map, &entry.remove, &entry.set];
    let edit = edits.into_iter().flatten().next();
    let migration = match entry.migration {
        None => None,
        Some(part) => {
            let members: serde_json::Map<String, Value> = file.read(part)?;
            let own = correction::own(&method, successor.as_deref(), &members);
            Some(own.map_err(|why| file.wrong(part, why))?)
        }
    };
    if let (None, false, None, Some(migration)) = (&successor, entry.watched, edit, &migration) {
        let mut rule = correction::shipped_with(&method, migration.clone())
            .map_err(|why| file.wrong(raw, why))?;
        rule.read_only |= entry.read_only;
        rule.deprecated = text_of(entry.deprecated, date)?.or(rule.deprecated);
        rule.documentation = text_of(entry.documentation, page)?.or(rule.documentation);
        return Ok(OwnRule {
            rule,
            place: file.place(raw),
            examples: examples(file, entry.examples)?,
        });
    }
    let kind = match (&successor, entry.watched, edit) {
        (Some(_), false, _) => RuleKind::Exact,
        (None, false, _) => {
            let why = format!(
                "{method} names no successor; add \"successor\", or \"watched\": true to only log its calls"
            );
            return Err(file.wrong(raw, why));
        }
        (_, true, Some(edit)) => {
            let why = format!(
                "{method} is watched, so its calls are never changed; take \"watched\" or the changes out"
            );
            return Err(file.wrong(edit, why));
        }
        (_, true, None) => RuleKind::Watched,
    };
    let mut steps = Vec::new();
    for part in entry.rename {
        let rename: RenameEntry = file.read(part)?;
        let what = What::Rename {
            from: rename.from.all(),
            to: rename.to,
            yields_to: rename.yields_to,
        };
        let step = step("rename", rename.inside, what, rename.when);
        steps.push(step.map_err(|wrong| file.wrong(part, wrong))?);
    }
    for part in entry.map {
        let map: MapEntry = file.read(part)?;
        let what = What::Map {
            name: map.name.all(),
            values: map.values.into_iter().collect(),
        };
        let step = step("map", map.inside, what, map.when);
        steps.push(step.map_err(|wrong| file.wrong(part, wrong))?);
    }
    for part in entry.remove {
        let remove: RemoveEntry = file.read(part)?;
        let what = What::Remove {
            name: remove.name.all(),
        };
        let step = step("remove", remove.inside, what, remove.when);
        steps.push(step.map_err(|wrong| file.wrong(part, wrong))?);
    }
    for part in entry.set {
        let set: SetEntry = file.read(part)?;
        let what = What::Set {
            name: set.name,
            to: set.to,
            instead_of: set.instead_of,
        };
        let step = step("set", set.inside, what, set.when);
        steps.push(step.map_err(|wrong| file.wrong(part, wrong))?);
    }
    let deprecated = text_of(entry.deprecated, date)?;
    let documentation = text_of(entry.documentation, page)?;
    Ok(OwnRule {
        rule: Rule {
            method,
            replacement: successor,
            kind,
            read_only: entry.read_only,
            steps,
            deprecated,
            documentation,
            migration: migration.map(Box::new),
            ..Rule::default()
        },
        place: file.place(raw),
        examples: examples(file, entry.examples)?,
    })
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

fn step(key: &str, inside: Vec<Names>, what: What, when: Option<WhenEntry>) -> Result<Step, Wrong> {
    let step = Step {
        when: when.map(condition).transpose()?,
        inside: inside.into_iter().map(Names::all).collect(),
        what,
    };
    let (lists, values): (Vec<Vec<&String>>, Vec<&Value>) = match &step.what {
        What::Rename {
            from,
            to,
            yields_to,
        } => (
            vec![
                from.iter().collect(),
                std::iter::once(to).chain(yields_to).collect(),
            ],
            vec![],
        ),
        What::Map { name, values } => (
            vec![name.iter().collect()],
            values.iter().map(|(_, to)| to).collect(),
        ),
        What::Remove { name } => (vec![name.iter().collect()], vec![]),
        What::Set {
            name,
            to,
            instead_of,
        } => (
            vec![std::iter::once(name).chain(instead_of).collect()],
            vec![to],
        ),
    };
    for names in lists {
        check_names(&step.inside, names).map_err(|wrong| wrong.inside(key))?;
    }
    if let Some(value) = values.into_iter().find(|value| scalar(value).is_none()) {
        let why =
            format!("{value} is not a value for a parameter; text, a number, true or false is");
        return Err(Wrong::from(why).inside(key));
    }
    Ok(step)
}

fn condition(when: WhenEntry) -> Result<When, Wrong> {
    let is: Option<Vec<String>> = when.is.iter().map(scalar).collect();
    let condition = When {
        inside: when.inside.into_iter().map(Names::all).collect(),
        name: when.name.all(),
        is: is.ok_or_else(|| {
            Wrong::from("\"is\" lists text, numbers, true or false".to_owned()).inside("when")
        })?,
    };
    let names = condition.name.iter().collect();
    check_names(&condition.inside, names).map_err(|wrong| wrong.inside("when"))?;
    Ok(condition)
}

/// Names that a portal can see: PHP changes some at the top level.
fn check_names(inside: &[Vec<String>], own: Vec<&String>) -> Result<(), Wrong> {
    let levels = inside.iter().map(|names| names.iter().collect::<Vec<_>>());
    for (depth, names) in levels.chain([own]).enumerate() {
        if names.is_empty() {
            return Err("a list of names is empty; name the parameter"
                .to_owned()
                .into());
        }
        for name in names {
            if !is_key(name) {
                let why = match name.split_once('[') {
                    Some((before, behind)) if !before.is_empty() => format!(
                        "{name:?} is not a name of one parameter; write \"inside\": [{before:?}] and the name {:?}",
                        behind.replace(']', "")
                    ),
                    _ => format!(
                        "{name:?} cannot be a parameter's name: printable ASCII without blanks and []\"'\\;&=%+#?"
                    ),
                };
                return Err(Wrong::of(name, why));
            }
            if name
                .parse::<i64>()
                .is_ok_and(|number| number.to_string() == **name)
            {
                let why = format!(
                    "{name:?} is the place of an entry in a list, which has no name; name a parameter"
                );
                return Err(Wrong::of(name, why));
            }
            if depth == 0 && !is_top_level(name) {
                let why = format!(
                    "a portal never sees the top-level parameter {name:?}: PHP makes it {:?}",
                    name.replace('.', "_")
                );
                return Err(Wrong::of(name, why));
            }
        }
    }
    Ok(())
}

/// What serde says, at its place in the file, in our words, with the key that was probably meant.
fn told(text: &str, at: usize, error: &serde_json::Error) -> ReadError {
    let (line, column) = Places::new(text.as_bytes()).of(at);
    let said = error.to_string();
    let said = match said.rfind(" at line ") {
        Some(end) => &said[..end],
        None => &said,
    };
    let own_line = error.line().max(1);
    ReadError {
        line: line + own_line - 1,
        column: if own_line == 1 {
            column + error.column().saturating_sub(1)
        } else {
            error.column().max(1)
        },
        message: in_words(said),
    }
}

/// What serde says, as somebody would who does not know it.
fn in_words(said: &str) -> String {
    let quoted = |prefix: &str| {
        let (name, rest) = said.strip_prefix(prefix)?.split_once('`')?;
        Some((name, rest))
    };
    if let Some((unknown, expected)) = quoted("unknown field `") {
        let known = expected.split('`').skip(1).step_by(2);
        let nearest = known
            .map(|name| (strsim::jaro_winkler(unknown, name), name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        return match nearest {
            Some((_, name)) => format!("there is no \"{unknown}\" here; did you mean \"{name}\"?"),
            None => format!("there is no \"{unknown}\" here; docs/RULES.md lists what there is"),
        };
    }
    if let Some((name, _)) = quoted("missing field `") {
        return format!("\"{name}\" is missing here");
    }
    if let Some((name, _)) = quoted("duplicate field `") {
        return format!("\"{name}\" is here twice");
    }
    if said.contains("untagged enum Names") {
        return "a name is text in quotes, or a list of spellings".to_owned();
    }
    if said.starts_with("EOF while parsing") {
        return "the file ends before all brackets are closed".to_owned();
    }
    let wrong_type = said.strip_prefix("invalid type: ");
    if let Some((found, expected)) = wrong_type.and_then(|rest| rest.rsplit_once(", expected ")) {
        let kind = |word: &str| {
            let kinds = [
                ("a sequence", "a list"),
                ("sequence", "a list"),
                ("map", "an object"),
                ("a map", "an object"),
                ("struct", "an object"),
                ("string", "text"),
                ("a string", "text in quotes"),
                ("integer", "a number"),
                ("floating point", "a number"),
                ("a boolean", "true or false"),
                ("boolean", "true or false"),
            ];
            let kind = kinds.iter().find(|(name, _)| word.starts_with(name));
            kind.map_or(word, |(_, kind)| *kind).to_owned()
        };
        return format!("{} is expected here, not {}", kind(expected), kind(found));
    }
    said.to_owned()
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
