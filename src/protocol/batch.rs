//! The commands of a batch (PROTOCOL §5): which of them run, in which order, and where they stand.
use super::json::{self, Kind, Value};
use super::name::{Name, Wanted};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// As many commands of a batch run; later ones are dropped.
const MOST: usize = 50;

/// The top-level key that holds the commands: in any case of its letters.
pub fn cmd() -> Wanted<'static> {
    Wanted::in_any_case(b"cmd")
}

/// The key of a command inside the batch `outer`, for a log: `outer/inner`, cut where it gets long, since a key can stand
/// before many more.
pub fn full_key(outer: Option<&str>, key: &[u8]) -> String {
    const LONGEST: usize = 512;
    let key = String::from_utf8_lossy(&key[..key.len().min(LONGEST)]);
    let mut full = match outer {
        Some(outer) => format!("{outer}/{key}"),
        None => key.into_owned(),
    };
    full.truncate(full.floor_char_boundary(LONGEST));
    full
}

/// A command's text as the portal splits it: control characters are underscores.
pub fn as_address(mut command: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if command.iter().any(u8::is_ascii_control) {
        for byte in command
            .to_mut()
            .iter_mut()
            .filter(|byte| byte.is_ascii_control())
        {
            *byte = b'_';
        }
    }
    command
}

/// The commands under one spelling of `cmd`, as PHP builds the array: a key keeps the place where it came first, and has
/// the value that came last.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    entries: Vec<(Vec<u8>, Option<Range<usize>>)>,
    places: HashMap<Vec<u8>, usize>,
    next: i64,
}

impl Commands {
    /// The commands that run: their keys, and where they stand. Entries that are no strings are counted and passed over.
    pub fn that_run(&self) -> impl Iterator<Item = (&[u8], Range<usize>)> {
        self.entries
            .iter()
            .filter_map(|(key, command)| Some((key.as_slice(), command.clone()?)))
    }

    /// The commands of a JSON value that `json::read` has checked: strings without their quotes.
    pub fn of_json(bytes: &[u8], cmd: &Value) -> Self {
        let mut commands = Self::default();
        let is_list = cmd.kind == Kind::List;
        // Of a list nothing behind the last that runs can matter; of an object a key can come again.
        let most = if is_list { MOST } else { usize::MAX };
        for (index, member) in json::members(bytes, cmd).take(most).enumerate() {
            let key = if is_list {
                Cow::Owned(index.to_string().into_bytes())
            } else {
                json::text(bytes, &member.key)
            };
            let command =
                (member.value.kind == Kind::String).then(|| json::inside(&member.value.span));
            commands.put(&key, command);
        }
        commands
    }

    /// Takes the next field of a form whose top-level key is this spelling of `cmd`; its value stands at `value`.
    pub fn take_field(&mut self, name: &Name, value: Range<usize>) {
        if name.is_too_deep() || name.keys().len() == 1 {
            *self = Self::default();
            return;
        }
        let next;
        let key = match name.key(1) {
            Some(key) => key,
            None => {
                next = self.next.to_string().into_bytes();
                &next
            }
        };
        if let Some(number) = number(key) {
            self.next = self.next.max(number.saturating_add(1));
        }
        self.put(key, (name.keys().len() == 2).then_some(value));
    }

    /// Keeps as many entries as run: a later one cannot come before them any more. A few are quicker searched than hashed;
    /// when they are full they are hashed, as many more may come.
    fn put(&mut self, key: &[u8], command: Option<Range<usize>>) {
        let place = if self.entries.len() < MOST {
            self.entries.iter().position(|(known, _)| known == key)
        } else {
            self.places.get(key).copied()
        };
        if let Some(place) = place {
            self.entries[place].1 = command;
        } else if self.entries.len() < MOST {
            self.entries.push((key.to_vec(), command));
            if self.entries.len() == MOST {
                let numbered = self.entries.iter().enumerate();
                self.places = numbered
                    .map(|(place, (key, _))| (key.clone(), place))
                    .collect();
            }
        }
    }
}

/// The number that PHP makes of a key: only of one that is written as PHP writes numbers.
fn number(key: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(key).ok()?;
    text.parse::<i64>()
        .ok()
        .filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_json(text: &str) -> Vec<(String, &str)> {
        let value = json::read(text.as_bytes(), |_| {}).unwrap();
        shown(text, &Commands::of_json(text.as_bytes(), &value))
    }

    fn shown<'t>(text: &'t str, commands: &Commands) -> Vec<(String, &'t str)> {
        commands
            .that_run()
            .map(|(key, at)| (String::from_utf8_lossy(key).into_owned(), &text[at]))
            .collect()
    }

    #[test]
    fn commands_of_json_are_strings_of_an_object_or_list() {
        assert_eq!(
            of_json(r#"{"a":"x","b":1,"\u0061":"y"}"#),
            [("a".into(), "y")]
        );
        assert_eq!(
            of_json(r#"["x",null,"y"]"#),
            [("0".into(), "x"), ("2".into(), "y")]
        );
        assert_eq!(of_json(r#""x""#), []);
    }

    #[test]
    fn fifty_entries_count_whatever_they_are() {
        let list = format!("[{}\"last\",\"late\"]", "1,".repeat(49));
        assert_eq!(of_json(&list), [("49".into(), "last")]);
    }

    #[test]
    fn commands_of_a_form_are_put_together_as_php_does() {
        let text = "0123456789";
        let mut commands = Commands::default();
        for (at, name) in [
            "cmd[z]",
            "cmd",
            "cmd[a]",
            "cmd[7]",
            "cmd[]",
            "cmd[a]",
            "cmd[7][x]",
            "cmd[07]",
            "cmd[]",
        ]
        .iter()
        .enumerate()
        {
            commands.take_field(&Name::read(name.as_bytes()).unwrap(), at..at + 1);
        }
        let expected = [("a", "5"), ("8", "4"), ("07", "7"), ("9", "8")];
        assert_eq!(
            shown(text, &commands),
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }
}
