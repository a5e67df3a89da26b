//! Rules of one's own (`--rules FILE`): the language of `rules.json` and a little more, in JSON. `docs/RULES.md` teaches it,
//! `docs/rules.schema.json` describes it for editors. What is wrong is told with line, column and a hint.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::read::{ReadError, is_key, is_method, is_top_level};
use super::rule::{Rule, RuleKind};
use super::step::{Step, What, When, scalar};

/// The JSON Schema of rule files.
pub const SCHEMA: &str = include_str!("../../docs/rules.schema.json");

/// What a rule can say.
pub const KEYS: [&str; 12] = [
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
    "examples",
    "comment",
];

/// A rule, where it stands, and its examples.
#[derive(Clone, Debug)]
pub struct OwnRule {
    /// The rule.
    pub rule: Rule,
    /// The line at which it begins.
    pub line: usize,
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
struct Whole<'f> {
    #[serde(borrow)]
    rules: Vec<&'f RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    method: String,
    successor: Option<String>,
    #[serde(default)]
    watched: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    rename: Vec<RenameEntry>,
    #[serde(default)]
    map: Vec<MapEntry>,
    #[serde(default)]
    remove: Vec<RemoveEntry>,
    #[serde(default)]
    set: Vec<SetEntry>,
    deprecated: Option<String>,
    documentation: Option<String>,
    #[serde(default)]
    examples: Vec<Example>,
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

/// Reads a rule file: `{"rules": […]}`, or only the list.
///
/// # Errors
/// Where it is no rule file: line, column, what is wrong and what was probably meant.
pub fn read(text: &str) -> Result<Vec<OwnRule>, ReadError> {
    let list = match text.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(text),
        _ => serde_json::from_str(text).map(|whole: Whole<'_>| whole.rules),
    };
    let list: Vec<&RawValue> = list.map_err(|error| told(text, 0, &error))?;
    let mut rules: Vec<OwnRule> = Vec::new();
    for raw in list {
        let at = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        let entry: Entry =
            serde_json::from_str(raw.get()).map_err(|error| told(text, at, &error))?;
        let (line, column) = place(text, at);
        let wrong = |message: String| ReadError {
            line,
            column,
            message,
        };
        let own = own_rule(entry, line).map_err(wrong)?;
        let same = |other: &&OwnRule| other.rule.method.eq_ignore_ascii_case(&own.rule.method);
        if let Some(first) = rules.iter().find(same) {
            return Err(wrong(format!(
                "{} has a rule already, at line {}; put both into one",
                own.rule.method, first.line
            )));
        }
        rules.push(own);
    }
    Ok(rules)
}

fn own_rule(entry: Entry, line: usize) -> Result<OwnRule, String> {
    for method in std::iter::once(&entry.method).chain(&entry.successor) {
        if !is_method(method) {
            return Err(format!(
                "{method:?} is no method: letters, digits, dots, `_` and `-`"
            ));
        }
    }
    let edits = !(entry.rename.is_empty()
        && entry.map.is_empty()
        && entry.remove.is_empty()
        && entry.set.is_empty());
    let kind = match (&entry.successor, entry.watched) {
        (Some(_), false) => RuleKind::Exact,
        (None, false) => {
            return Err(format!(
                "{} names no successor; add \"successor\", or \"watched\": true to only log its calls",
                entry.method
            ));
        }
        (_, true) if edits => {
            return Err(format!(
                "{} is watched, so its calls are never changed; take \"watched\" or the changes out",
                entry.method
            ));
        }
        (_, true) => RuleKind::Watched,
    };
    let mut steps = Vec::new();
    for rename in entry.rename {
        let what = What::Rename {
            from: rename.from.all(),
            to: rename.to,
            yields_to: rename.yields_to,
        };
        steps.push(step("rename", rename.inside, what, rename.when)?);
    }
    for map in entry.map {
        let values = map.values.into_iter().collect();
        let name = map.name.all();
        steps.push(step(
            "map",
            map.inside,
            What::Map { name, values },
            map.when,
        )?);
    }
    for remove in entry.remove {
        let name = remove.name.all();
        steps.push(step(
            "remove",
            remove.inside,
            What::Remove { name },
            remove.when,
        )?);
    }
    for set in entry.set {
        let what = What::Set {
            name: set.name,
            to: set.to,
            instead_of: set.instead_of,
        };
        steps.push(step("set", set.inside, what, set.when)?);
    }
    Ok(OwnRule {
        rule: Rule {
            method: entry.method,
            replacement: entry.successor,
            kind,
            read_only: entry.read_only,
            steps,
            deprecated: entry.deprecated,
            documentation: entry.documentation,
            ..Rule::default()
        },
        line,
        examples: entry.examples,
    })
}

fn step(
    key: &str,
    inside: Vec<Names>,
    what: What,
    when: Option<WhenEntry>,
) -> Result<Step, String> {
    let step = Step {
        when: when.map(condition).transpose()?,
        inside: inside.into_iter().map(Names::all).collect(),
        what,
    };
    let in_it = |why: String| format!("\"{key}\": {why}");
    let (names, values): (Vec<&String>, Vec<&Value>) = match &step.what {
        What::Rename {
            from,
            to,
            yields_to,
        } => (from.iter().chain([to]).chain(yields_to).collect(), vec![]),
        What::Map { name, values } => (
            name.iter().collect(),
            values.iter().map(|(_, to)| to).collect(),
        ),
        What::Remove { name } => (name.iter().collect(), vec![]),
        What::Set {
            name,
            to,
            instead_of,
        } => (std::iter::once(name).chain(instead_of).collect(), vec![to]),
    };
    check_names(&step.inside, &names).map_err(in_it)?;
    if let Some(value) = values.into_iter().find(|value| scalar(value).is_none()) {
        return Err(in_it(format!(
            "{value} is no value for a parameter; text, a number, true or false is"
        )));
    }
    Ok(step)
}

fn condition(when: WhenEntry) -> Result<When, String> {
    let in_it = |why: String| format!("\"when\": {why}");
    let is: Option<Vec<String>> = when.is.iter().map(scalar).collect();
    let condition = When {
        inside: when.inside.into_iter().map(Names::all).collect(),
        name: when.name.all(),
        is: is.ok_or_else(|| in_it("\"is\" lists text, numbers, true or false".to_owned()))?,
    };
    check_names(
        &condition.inside,
        &condition.name.iter().collect::<Vec<_>>(),
    )
    .map_err(in_it)?;
    Ok(condition)
}

/// Names that a portal can see: PHP changes some at the top level.
fn check_names(inside: &[Vec<String>], own: &[&String]) -> Result<(), String> {
    let levels = inside.iter().map(|names| names.iter().collect::<Vec<_>>());
    for (depth, names) in levels.chain([own.to_vec()]).enumerate() {
        if names.is_empty() {
            return Err("a list of names is empty; name the parameter".to_owned());
        }
        for name in names {
            if !is_key(name) {
                return Err(format!(
                    "{name:?} cannot be a parameter's name here; for `a[b]` write \"inside\": [\"a\"] and the name b"
                ));
            }
            if name
                .parse::<i64>()
                .is_ok_and(|number| number.to_string() == **name)
            {
                return Err(format!(
                    "{name:?} is the place of an entry in a list, which has no name; name a parameter"
                ));
            }
            if depth == 0 && !is_top_level(name) {
                return Err(format!(
                    "a portal never sees the top-level parameter {name:?}: PHP makes it {:?}",
                    name.replace('.', "_")
                ));
            }
        }
    }
    Ok(())
}

/// What serde says, at its place in the file, with the key that was probably meant.
fn told(text: &str, at: usize, error: &serde_json::Error) -> ReadError {
    let (line, column) = place(text, at);
    let said = error.to_string();
    let mut message = match said.rfind(" at line ") {
        Some(end) => said[..end].to_owned(),
        None => said,
    };
    if let Some(rest) = message.strip_prefix("unknown field `")
        && let Some((unknown, expected)) = rest.split_once('`')
    {
        let known = expected.split('`').skip(1).step_by(2);
        let nearest = known
            .map(|name| (strsim::jaro_winkler(unknown, name), name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        message = match nearest {
            Some((_, name)) => format!("there is no \"{unknown}\" here; did you mean \"{name}\"?"),
            None => format!("there is no \"{unknown}\" here; docs/RULES.md lists what there is"),
        };
    } else if message.contains("untagged enum Names") {
        message = "a name is text in quotes, or a list of spellings".to_owned();
    }
    let own_line = error.line().max(1);
    ReadError {
        line: line + own_line - 1,
        column: if own_line == 1 {
            column + error.column().saturating_sub(1)
        } else {
            error.column().max(1)
        },
        message,
    }
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
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
    fn what_is_wrong_is_told_with_line_column_and_hint() {
        for (text, said) in [
            (
                "{\n  \"rules\": [\n    { \"method\": \"a\", \"sucessor\": \"b\" }\n  ]\n}",
                "line 3, column 31: there is no \"sucessor\" here; did you mean \"successor\"?",
            ),
            (
                "[\n\n  {\"method\": \"a\"}]",
                "line 3, column 3: a names no successor",
            ),
            (
                "[{\"method\": \"a b\", \"successor\": \"c\"}]",
                "line 1, column 2: \"a b\" is no method",
            ),
            (
                "[{\"method\": \"a\", \"successor\": \"c\", \"set\": [{\"name\": \"x.y\", \"to\": 1}]}]",
                "\"set\": a portal never sees the top-level parameter \"x.y\": PHP makes it \"x_y\"",
            ),
            (
                "[{\"method\": \"a\", \"successor\": \"c\", \"set\": [{\"name\": \"x\", \"to\": []}]}]",
                "\"set\": [] is no value",
            ),
            (
                "[{\"method\": \"a\", \"successor\": \"c\", \"remove\": [{\"name\": \"x[y]\"}]}]",
                "for `a[b]` write",
            ),
            (
                "[{\"method\": \"a\", \"successor\": \"c\", \"remove\": [{\"name\": \"7\", \"inside\": [\"x\"]}]}]",
                "\"7\" is the place of an entry in a list",
            ),
            (
                "[{\"method\": \"a\", \"successor\": \"c\", \"remove\": [{\"name\": 7}]}]",
                "a name is text in quotes",
            ),
            (
                "[{\"method\": \"a\", \"successor\": \"c\"},\n{\"method\": \"A\", \"successor\": \"c\"}]",
                "line 2, column 1: A has a rule already, at line 1",
            ),
            (
                "[{\"method\": \"a\", \"watched\": true, \"successor\": \"c\", \"remove\": [{\"name\": \"x\"}]}]",
                "is watched",
            ),
            ("[{\"method\": \"a\",}]", "line 1, column 17: "),
        ] {
            let why = complaint(text);
            assert!(why.contains(said), "{text}: {why}");
        }
    }
}
