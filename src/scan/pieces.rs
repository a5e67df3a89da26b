//! A text and the pieces of code that are told apart in it (pure): quotes, blanks, comments, operators, words.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;

use super::names::is_word;

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
    pub(super) bytes: &'t [u8],
    pub(super) language: Language,
    pub(super) constants: RefCell<HashMap<String, Option<String>>>,
    looked_up: Cell<u32>,
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
            looked_up: Cell::new(0),
            capitals: OnceCell::new(),
        }
    }

    /// Where this word stands by itself.
    pub(super) fn words<'w>(&'w self, word: &'w str) -> Box<dyn Iterator<Item = usize> + 'w> {
        if !is_in_capitals(word.as_bytes()) {
            let free = |byte: Option<&u8>| !byte.is_some_and(|b| is_word(*b));
            let all = memchr::memmem::find_iter(self.bytes, word);
            return Box::new(all.filter(move |at| {
                free(at.checked_sub(1).and_then(|before| self.bytes.get(before)))
                    && free(self.bytes.get(at + word.len()))
            }));
        }
        let capitals = self.capitals.get_or_init(|| capitals(self.bytes));
        let places = capitals.get(word.as_bytes()).map_or(&[][..], Vec::as_slice);
        Box::new(places.iter().map(|at| {
            #[cfg(test)]
            counted::LOOKED_AT.set(counted::LOOKED_AT.get() + 1);
            *at as usize
        }))
    }

    /// Whether the text may be read once more for a name that is not in capitals.
    pub(super) fn may_look_up(&self) -> bool {
        self.looked_up.set(self.looked_up.get() + 1);
        self.looked_up.get() <= MOST_LOOKED_UP
    }
}

/// So many names that are not in capitals are looked up in one text, since each reads it once.
const MOST_LOOKED_UP: u32 = 100;

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
pub(super) fn is_in_capitals(word: &[u8]) -> bool {
    let capital = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
    word.first().is_some_and(u8::is_ascii_uppercase) && word.iter().all(capital)
}

/// How long a quote is that stands here, with the backslashes of code inside another language's string.
pub(super) fn quote(rest: &[u8]) -> Option<usize> {
    let escapes = rest.iter().take_while(|b| **b == b'\\').count();
    matches!(rest.get(escapes), Some(b'\'' | b'"' | b'`')).then_some(escapes + 1)
}

/// Blanks, line ends and comments, also escaped ones in code inside JSON.
pub(super) fn blanks(rest: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &rest[at..] {
            [b, ..] if b.is_ascii_whitespace() => at += 1,
            [b'\\', b'n' | b'r' | b't' | b'\n', ..] => at += 2,
            other => match comment(&other[..other.len().min(LONGEST_COMMENT)]) {
                Some(length) => at += length,
                None => return at,
            },
        }
    }
}

/// A longer comment between two pieces of a name is not read over.
const LONGEST_COMMENT: usize = 500;

/// How long a comment is that begins here: `/* … */`, or `// …` and `# …` up to the line's end.
fn comment(rest: &[u8]) -> Option<usize> {
    let find = |end: &[u8]| memchr::memmem::find(rest, end);
    match rest {
        [b'/', b'*', ..] => find(b"*/").map(|at| at + 2),
        [b'/', b'/', ..] | [b'#', b' ', ..] => find(b"\n").or_else(|| find(b"\\n")),
        _ => None,
    }
}

/// How long an operator is that concatenates: `.` PHP and Perl, `+` most, `..` Lua, `&` Basic, `~` Twig.
pub(super) fn operator(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'.', b'.', b'.', ..] | [b'&', b'&', ..] | [b'+', b'+' | b'=', ..] | [b'.', b'=', ..] => {
            None
        }
        [b'.', b'.', ..] => Some(2),
        [b'.' | b'+' | b'&' | b'~', ..] => Some(1),
        _ => None,
    }
}

/// How long a word is that can name a constant or variable, with what qualifies it.
pub(super) fn identifier(rest: &[u8]) -> usize {
    let qualifier = if rest.starts_with(b"self::") { 6 } else { 0 };
    let sigil = usize::from(rest.get(qualifier) == Some(&b'$'));
    let from = qualifier + sigil;
    let length = rest[from..].iter().take_while(|b| is_word(**b)).count();
    if length == 0 { 0 } else { from + length }
}

/// What constants cost, so that a test can say that it grows no faster than the text.
#[cfg(test)]
pub(super) mod counted {
    use std::cell::Cell;

    thread_local! {
        pub static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }
}
