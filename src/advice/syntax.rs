//! How each language writes a value; whatever it holds stays a value (pure).

use super::parameters::{Parameters, Value};

/// The parts in which the languages differ.
pub(super) struct Syntax {
    pub(super) quote: fn(&str) -> String,
    /// Writes a name; some languages need no quotes for a plain one.
    pub(super) key: fn(&str) -> String,
    open: &'static str,
    close: &'static str,
    arrow: &'static str,
    indent: &'static str,
    pub(super) comment: &'static str,
}

pub(super) const PHP: Syntax = Syntax {
    quote: single_quoted,
    key: single_quoted,
    open: "[",
    close: "]",
    arrow: " => ",
    indent: "    ",
    comment: "//",
};

pub(super) const JAVASCRIPT: Syntax = Syntax {
    quote: single_quoted,
    key: javascript_key,
    open: "{",
    close: "}",
    arrow: ": ",
    indent: "  ",
    comment: "//",
};

pub(super) const PYTHON: Syntax = Syntax {
    quote: double_quoted,
    key: double_quoted,
    open: "{",
    close: "}",
    arrow: ": ",
    indent: "    ",
    comment: "#",
};

impl Syntax {
    /// The parameters as a literal whose lines are indented by `depth`, with a word on all that are not shown, where there
    /// are such.
    pub(super) fn literal(
        &self,
        parameters: &Parameters,
        rest: Option<&str>,
        depth: usize,
    ) -> String {
        let inner = self.indent.repeat(depth + 1);
        let mut lines: Vec<String> = self.members(parameters, depth);
        lines.extend(rest.map(|rest| format!("{inner}{} {rest}", self.comment)));
        if lines.is_empty() {
            return format!("{}{}", self.open, self.close);
        }
        format!(
            "{}\n{}\n{}{}",
            self.open,
            lines.join("\n"),
            self.indent.repeat(depth),
            self.close
        )
    }

    fn members(&self, parameters: &Parameters, depth: usize) -> Vec<String> {
        let inner = self.indent.repeat(depth + 1);
        let members = parameters.0.iter();
        members
            .map(|(name, value)| {
                format!(
                    "{inner}{}{}{},",
                    (self.key)(name),
                    self.arrow,
                    self.value(value, depth + 1)
                )
            })
            .collect()
    }

    fn value(&self, value: &Value, depth: usize) -> String {
        match value {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => (self.quote)(text),
            Value::Map(map) => self.literal(map, None, depth),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item, depth)).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

/// The parameters as one line of JSON.
pub(super) fn json(parameters: &Parameters) -> serde_json::Value {
    let members = parameters.0.iter();
    let members = members.map(|(name, value)| (name.clone(), json_value(value)));
    serde_json::Value::Object(members.collect())
}

fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Map(map) => json(map),
        Value::List(items) => items.iter().map(json_value).collect(),
    }
}

/// A word of a shell's command.
pub(super) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

fn double_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

fn javascript_key(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    // `__proto__: x` would set the prototype; quoted it does too, computed it does not.
    match name {
        "__proto__" => "['__proto__']".to_owned(),
        _ if plain => name.to_owned(),
        _ => single_quoted(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_do_not_end_a_literal() {
        assert_eq!(shell("a'b"), r"'a'\''b'");
        assert_eq!((PHP.quote)(r"a'\'b"), r"'a\'\\\'b'");
        assert_eq!((PYTHON.quote)(r#"a"\b"#), r#""a\"\\b""#);
        assert_eq!((JAVASCRIPT.key)("a.b"), "'a.b'");
        assert_eq!((JAVASCRIPT.key)("__proto__"), "['__proto__']");
    }

    #[test]
    fn a_literal_is_laid_out_as_its_language_does() {
        let changes = [
            "entityTypeId is set to 1",
            "x is now extras[leadCustomerType]",
        ];
        let changes: Vec<String> = changes.iter().map(|&c| c.to_owned()).collect();
        let parameters = Parameters::of_rule(None, &changes);
        assert_eq!(
            PHP.literal(&parameters, Some("every other parameter stays as it is"), 0),
            "[\n    'entityTypeId' => 1,\n    'extras' => [\n        'leadCustomerType' => 'AS_BEFORE',\n    ],\n    \
             // every other parameter stays as it is\n]"
        );
        assert_eq!(
            json(&parameters).to_string(),
            r#"{"entityTypeId":1,"extras":{"leadCustomerType":"AS_BEFORE"}}"#
        );
    }
}
