//! Rules as they are written down, read and checked.
use super::rule::{Rename, Rule, RuleKind, Set};
use serde::Deserialize;
use std::fmt;

/// An exact rule as `rules.json` has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    method: String,
    successor: String,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    set: Vec<Set>,
    #[serde(default)]
    rename: Vec<Rename>,
    #[serde(default)]
    reads: Vec<String>,
    deprecated: Option<String>,
    sunset: Option<String>,
    documentation: Option<String>,
}

/// What is wrong with written rules, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1; 0 where it is the line as a whole.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

impl std::error::Error for ReadError {}

/// Reads exact rules: a JSON list as in `rules.json`.
///
/// # Errors
/// Where it is no such list, a name is not one that a portal could have, or a value is no scalar.
pub fn read_rules(json: &str) -> Result<Vec<Rule>, ReadError> {
    let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| ReadError {
        line: error.line(),
        column: error.column(),
        message: error.to_string(),
    })?;
    entries
        .into_iter()
        .map(|entry| checked(entry, json))
        .collect()
}

fn checked(entry: Entry, json: &str) -> Result<Rule, ReadError> {
    let wrong = |message: String| {
        let line = json
            .lines()
            .position(|line| line.contains(&format!("\"{}\"", entry.method)))
            .unwrap_or(0);
        Err(ReadError {
            line: line + 1,
            column: 0,
            message,
        })
    };
    for method in [&entry.method, &entry.successor] {
        if !is_method(method) {
            return wrong(format!(
                "{method:?} is not a method: letters, digits, dots, `_` and `-`"
            ));
        }
    }
    for set in &entry.set {
        if set.to.is_null() || set.to.is_array() || set.to.is_object() {
            return wrong(format!(
                "`{}` can be set to text, a number, true or false only",
                set.name
            ));
        }
    }
    let top_names = entry
        .set
        .iter()
        .flat_map(Set::names)
        .chain(entry.rename.iter().flat_map(top_level_names));
    if let Some(name) = top_names.into_iter().find(|name| !is_top_level(name)) {
        return wrong(format!(
            "a portal never sees the top-level parameter {name:?}: PHP changes such a name"
        ));
    }
    if let Some(rename) = entry
        .rename
        .iter()
        .find(|rename| !is_key(&rename.from) || !is_key(&rename.to))
    {
        return wrong(format!(
            "{:?} and {:?}: a name in brackets is printable ASCII without brackets",
            rename.from, rename.to
        ));
    }
    Ok(Rule {
        id: 0,
        method: entry.method,
        replacement: Some(entry.successor),
        kind: RuleKind::Exact,
        read_only: entry.read_only,
        set: entry.set,
        rename: entry.rename,
        steps: Vec::new(),
        reads: entry.reads,
        migration: None,
        deprecated: entry.deprecated,
        sunset: entry.sunset,
        documentation: entry.documentation,
    })
}

/// A method's name as an address or a batch has it.
pub(super) fn check_method(method: &str) -> Result<(), String> {
    let format = method.rsplit_once('.').map_or("", |(_, format)| format);
    if !is_method(method) || method.split('.').any(str::is_empty) {
        return Err(format!(
            "{method:?} is not a method: letters, digits, dots between them, `_` and `-`"
        ));
    }
    if ["json", "xml"]
        .iter()
        .any(|name| format.eq_ignore_ascii_case(name))
    {
        return Err(format!(
            "{method:?} ends in a format, which each call has as it likes; leave .{format} out"
        ));
    }
    if method.eq_ignore_ascii_case("batch") {
        return Err("a batch has no rule; its commands have, each by its own method".to_owned());
    }
    Ok(())
}

/// A page of the documentation, by its path or its address.
pub(super) fn page(text: String) -> Result<String, String> {
    let path = text
        .strip_prefix("https://apidocs.bitrix24.com/")
        .unwrap_or(&text);
    let path = path.strip_suffix(".html").unwrap_or(path);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    if path.is_empty() || path.starts_with('/') || !path.bytes().all(fits) {
        return Err(format!(
            "{text:?} is not a page of the documentation; write its path below https://apidocs.bitrix24.com/, as \
             api-reference/crm/leads/crm-lead-list"
        ));
    }
    Ok(path.to_owned())
}

pub(super) fn is_method(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

pub(super) fn is_key(name: &str) -> bool {
    let means_something = |b: u8| b"[]\"'\\;&=%+#?".contains(&b);
    // PHP keeps these for cookies, and drops such a key inside brackets.
    let is_kept = ["__Host-", "__Secure-"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    !name.is_empty()
        && !is_kept
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && !means_something(b))
}

pub(super) fn is_top_level(name: &str) -> bool {
    is_key(name) && !name.contains('.')
}

fn top_level_names(rename: &Rename) -> Vec<&str> {
    match rename.inside.first() {
        Some(spellings) => spellings.iter().map(String::as_str).collect(),
        None => vec![&rename.from, &rename.to],
    }
}

/// Reads watched methods: a table with tabs and a heading, as `watched.tsv`: method, replacement, date, page.
///
/// # Errors
/// Where a line has not four fields or no method.
pub fn read_watched(table: &str) -> Result<Vec<Rule>, ReadError> {
    let text = |field: &str| Some(field.to_owned()).filter(|field| !field.is_empty());
    let line = |(at, line): (usize, &str)| match line.split('\t').collect::<Vec<_>>()[..] {
        [method, replacement, since, page] if is_method(method) => Ok(Rule {
            method: method.to_owned(),
            replacement: text(replacement),
            deprecated: text(since),
            documentation: text(page),
            ..Rule::default()
        }),
        _ => Err(ReadError {
            line: at + 1,
            column: 0,
            message: "not method, replacement, date, page".into(),
        }),
    };
    table.lines().enumerate().skip(1).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_that_ship_are_read() {
        let rules = read_rules(include_str!("rules.json")).unwrap();
        assert_eq!(rules.len(), 16);
        assert_eq!(
            rules.iter().filter(|rule| !rule.rename.is_empty()).count(),
            2
        );
        assert_eq!(rules.iter().filter(|rule| rule.read_only).count(), 4);
        let watched = read_watched(include_str!("watched.tsv")).unwrap();
        for rule in &rules {
            let listed = watched
                .iter()
                .find(|listed| listed.method == rule.method)
                .unwrap();
            assert_eq!(
                (&listed.replacement, &listed.documentation),
                (&rule.replacement, &rule.documentation)
            );
            assert_eq!(listed.deprecated, rule.deprecated);
        }
    }

    #[test]
    fn a_wrong_rule_is_told_with_its_line() {
        let error = |text: &str| read_rules(text).unwrap_err();
        assert_eq!(
            error("[\n{\"method\": \"a b\", \"successor\": \"c\"}]").line,
            2
        );
        assert!(
            error("[{\"method\":\"a\",\"successor\":\"b\",\"sett\":[]}]")
                .message
                .contains("sett")
        );
        let set = |name: &str, to: &str| {
            format!(
                "[{{\"method\":\"a\",\"successor\":\"b\",\"set\":[{{\"name\":\"{name}\",\"to\":{to}}}]}}]"
            )
        };
        assert!(error(&set("x", "[]")).message.contains("`x` can be set"));
        assert!(error(&set("x.y", "1")).message.contains("never sees"));
        assert!(read_rules(&set("x", "true")).is_ok());
        assert_eq!(read_watched("head\na\tb\n").unwrap_err().line, 2);
    }
}
