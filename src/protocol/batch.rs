//! The commands of a batch (PROTOCOL §5): which of them run, in which order, and where they stand.
use super::hash;
use super::json::{self, Kind, Member};
use super::name::{Name, Wanted};
use std::borrow::Cow;
use std::ops::Range;

/// As many commands of a batch run; later ones are dropped.
const MOST: usize = 50;

/// The top-level key that holds the commands.
pub const CMD: &[u8] = b"cmd";

/// The same as it is looked for: in any case of its letters.
pub fn cmd() -> Wanted<'static> {
    Wanted::in_any_case(CMD)
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

/// Where a command's method stands. What looks like the scheme of a URL before it is lost: the portal has commands split
/// by PHP's `parse_url`, so that `x:crm.lead.list` runs `crm.lead.list`.
pub fn method(command: &[u8]) -> Range<usize> {
    let end = memchr::memchr2(b'?', b'#', command).unwrap_or(command.len());
    let may_be_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    match memchr::memchr(b':', &command[..end]) {
        Some(colon) if colon > 0 && command[..colon].iter().all(may_be_scheme) => colon + 1..end,
        _ => 0..end,
    }
}

/// The commands under one spelling of `cmd`, as PHP builds the array: a key keeps the place where it came first, and has
/// the value that came last.
#[derive(Clone, Debug, Default)]
pub struct Commands<'a> {
    entries: Vec<(Key<'a>, Option<Range<usize>>)>,
    places: Places,
    next: i64,
}

/// A command's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// Of an object or a form.
    Text(Cow<'a, [u8]>),
    /// Of a list: the place in it.
    Place(usize),
}

impl Key<'_> {
    /// The key as text.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Key::Text(text) => Cow::Borrowed(text),
            Key::Place(place) => Cow::Owned(place.to_string().into_bytes()),
        }
    }
}

impl<'a> Commands<'a> {
    /// The commands that run: their keys, and where they stand. Entries that are no strings are counted and passed over.
    pub fn that_run(&self) -> impl Iterator<Item = (&Key<'a>, Range<usize>)> {
        self.entries
            .iter()
            .filter_map(|(key, command)| Some((key, command.clone()?)))
    }

    /// Takes the next member or entry of a JSON value: a string without its quotes.
    pub fn take_member(&mut self, bytes: &'a [u8], member: &Member) {
        let is_string = member.value.kind == Kind::String;
        let command = is_string.then(|| json::inside(&member.value.span));
        if !member.key.is_empty() {
            self.put(json::text(bytes, &member.key), command);
        } else if self.entries.len() < MOST {
            let place = self.entries.len();
            self.entries.push((Key::Place(place), command));
        }
    }

    /// Takes the next field of a form whose top-level key is this spelling of `cmd`; its value stands at `value`.
    pub fn take_field(&mut self, name: &Name, value: Range<usize>) {
        if name.is_too_deep() || name.keys().len() == 1 {
            *self = Self::default();
            return;
        }
        let key = match name.key(1) {
            Some(key) => key.to_vec(),
            None => self.next.to_string().into_bytes(),
        };
        self.count(&key);
        self.put(Cow::Owned(key), (name.keys().len() == 2).then_some(value));
    }

    /// The same for a field whose name is `cmd[key]`.
    pub fn take_keyed(&mut self, key: &'a [u8], value: Range<usize>) {
        self.count(key);
        self.put(Cow::Borrowed(key), Some(value));
    }

    /// Counts a key that is a number: the next one without a key gets one more.
    fn count(&mut self, key: &[u8]) {
        if let Some(number) = number(key) {
            self.next = self.next.max(number.saturating_add(1));
        }
    }

    /// Keeps as many entries as run: a later one cannot come before them any more.
    fn put(&mut self, key: Cow<'a, [u8]>, command: Option<Range<usize>>) {
        let entries = &mut self.entries;
        if entries.len() == entries.capacity() {
            // Most batches have a few commands or as many as run.
            entries.reserve_exact(if entries.is_empty() { 6 } else { MOST });
        }
        let is_at = |place: usize| matches!(&entries[place].0, Key::Text(known) if *known == key);
        match self.places.find(&key, is_at) {
            Slot::Of(place) => entries[place].1 = command,
            Slot::Free(slot) if entries.len() < MOST => {
                self.places.0[slot] = entries.len() as u8 + 1;
                entries.push((Key::Text(key), command));
            }
            Slot::Free(_) => {}
        }
    }
}

/// Where entries stand, found by their keys: open addressing with more slots than ever are taken. Whoever makes keys fall
/// together makes each be compared with the [`MOST`] others, no more.
#[derive(Clone, Debug)]
struct Places([u8; 128]);

impl Default for Places {
    fn default() -> Self {
        Self([0; 128])
    }
}

/// What [`Places`] have for a key.
enum Slot {
    /// The place of its entry.
    Of(usize),
    /// The slot that it can take.
    Free(usize),
}

impl Places {
    /// The entry with this key, for which `is_at` says yes, or where it can be noted.
    fn find(&self, key: &[u8], is_at: impl Fn(usize) -> bool) -> Slot {
        let mut slot = (hash::of(key) >> 57) as usize;
        loop {
            match self.0[slot] {
                0 => return Slot::Free(slot),
                place if is_at(usize::from(place) - 1) => return Slot::Of(usize::from(place) - 1),
                _ => slot = (slot + 1) % 128,
            }
        }
    }
}

/// The number that PHP makes of a key: only of one that is written as PHP writes numbers.
fn number(key: &[u8]) -> Option<i64> {
    key.first()
        .filter(|first| matches!(first, b'-' | b'0'..=b'9'))?;
    let text = std::str::from_utf8(key).ok()?;
    text.parse::<i64>()
        .ok()
        .filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_scheme_before_a_method_is_lost() {
        for (command, name) in [
            ("crm.lead.list?a=1", "crm.lead.list"),
            ("x:crm.lead.list?a=1", "crm.lead.list"),
            ("a-1.+:crm.lead.list#b", "crm.lead.list"),
            ("x:y:crm.lead.list", "y:crm.lead.list"),
            ("x_y:crm.lead.list", "x_y:crm.lead.list"),
            (":crm.lead.list", ":crm.lead.list"),
            ("crm.lead.list?a=x:1", "crm.lead.list"),
            ("//host/crm.lead.list?a", "//host/crm.lead.list"),
        ] {
            let found = &command.as_bytes()[method(command.as_bytes())];
            assert_eq!(String::from_utf8_lossy(found), name, "{command}");
        }
    }

    fn of_json(text: &str) -> Vec<(String, &str)> {
        let mut commands = Commands::default();
        json::read(text.as_bytes(), |member| {
            commands.take_member(text.as_bytes(), &member)
        })
        .unwrap();
        shown(text, &commands)
    }

    fn shown<'t>(text: &'t str, commands: &Commands<'_>) -> Vec<(String, &'t str)> {
        commands
            .that_run()
            .map(|(key, at)| (String::from_utf8_lossy(&key.text()).into_owned(), &text[at]))
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
