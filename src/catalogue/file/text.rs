//! The text of a rule file: its parts with their places, and what is wrong with one, in our words.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::catalogue::read::ReadError;
use crate::nearest::nearest;
use crate::places::Places;

/// What is wrong, and the name in the file that it is about, where it is about one.
pub(super) struct Wrong {
    pub(super) about: Option<String>,
    pub(super) why: String,
}

impl Wrong {
    pub(super) fn of(about: &str, why: impl Into<String>) -> Self {
        Self {
            about: Some(about.to_owned()),
            why: why.into(),
        }
    }

    pub(super) fn inside(self, key: &str) -> Self {
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
pub(super) struct Text<'f> {
    pub(super) text: &'f str,
    pub(super) places: &'f Places<'f>,
}

impl<'f> Text<'f> {
    fn offset(self, part: &'f RawValue) -> usize {
        part.get().as_ptr() as usize - self.text.as_ptr() as usize
    }

    /// Reads a part.
    pub(super) fn read<T: Deserialize<'f>>(self, part: &'f RawValue) -> Result<T, ReadError> {
        serde_json::from_str(part.get()).map_err(|error| told(self.text, self.offset(part), &error))
    }

    pub(super) fn place(self, part: &'f RawValue) -> (usize, usize) {
        self.places.of(self.offset(part))
    }

    /// What is wrong with a part, at its place.
    pub(super) fn wrong(self, part: &'f RawValue, wrong: impl Into<Wrong>) -> ReadError {
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

/// What serde says, at its place in the file, in our words, with the key that was probably meant.
pub(super) fn told(text: &str, at: usize, error: &serde_json::Error) -> ReadError {
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
        return match nearest(unknown, known) {
            Some(name) => format!("there is no \"{unknown}\" here; did you mean \"{name}\"?"),
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
