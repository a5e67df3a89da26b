//! A name joined from a list by dots (pure): `['crm', 'lead', 'get'].join('.')`, `implode('.', [ENTITY, 'list'])`, and a list that
//! a constant holds: `const PARTS = ['crm', 'lead', 'get']; … PARTS.join('.')`.

use std::ops::Range;

use super::constants::{constant, holder};
use super::names::{Names, is_word};
use super::pieces::{Ending, Name, Text, blanks, identifier, quote};

/// The elements of one list at most; no method has as many segments.
const MOST_PIECES: usize = 8;

/// What opens a list that is joined by dots, without blanks and with one kind of quote.
const JOINED_BEFORE: [&str; 9] = [
    "implode('.',[",
    "implode('.',array(",
    "'.'.join([",
    "'.'.join((",
    "join('.',",
    "join('.',[",
    "join('.',array(",
    "join('.',new[]{",
    "join('.',newstring[]{",
];

/// A list as far as it is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    /// The certain elements, joined by dots.
    name: String,
    /// Whether an element follows that is known only at run time.
    dynamic: bool,
    /// Its closing bracket.
    close: usize,
}

/// A list that a name holds, in the text that declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The name.
    pub name: String,
    /// Whether it holds that list everywhere.
    pub sure: bool,
    list: List,
}

/// The name that a list is joined to whose first element is read: its value, the element with its quotes.
pub fn joined(text: &Text<'_>, value: &str, element: &Range<usize>, names: &Names) -> Option<Name> {
    let list = list(text, value, element.end)?;
    let before = compact(&text.bytes[element.start.saturating_sub(60)..element.start]);
    let a_path = before.ends_with("path.join('.',");
    let joins = (JOINED_BEFORE.iter().any(|way| before.ends_with(way)) && !a_path)
        || is_joined_behind(text.bytes, list.close + 1);
    joins.then(|| name(&list, list.close, names))?
}

/// The list that a name is given, if the literal that begins at `start` is its first element.
pub fn held(text: &Text<'_>, start: usize) -> Option<Held> {
    let bytes = text.bytes;
    let before = start.checked_sub(1).map(|at| bytes[at])?;
    if !matches!(before, b'\'' | b'"' | b'`') {
        return None;
    }
    let length = word(&bytes[start..]);
    let after = start + length + quote(&bytes[start + length..])?;
    let value = lower(&bytes[start..start + length]);
    let before = &bytes[start.saturating_sub(120)..start - 1];
    let line = before[before
        .iter()
        .rposition(|b| *b == b'\n' || *b == b';')
        .map_or(0, |at| at + 1)..]
        .trim_ascii_end();
    let line = ["[", "array(", "(", "{"]
        .iter()
        .find_map(|open| line.strip_suffix(open.as_bytes()))?;
    let line = line.trim_ascii_end().strip_suffix(b"=")?;
    let list = list(text, &value, after)?;
    let (name, sure) = holder(text, line)?;
    Some(Held { name, sure, list })
}

/// Where a list that a name holds is joined by dots, and to which name.
pub fn uses(text: &Text<'_>, held: &Held, names: &Names) -> Vec<(usize, Name)> {
    let bytes = text.bytes;
    let joined = text.words(&held.name).filter_map(|at| {
        let after = at + held.name.len();
        let before = compact(&bytes[at.saturating_sub(40)..at]);
        let before = before
            .trim_end_matches('$')
            .trim_end_matches("self::")
            .trim_end_matches("static::");
        let closes = bytes.get(after + blanks(&bytes[after..])) == Some(&b')');
        let joins = is_joined_behind(bytes, after)
            || (closes
                && ["implode('.',", "join('.',", "'.'.join("]
                    .iter()
                    .any(|way| before.ends_with(way)));
        if !joins {
            return None;
        }
        let mut name = name(&held.list, after, names)?;
        if !held.sure {
            let begins = held.list.name.clone();
            name.ending = Ending::Dynamic { begins };
        }
        Some((at, name))
    });
    joined.collect()
}

/// What a list makes that is joined by dots.
fn name(list: &List, end: usize, names: &Names) -> Option<Name> {
    let ending = if list.dynamic {
        let begins = format!("{}.", list.name);
        names
            .go_on_from(&begins)
            .then_some(Ending::Dynamic { begins })?
    } else {
        Ending::Whole {
            known: names.find(&list.name)?,
            joined: true,
        }
    };
    Some(Name { end, ending })
}

/// The list whose first element has this value and ends at `at`, if it has two elements or more.
fn list(text: &Text<'_>, first: &str, mut at: usize) -> Option<List> {
    let bytes = text.bytes;
    let mut list = List {
        name: first.to_owned(),
        dynamic: false,
        close: 0,
    };
    let mut pieces = 1;
    loop {
        at += blanks(&bytes[at..]);
        match bytes.get(at)? {
            b',' => at += 1 + blanks(&bytes[at + 1..]),
            b']' | b')' | b'}' if pieces > 1 => {
                list.close = at;
                return Some(list);
            }
            _ => return None,
        }
        let rest = &bytes[at..];
        if matches!(rest.first()?, b']' | b')' | b'}') {
            continue;
        }
        pieces += 1;
        if pieces > MOST_PIECES {
            return None;
        }
        match element(text, rest) {
            Some((value, length)) => {
                list.name.push('.');
                list.name.push_str(&value);
                at += length;
            }
            None => {
                list.dynamic = true;
                list.close = at + closing(rest)?;
                return Some(list);
            }
        }
    }
}

/// A literal or a constant that is a whole element of a list: its value and length.
fn element(text: &Text<'_>, rest: &[u8]) -> Option<(String, usize)> {
    let (value, length) = match quote(rest) {
        Some(open) => {
            let length = word(&rest[open..]);
            let close = quote(&rest[open + length..])?;
            let value = lower(&rest[open..open + length]);
            (value, open + length + close)
        }
        None => {
            let length = identifier(rest);
            (constant(text, &rest[..length])?, length)
        }
    };
    let next = rest.get(length + blanks(&rest[length..]))?;
    (!value.is_empty() && matches!(next, b',' | b']' | b')' | b'}')).then_some((value, length))
}

/// Where the bracket stands that closes what is open at the beginning of this text.
fn closing(rest: &[u8]) -> Option<usize> {
    let mut depth = 0_u32;
    rest.iter().take(200).position(|b| {
        match b {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' if depth == 0 => return true,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        false
    })
}

/// Whether `.join('.')` stands here.
fn is_joined_behind(bytes: &[u8], at: usize) -> bool {
    let from = at.min(bytes.len());
    compact(&bytes[from..bytes.len().min(from + 40)]).starts_with(".join('.')")
}

/// Lower-cased, without blanks and escapes, with one kind of quote.
fn compact(text: &[u8]) -> String {
    text.iter()
        .filter(|b| !b.is_ascii_whitespace() && **b != b'\\')
        .map(|b| match b {
            b'"' | b'`' => '\'',
            b => b.to_ascii_lowercase() as char,
        })
        .collect()
}

fn word(text: &[u8]) -> usize {
    text.iter()
        .take_while(|b| is_word(**b) || **b == b'.')
        .count()
}

fn lower(text: &[u8]) -> String {
    String::from_utf8_lossy(text).to_ascii_lowercase()
}
