//! A name put together from pieces (pure): `'crm.lead' . '.get'`, `"crm." + "lead.get"`, `['crm', 'lead', 'get'].join('.')`,
//! `` `${CRM_LEAD}.get` ``. Only what is certain counts: literals, and constants that this text declares once, as constants
//! (`const`, `define`, `final`, `readonly`, `static`, or a name in capitals at a line's beginning): in capitals, or declared by
//! a word that lets nothing else be assigned, and no parameter's name. A variable, a function's parameter or another file's
//! constant is not: such a name is said to be dynamic.
//!
//! No language is parsed. What is read begins at a piece that begins a known name and goes on only over a closing quote,
//! an operator that concatenates, and the next piece; so an apostrophe in a comment cannot lead it astray.

use std::ops::Range;

use super::arrays;
use super::constants::{Beginning, Constant, constant};
use super::names::{Names, is_word};
use super::pieces::{
    Ending, Language, Name, Text, blanks, identifier, is_in_capitals, operator, quote,
};

/// Reads the name that begins at `start`, inside a literal or plain text.
pub fn read(text: &Text<'_>, start: usize, names: &Names) -> Name {
    if let Some(name) = in_list(text, start, names) {
        return name;
    }
    let beginning = Beginning {
        start,
        after: start,
        inside: true,
    };
    read_on(text, &beginning, "", names)
}

/// Reads a literal that is the first element of a list joined by dots.
fn in_list(text: &Text<'_>, start: usize, names: &Names) -> Option<Name> {
    let bytes = text.bytes;
    let length = bytes[start..]
        .iter()
        .take_while(|b| is_word(**b) || **b == b'.')
        .count();
    let close = quote(&bytes[start + length..])?;
    let before = &bytes[..start.checked_sub(1)?];
    let escapes = before.iter().rev().take_while(|b| **b == b'\\').count();
    let value = String::from_utf8_lossy(&bytes[start..start + length]).to_ascii_lowercase();
    let element = start - 1 - escapes..start + length + close;
    arrays::joined(text, &value, &element, names)
}

/// Reads the name that a constant or variable begins. What a variable's value makes is possible, not certain.
pub fn read_use(text: &Text<'_>, start: &Beginning, constant: &Constant, names: &Names) -> Name {
    let mut name = read_on(text, start, &constant.value, names);
    if name.ending == Ending::Other && start.inside {
        // `$x . '.get'` is no text of a literal.
        let outside = Beginning {
            inside: false,
            ..start.clone()
        };
        name = read_on(text, &outside, &constant.value, names);
    }
    let capitals = is_in_capitals(constant.name.as_bytes());
    let vague = |begins: &str| !constant.sure || !(capitals || begins.contains('.'));
    name.ending = match name.ending {
        Ending::Whole { .. } if !constant.sure => Ending::Dynamic {
            begins: constant.value.clone(),
        },
        Ending::Dynamic { begins } if vague(&begins) => Ending::Other,
        ending => ending,
    };
    name
}

/// Reads on from a constant that begins a name.
fn read_on(text: &Text<'_>, beginning: &Beginning, value: &str, names: &Names) -> Name {
    let element = beginning.start..beginning.after;
    if !value.is_empty()
        && !beginning.inside
        && let Some(name) = arrays::joined(text, value, &element, names)
    {
        return name;
    }
    let mut reader = Reader {
        text,
        name: value.to_owned(),
        joined: !value.is_empty(),
        at: beginning.after,
        dynamic: false,
    };
    let mut inside = beginning.inside;
    loop {
        if inside {
            reader.take_characters();
        }
        let whole = names.find(trimmed(&reader.name)).is_some();
        let next = if inside {
            reader.next_inside(whole)
        } else {
            reader.next_outside(whole)
        };
        match next {
            Some(goes_on_inside) => inside = goes_on_inside,
            None => break,
        }
    }
    reader.finish(beginning.start, names)
}

/// A name without a trailing dot or format.
fn trimmed(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    name.strip_suffix(".json")
        .or_else(|| name.strip_suffix(".xml"))
        .unwrap_or(name)
}

struct Reader<'r, 't> {
    text: &'r Text<'t>,
    name: String,
    joined: bool,
    at: usize,
    dynamic: bool,
}

impl<'t> Reader<'_, 't> {
    fn rest(&self) -> &'t [u8] {
        &self.text.bytes[self.at..]
    }

    fn take_characters(&mut self) {
        let length = self
            .rest()
            .iter()
            .take_while(|b| is_word(**b) || **b == b'.')
            .count();
        let taken = &self.rest()[..length];
        self.name
            .extend(taken.iter().map(|b| b.to_ascii_lowercase() as char));
        self.at += length;
    }

    /// What follows the characters of a name inside a literal: an interpolation, or the literal's end. Says whether the
    /// name goes on, and if so whether inside a literal.
    fn next_inside(&mut self, whole: bool) -> Option<bool> {
        if let Some(interpolation) = interpolation(self.rest()) {
            if whole {
                return None;
            }
            let expression = &self.rest()[interpolation.expression];
            match constant(self.text, expression) {
                Some(value) => {
                    self.name.push_str(&value);
                    self.joined = true;
                    self.at += interpolation.end;
                    return Some(true);
                }
                None => {
                    self.dynamic = true;
                    return None;
                }
            }
        }
        let quote = quote(self.rest())?;
        let close = self.at;
        self.at += quote;
        let next = self.next_outside(whole);
        if next.is_none() {
            self.at = close;
        }
        next
    }

    /// What follows outside a literal: an operator and a piece.
    fn next_outside(&mut self, whole: bool) -> Option<bool> {
        let rest = self.rest();
        let blank = blanks(rest);
        let (operator, spaced) = match operator(&rest[blank..]) {
            Some(operator) => (operator, blank > 0),
            None => {
                let adjacent = match self.text.language {
                    Language::Python => true,
                    Language::Shell => blank == 0,
                    Language::Other => false,
                };
                let next = &rest[blank..];
                let literal = literal_prefix(next) + quote(&next[literal_prefix(next)..])?;
                let starts = next.get(literal).copied();
                if adjacent && starts.is_some_and(|b| is_word(b) || b == b'.') {
                    self.joined = true;
                    self.at += blank + literal;
                    return Some(true);
                }
                return None;
            }
        };
        let from = blank + operator + blanks(&rest[blank + operator..]);
        let next = &rest[from..];
        let prefix = literal_prefix(next);
        if let Some(quote) = quote(&next[prefix..]) {
            let starts = next.get(prefix + quote).copied();
            if whole && !starts.is_some_and(|b| is_word(b) || b == b'.') {
                return None;
            }
            self.joined = true;
            self.at += from + prefix + quote;
            return Some(true);
        }
        if whole {
            return None;
        }
        let length = identifier(next);
        let word = &next[..length];
        if let Some(value) = constant(self.text, word) {
            self.name.push_str(&value);
            self.joined = true;
            self.at += from + length;
            return Some(false);
        }
        // `'crm.lead'.toUpperCase()` is no concatenation in JavaScript; `'crm.lead' . strtolower(…)` is one in PHP.
        let dot = rest[blank] == b'.' && operator == 1;
        let sure = !dot || spaced || word.first() == Some(&b'$');
        self.dynamic = sure
            && next
                .first()
                .is_some_and(|b| is_word(*b) || matches!(b, b'$' | b'(' | b'@'));
        None
    }

    fn finish(self, start: usize, names: &Names) -> Name {
        let Reader {
            text,
            name,
            joined,
            at,
            dynamic,
            ..
        } = self;
        if dynamic {
            let ending = if names.go_on_from(&name) {
                Ending::Dynamic { begins: name }
            } else {
                Ending::Other
            };
            return Name { end: at, ending };
        }
        let text = text.bytes;
        let hyphenated =
            text.get(at) == Some(&b'-') && text.get(at + 1).is_some_and(|b| is_word(*b));
        let whole = trimmed(&name);
        let ending = match names.find(whole) {
            Some(known) if !hyphenated => Ending::Whole { known, joined },
            _ => Ending::Other,
        };
        let end = if joined { at } else { start + whole.len() };
        Name { end, ending }
    }
}

/// An expression inside a literal.
struct Interpolation {
    expression: Range<usize>,
    end: usize,
}

/// `${X}`, `{$x}`, `{x}`, `{{ x }}`, `#{x}`, `$x`, `%s`, `{}`, `{0}`.
fn interpolation(rest: &[u8]) -> Option<Interpolation> {
    let opening = match rest {
        [b'$' | b'#', b'{', ..] => 2,
        [b'{', b'{', ..] => 2,
        [b'{', ..] => 1,
        [b'$', ..] => {
            let length = identifier(&rest[1..]);
            return (length > 0).then_some(Interpolation {
                expression: 1..1 + length,
                end: 1 + length,
            });
        }
        [b'%', b's' | b'd' | b'@', ..] => {
            return Some(Interpolation {
                expression: 0..0,
                end: 2,
            });
        }
        _ => return None,
    };
    let inside = &rest[opening..rest.len().min(opening + 200)];
    let close = memchr::memchr(b'}', inside)?;
    let expression = &inside[..close];
    // `crm.{lead,deal}.get` is a shorthand for people (or a shell), and no one name.
    if expression
        .iter()
        .any(|b| matches!(b, b',' | b'\n' | b'{' | b';'))
    {
        return None;
    }
    let double = rest[opening - 1] == b'{' && opening == 2 && rest[0] == b'{';
    Some(Interpolation {
        expression: opening..opening + close,
        end: opening + close + if double { 2 } else { 1 },
    })
}

/// The letter before a literal of Python (`f"…"`) or an at sign or dollar before one of C#.
fn literal_prefix(rest: &[u8]) -> usize {
    match rest {
        [
            b'f' | b'F' | b'r' | b'b' | b'u' | b'$' | b'@',
            b'\'' | b'"',
            ..,
        ] => 1,
        _ => 0,
    }
}
