//! A name put together from pieces (pure): `'crm.lead' . '.get'`, `"crm." + "lead.get"`, `['crm', 'lead', 'get'].join('.')`,
//! `` `${CRM_LEAD}.get` ``. Only what is certain counts: literals, and constants that this text declares once, as constants
//! (`const`, `define`, `final`, `readonly`, `static`, or a name in capitals at a line's beginning), written in capitals.
//! A variable, a function's parameter or another file's constant is not: such a name is said to be dynamic.
//!
//! No language is parsed. What is read begins at a piece that begins a known name and goes on only over a closing quote,
//! an operator that concatenates, and the next piece; so an apostrophe in a comment cannot lead it astray.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;

use super::names::{Names, is_word};

/// What matters of the language: whether two literals side by side are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// They are, with white space between.
    Python,
    /// They are, touching.
    Shell,
    /// They are not.
    Other,
}

/// A text in which names are read, and what was found out about its constants.
#[derive(Debug)]
pub struct Text<'t> {
    bytes: &'t [u8],
    language: Language,
    constants: RefCell<HashMap<String, Option<String>>>,
    /// Where each word in capitals stands by itself. Made when the first is asked for: each constant would else cost a
    /// reading of the whole text.
    capitals: OnceCell<HashMap<&'t [u8], Vec<u32>>>,
}

impl<'t> Text<'t> {
    /// Of these bytes.
    pub fn new(bytes: &'t [u8], language: Language) -> Self {
        Text {
            bytes,
            language,
            constants: RefCell::default(),
            capitals: OnceCell::new(),
        }
    }

    /// Where this word in capitals stands by itself.
    fn words(&self, word: &str) -> impl Iterator<Item = usize> + '_ {
        let capitals = self.capitals.get_or_init(|| capitals(self.bytes));
        let places = capitals.get(word.as_bytes()).map_or(&[][..], Vec::as_slice);
        places.iter().map(|at| {
            #[cfg(test)]
            counted::LOOKED_AT.set(counted::LOOKED_AT.get() + 1);
            *at as usize
        })
    }
}

/// A name as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Behind its last certain byte.
    pub end: usize,
    /// What it is.
    pub ending: Ending,
}

/// What a name that was read is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A method of the list.
    Whole {
        /// Its position in the list.
        known: usize,
        /// Whether it was put together.
        joined: bool,
    },
    /// It ends in something known only at run time, and what is certain begins a method of the list.
    Dynamic {
        /// What is certain.
        begins: String,
    },
    /// Nothing of ours.
    Other,
}

/// A constant that this text declares once, with a literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// Its value, lower-cased.
    pub value: String,
}

/// A place where a constant begins a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The constant's first byte.
    pub start: usize,
    /// Behind it, or behind the brace that ends its interpolation.
    pub after: usize,
    /// Whether what follows is still text of a literal.
    inside: bool,
}

/// Reads the name that begins at `start`, inside a literal or plain text.
pub fn read(text: &Text<'_>, start: usize, names: &Names) -> Name {
    if let Some(name) = array(text.bytes, start, names) {
        return name;
    }
    let beginning = Beginning {
        start,
        after: start,
        inside: true,
    };
    read_on(text, &beginning, "", names)
}

/// Reads on from a constant that begins a name.
pub fn read_on(text: &Text<'_>, beginning: &Beginning, value: &str, names: &Names) -> Name {
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

/// How long a quote is that stands here, with the backslashes of code inside another language's string.
fn quote(rest: &[u8]) -> Option<usize> {
    let escapes = rest.iter().take_while(|b| **b == b'\\').count();
    matches!(rest.get(escapes), Some(b'\'' | b'"' | b'`')).then_some(escapes + 1)
}

/// Blanks and line ends, also escaped ones in code inside JSON.
fn blanks(rest: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &rest[at..] {
            [b, ..] if b.is_ascii_whitespace() => at += 1,
            [b'\\', b'n' | b'r' | b't' | b'\n', ..] => at += 2,
            _ => return at,
        }
    }
}

/// How long an operator is that concatenates: `.` PHP and Perl, `+` most, `..` Lua, `&` Basic, `~` Twig.
fn operator(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'.', b'.', b'.', ..] | [b'&', b'&', ..] | [b'+', b'+' | b'=', ..] | [b'.', b'=', ..] => {
            None
        }
        [b'.', b'.', ..] => Some(2),
        [b'.' | b'+' | b'&' | b'~', ..] => Some(1),
        _ => None,
    }
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

/// How long a word is that can name a constant or variable, with what qualifies it.
fn identifier(rest: &[u8]) -> usize {
    let qualifier = if rest.starts_with(b"self::") { 6 } else { 0 };
    let sigil = usize::from(rest.get(qualifier) == Some(&b'$'));
    let from = qualifier + sigil;
    let length = rest[from..].iter().take_while(|b| is_word(**b)).count();
    if length == 0 { 0 } else { from + length }
}

/// The value of the constant that this expression names, if the text declares it once and certainly.
fn constant(text: &Text<'_>, expression: &[u8]) -> Option<String> {
    let expression = expression.trim_ascii();
    let name = expression.strip_prefix(b"self::").unwrap_or(expression);
    let name = std::str::from_utf8(name).ok()?;
    if !is_in_capitals(name.as_bytes()) {
        return None;
    }
    if let Some(value) = text.constants.borrow().get(name) {
        return value.clone();
    }
    let value = declared_once(text, name);
    text.constants
        .borrow_mut()
        .insert(name.to_owned(), value.clone());
    value
}

/// The literal that this name is given, if it is given one once, in a constant's declaration.
fn declared_once(whole: &Text<'_>, name: &str) -> Option<String> {
    let mut value = None;
    let text = whole.bytes;
    for at in whole.words(name) {
        if let Some(from) = assignment(text, at, at + name.len()) {
            if value.is_some() || !constant_declaration(text, at) {
                return None;
            }
            value = Some(literal(text, from)?);
        }
    }
    value
}

/// The constant whose declaration's literal begins at `start`, if it is certain.
pub fn declaration(text: &Text<'_>, start: usize) -> Option<Constant> {
    let bytes = text.bytes;
    let line = &bytes[start.saturating_sub(120)..start];
    let line = &line[line
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1)..];
    let line = line
        .strip_suffix(b"'")
        .or_else(|| line.strip_suffix(b"\""))?;
    let line = line.trim_ascii_end();
    let line = line
        .strip_suffix(b"=")
        .or_else(|| line.strip_suffix(b","))?;
    // Any word in capitals on the line may be its name; the value found for it must be this one.
    line.split(|b| !is_word(*b))
        .filter(|word| !word.is_empty())
        .find_map(|word| {
            let value = constant(text, word)?;
            let here = bytes[start..].get(..value.len())?;
            here.eq_ignore_ascii_case(value.as_bytes())
                .then(|| Constant {
                    name: String::from_utf8_lossy(word).into_owned(),
                    value,
                })
        })
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

/// Where each word in capitals stands by itself.
fn capitals(text: &[u8]) -> HashMap<&[u8], Vec<u32>> {
    let mut found: HashMap<&[u8], Vec<u32>> = HashMap::new();
    let mut at = 0;
    for word in text.split(|b| !is_word(*b)) {
        if is_in_capitals(word) {
            found.entry(word).or_default().push(at as u32);
        }
        at += word.len() + 1;
    }
    found
}

/// Whether a word is written as constants are.
fn is_in_capitals(word: &[u8]) -> bool {
    let capital = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
    word.first().is_some_and(u8::is_ascii_uppercase) && word.iter().all(capital)
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
fn constant_declaration(text: &[u8], at: usize) -> bool {
    let line = &text[at.saturating_sub(LOOKED_BACK)..at];
    let line = &line[line
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1)..];
    if line.is_empty() {
        return true;
    }
    line.split(|b| !is_word(*b)).any(|word| {
        [
            &b"const"[..],
            b"define",
            b"final",
            b"readonly",
            b"static",
            b"Final",
            b"val",
            b"local",
        ]
        .contains(&word)
    }) && !line.contains(&b'$')
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

/// `implode('.', ['crm', 'lead', 'get'])`, `['crm', 'lead', 'get'].join('.')`, `'.'.join(['crm', 'lead', 'get'])`, whose
/// first piece begins at `start`.
fn array(text: &[u8], start: usize, names: &Names) -> Option<Name> {
    let mut pieces: Vec<String> = Vec::new();
    let mut at = start;
    loop {
        let rest = &text[at..];
        let length = rest
            .iter()
            .take_while(|b| is_word(**b) || **b == b'.')
            .count();
        let close = quote(&rest[length..])?;
        if length == 0 || pieces.len() > 8 {
            return None;
        }
        pieces.push(String::from_utf8_lossy(&rest[..length]).to_ascii_lowercase());
        at += length + close;
        at += blanks(&text[at..]);
        if text.get(at) == Some(&b',') {
            let next = at + 1 + blanks(&text[at + 1..]);
            match quote(&text[next..]) {
                Some(open) => {
                    at = next + open;
                    continue;
                }
                None => at = next,
            }
        }
        break;
    }
    if pieces.len() < 2 || !matches!(text.get(at), Some(b']' | b')')) {
        return None;
    }
    let after: String = text[at + 1..]
        .iter()
        .take(40)
        .filter(|b| !b.is_ascii_whitespace() && **b != b'\\')
        .map(|b| if *b == b'"' { '\'' } else { *b as char })
        .collect();
    let from = start.saturating_sub(60);
    let before: String = text[from..start]
        .iter()
        .filter(|b| !b.is_ascii_whitespace() && **b != b'\\')
        .map(|b| {
            if *b == b'"' {
                '\''
            } else {
                b.to_ascii_lowercase() as char
            }
        })
        .collect();
    let opened = before.strip_suffix('\'')?;
    let joins = after.starts_with(".join('.')")
        || [
            "implode('.',[",
            "implode('.',array(",
            "'.'.join([",
            "'.'.join((",
            "join('.',",
        ]
        .iter()
        .any(|way| opened.ends_with(way));
    let known = names.find(&pieces.join("."))?;
    joins.then_some(Name {
        end: at,
        ending: Ending::Whole {
            known,
            joined: true,
        },
    })
}

/// What constants cost, so that a test can say that it grows no faster than the text.
#[cfg(test)]
pub(super) mod counted {
    use std::cell::Cell;

    thread_local! {
        pub static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }
}
