//! Constants and variables of one text (pure): which literal a name has, whether it has it everywhere, and where it begins a
//! method's name.

use std::ops::Range;

use super::names::is_word;
use super::pieces::{Text, blanks, is_in_capitals, operator, quote};

/// A constant or variable that this text gives a literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// Its value, lower-cased.
    pub value: String,
    /// Whether it has that value everywhere.
    pub sure: bool,
}

/// A place where a constant begins a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The constant's first byte.
    pub start: usize,
    /// Behind it, or behind the brace that ends its interpolation.
    pub after: usize,
    /// Whether what follows is still text of a literal.
    pub(super) inside: bool,
}

/// The value of the constant that this expression names, if the text declares it once and certainly.
pub(super) fn constant(text: &Text<'_>, expression: &[u8]) -> Option<String> {
    let expression = expression.trim_ascii();
    let name = expression.strip_prefix(b"self::").unwrap_or(expression);
    let name = std::str::from_utf8(name).ok()?;
    let named = !name.is_empty() && !name.as_bytes()[0].is_ascii_digit();
    if !named || !name.bytes().all(is_word) {
        return None;
    }
    if let Some(value) = text.constants.borrow().get(name) {
        return value.clone();
    }
    if !is_in_capitals(name.as_bytes()) && !text.may_look_up() {
        return None;
    }
    let value = given_once(text, name).and_then(|from| literal(text.bytes, from));
    text.constants
        .borrow_mut()
        .insert(name.to_owned(), value.clone());
    value
}

/// Where the value begins that this name is given, if it is given one once, in a constant's declaration.
fn given_once(whole: &Text<'_>, name: &str) -> Option<usize> {
    let mut value = None;
    let text = whole.bytes;
    let capitals = is_in_capitals(name.as_bytes());
    for at in whole.words(name) {
        let after = at + name.len();
        if let Some(from) = assignment(text, at, after) {
            if value.is_some() || !constant_declaration(text, at, capitals) {
                return None;
            }
            value = Some(from);
        } else if !capitals && is_parameter(&text[after..]) {
            return None;
        }
    }
    value
}

/// Whether a name that ends here is a function's parameter: `(a, ns) => …`, `ns => …`, `f(ns, b) { … }`.
fn is_parameter(rest: &[u8]) -> bool {
    let line = &rest[..rest.len().min(200)];
    if line[blanks(line)..].starts_with(b"=>") {
        return true;
    }
    let ends = |b: &u8| matches!(b, b')' | b'(' | b';' | b'{' | b'\'' | b'"' | b'`');
    match line.iter().position(ends) {
        Some(end) if line[end] == b')' => {
            let body = &line[end + 1..];
            let body = &body[blanks(body)..];
            body.starts_with(b"=>") || body.starts_with(b"{")
        }
        _ => false,
    }
}

/// The name that is given what follows this text and an `=`, and whether it has that value everywhere.
pub(super) fn holder(text: &Text<'_>, line: &[u8]) -> Option<(String, bool)> {
    let name = assigned(line)?;
    text.may_look_up()
        .then(|| (name.to_owned(), given_once(text, name).is_some()))
}

/// The name that is assigned to, behind what declares it and before its type.
fn assigned(line: &[u8]) -> Option<&str> {
    let line = match memchr::memrchr(b':', line) {
        Some(colon) if colon > 0 && line[colon - 1] != b':' => &line[..colon],
        _ => line,
    };
    let line = line.trim_ascii_end();
    let length = line.iter().rev().take_while(|b| is_word(**b)).count();
    let name = std::str::from_utf8(&line[line.len() - length..]).ok()?;
    (!name.is_empty() && !name.as_bytes()[0].is_ascii_digit()).then_some(name)
}

/// The constant or variable that is given the literal which begins at `start`.
pub fn declaration(text: &Text<'_>, start: usize) -> Option<Constant> {
    let bytes = text.bytes;
    let line = &bytes[start.saturating_sub(120)..start];
    let line = &line[line
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1)..];
    let line = line
        .strip_suffix(b"'")
        .or_else(|| line.strip_suffix(b"\""))
        .or_else(|| line.strip_suffix(b"`"))?;
    let line = line.trim_ascii_end();
    let assigned_to = line.strip_suffix(b"=");
    let line = assigned_to.or_else(|| line.strip_suffix(b","))?;
    // Any word in capitals on the line may be its name; the value found for it must be this one.
    let value_of = |name: &str| {
        let value = constant(text, name.as_bytes())?;
        let here = bytes[start..].get(..value.len())?;
        here.eq_ignore_ascii_case(value.as_bytes()).then_some(value)
    };
    let capitals = line
        .split(|b| !is_word(*b))
        .filter(|word| is_in_capitals(word))
        .find_map(|word| {
            let name = String::from_utf8_lossy(word).into_owned();
            let value = value_of(&name)?;
            let sure = true;
            Some(Constant { name, value, sure })
        });
    if capitals.is_some() {
        return capitals;
    }
    let name = assigned(assigned_to?)?;
    let value = literal(bytes, start - 1)?;
    if !text.constants.borrow().contains_key(name) && !text.may_look_up() {
        return None;
    }
    let sure = value_of(name).is_some();
    let name = name.to_owned();
    Some(Constant { name, value, sure })
}

/// Where this constant begins a name: before an operator, or interpolated before more text.
pub fn uses(whole: &Text<'_>, constant: &Constant) -> Vec<Beginning> {
    let text = whole.bytes;
    let name = constant.name.as_str();
    let mut beginnings = Vec::new();
    for at in whole.words(name) {
        let after = at + name.len();
        if assignment(text, at, after).is_some() {
            continue;
        }
        let before = &text[..at];
        if is_qualified(before) {
            continue;
        }
        let start = before.strip_suffix(b"self::").map_or(at, <[u8]>::len);
        let braced = before.ends_with(b"{") && text.get(after) == Some(&b'}');
        let inside = braced || before.ends_with(b"$");
        beginnings.push(Beginning {
            start,
            after: after + usize::from(braced),
            inside,
        });
    }
    beginnings
}

/// Where a constant of this name begins a name, but that of a class or module which may be another one: `Api::LEAD . '.get'`.
pub fn qualified_uses(whole: &Text<'_>, constant: &Constant) -> Vec<Range<usize>> {
    if !constant.sure || !is_in_capitals(constant.name.as_bytes()) {
        return Vec::new();
    }
    let text = whole.bytes;
    let name = constant.name.as_str();
    let is_one = |at: &usize| {
        let rest = &text[at + name.len()..];
        is_qualified(&text[..*at]) && operator(&rest[blanks(rest)..]).is_some()
    };
    let found = whole.words(name).filter(is_one);
    found.map(|at| at..at + name.len()).collect()
}

/// Whether something else than `self` qualifies the name that follows.
fn is_qualified(before: &[u8]) -> bool {
    let qualifies = |mark: &[u8]| before.ends_with(mark);
    !qualifies(b"self::") && (qualifies(b".") || qualifies(b"::") || qualifies(b"->"))
}

/// Where the value begins that the word at `at..after` is given, if it is given one: `X = …`, `X: string = …`,
/// `define('X', …`.
fn assignment(text: &[u8], at: usize, after: usize) -> Option<usize> {
    let rest = &text[after..];
    let mut from = blanks(rest);
    if rest.get(from) == Some(&b':') {
        let annotated = from + 1 + blanks(&rest[from + 1..]);
        let kind = rest[annotated..]
            .iter()
            .take_while(|b| is_word(**b) || matches!(b, b'&' | b'\'' | b'[' | b']' | b'.'))
            .count();
        if kind > 0 {
            from = annotated + kind + blanks(&rest[annotated + kind..]);
        }
    }
    if rest.get(from) == Some(&b'=') && !matches!(rest.get(from + 1), Some(b'=' | b'>' | b'~')) {
        return Some(after + from + 1 + blanks(&rest[from + 1..]));
    }
    if matches!(rest.get(from..from + 2), Some(b"+=" | b".=")) {
        return Some(after + from + 2);
    }
    let quoted = text[..at]
        .strip_suffix(b"'")
        .or_else(|| text[..at].strip_suffix(b"\""))?;
    let defined = ends_in(quoted.trim_ascii_end(), b"define(");
    let comma = quote(rest)? + blanks(&rest[1..]);
    (defined && rest.get(comma) == Some(&b','))
        .then(|| after + comma + 1 + blanks(&rest[comma + 1..]))
}

/// Whether a text ends in this, in any case.
fn ends_in(text: &[u8], suffix: &[u8]) -> bool {
    text.len() >= suffix.len() && text[text.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

/// So far back a line is looked at: longer ones are made by machines.
const LOOKED_BACK: usize = 2_000;

/// Whether what stands on the line before the name at `at` declares a constant.
fn constant_declaration(text: &[u8], at: usize, capitals: bool) -> bool {
    let line = &text[at.saturating_sub(LOOKED_BACK)..at];
    let line = &line[line
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1)..];
    if line.is_empty() {
        return capitals;
    }
    let unassignable = [&b"const"[..], b"final", b"readonly", b"Final", b"val"];
    let usual = [&b"define"[..], b"static", b"local"];
    line.split(|b| !is_word(*b))
        .any(|word| unassignable.contains(&word) || (capitals && usual.contains(&word)))
        && !line.contains(&b'$')
}

/// The literal that begins at `from`, lower-cased, if it holds nothing but a name's characters and is the whole value.
fn literal(text: &[u8], from: usize) -> Option<String> {
    let rest = &text[from..];
    let open = quote(rest)?;
    let length = rest[open..]
        .iter()
        .take_while(|b| is_word(**b) || **b == b'.')
        .count();
    let value = &rest[open..open + length];
    let close = &rest[open + length..];
    if quote(close)? != open || close[open - 1] != rest[open - 1] {
        return None;
    }
    let after = &close[open..];
    if operator(&after[blanks(after)..]).is_some() {
        return None;
    }
    Some(String::from_utf8_lossy(value).to_ascii_lowercase())
}
