//! The methods that one text names (pure). A name counts where it stands by itself: not `crm.lead.get` inside
//! `crm.lead.getlist`, `xcrm.lead.get` or `crm.lead.get.more`, but with `.json` or `.xml` behind it, after a slash, a
//! quote, an escape (`\n`, `%2F`, `\u0022`) and in any case.
//!
//! One pass of an automaton looks for the few ways in which a name can begin (its first segment with a dot, or alone in
//! quotes) and for the calls whose method may be a variable; only there is anything looked at closely. What the pass
//! costs does not depend on how many methods are known.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::arrays;
use super::constants;
use super::join;
use super::n8n;
use super::names::{Names, is_word};
use super::pieces::{Ending, Language, Name, Text};
use super::{Known, Place, Why};
use crate::places::characters;

/// Where a text names a method, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// In the bytes of the text.
    pub span: Range<usize>,
    /// What is there.
    pub what: What,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A deprecated method, by its position in the list.
    Method {
        /// Its position in the list that the finder was made from.
        known: usize,
        /// Whether it is put together from pieces.
        joined: bool,
    },
    /// A place that may name one.
    Unsure(Why),
}

/// Calls by which clients name a method in their first argument.
const CALLS: [&str; 5] = [
    "callmethod(",
    "crest::call(",
    "restcommand(",
    "bx24.call(",
    "core->call(",
];

/// Accessors of libraries that make the name themselves.
const ACCESSORS: [&str; 6] = [
    "getcrmscope(",
    "gettaskscope(",
    "getimscope(",
    "getimopenlinesscope(",
    "getcatalogscope(",
    "getimbotscope(",
];

/// What a match of the automaton stands for.
#[derive(Debug, Clone, Copy)]
enum Sign {
    /// A name may begin at the first byte.
    Dotted,
    /// A name may begin at the second byte, after a quote.
    Quoted,
    /// A name without a dot, by its position in the list.
    Single(usize),
    Call,
    Accessor,
    /// A package of n8n's nodes.
    Package,
}

/// The constants of a text, each once, and its lists that have a name.
#[derive(Debug, Default)]
struct Constants {
    in_order: Vec<constants::Constant>,
    known: HashSet<constants::Constant>,
    lists: Vec<arrays::Held>,
}

impl Constants {
    fn add(&mut self, constant: constants::Constant) {
        if self.known.insert(constant.clone()) {
            self.in_order.push(constant);
        }
    }
}

/// Finds the methods of a list in texts.
#[derive(Debug)]
pub struct Finder {
    automaton: AhoCorasick,
    signs: Vec<Sign>,
    names: Names,
}

impl Finder {
    /// Looks for these methods.
    pub fn new(known: &[Known]) -> Self {
        let by_name: HashMap<String, usize> = known
            .iter()
            .enumerate()
            .map(|(index, known)| (known.method.to_ascii_lowercase(), index))
            .collect();
        let beginnings: BTreeSet<String> = by_name
            .keys()
            .filter(|name| name.contains('.'))
            .cloned()
            .collect();
        let segments: BTreeSet<&str> = beginnings
            .iter()
            .filter_map(|name| name.split('.').next())
            .collect();
        let mut patterns = Vec::new();
        let mut signs = Vec::new();
        let mut look_for = |pattern: String, sign| {
            patterns.push(pattern);
            signs.push(sign);
        };
        for segment in segments {
            look_for(format!("{segment}."), Sign::Dotted);
            for quote in ['\'', '"', '`'] {
                look_for(format!("{quote}{segment}{quote}"), Sign::Quoted);
                look_for(format!("{quote}{segment}\\{quote}"), Sign::Quoted);
            }
        }
        for (name, &index) in by_name.iter().filter(|(name, _)| !name.contains('.')) {
            look_for(name.clone(), Sign::Single(index));
        }
        for call in CALLS {
            look_for(call.to_owned(), Sign::Call);
        }
        for accessor in ACCESSORS {
            look_for(accessor.to_owned(), Sign::Accessor);
        }
        look_for(n8n::PACKAGE.to_owned(), Sign::Package);
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&patterns)
            .expect("a few short patterns");
        Finder {
            automaton,
            signs,
            names: Names {
                by_name,
                beginnings,
            },
        }
    }

    /// What this text names, in the order in which it stands there.
    pub fn find(&self, bytes: &[u8], language: Language) -> Vec<Hit> {
        let text = Text::new(bytes, language);
        let mut hits = Vec::new();
        let mut constants = Constants::default();
        let mut nodes = Vec::new();
        for found in self.automaton.find_iter(bytes) {
            match self.signs[found.pattern().as_usize()] {
                Sign::Dotted if begins_here(bytes, found.start()) => {
                    self.name_at(&text, bytes, found.start(), &mut hits, &mut constants);
                }
                Sign::Quoted => {
                    self.name_at(&text, bytes, found.start() + 1, &mut hits, &mut constants);
                }
                Sign::Single(known) if called_by_its_name(bytes, found.range()) => {
                    hits.push(Hit {
                        span: found.range(),
                        what: What::Method {
                            known,
                            joined: false,
                        },
                    });
                }
                Sign::Call if variable_argument(bytes, found.range()) => hits.push(Hit {
                    span: found.range(),
                    what: What::Unsure(Why::Variable),
                }),
                Sign::Accessor if !declared(bytes, found.start()) => hits.push(Hit {
                    span: found.range(),
                    what: What::Unsure(Why::Accessor),
                }),
                Sign::Package if n8n::is_node(bytes, found.start()) => nodes.push(found.start()),
                _ => {}
            }
        }
        if !nodes.is_empty() {
            let settings = n8n::settings(bytes, &nodes);
            hits.extend(nodes.iter().zip(settings).map(|(at, node)| Hit {
                span: *at..at + n8n::PACKAGE.len(),
                what: What::Unsure(Why::Node(node)),
            }));
        }
        self.used(&text, &constants, &mut hits);
        hits.sort_by_key(|hit| hit.span.start);
        hits.dedup_by_key(|hit| hit.span.start);
        hits
    }

    /// What begins with a constant, a variable or a list that this text declares.
    fn used(&self, text: &Text<'_>, given: &Constants, hits: &mut Vec<Hit>) {
        for constant in &given.in_order {
            for beginning in constants::uses(text, constant) {
                let name = join::read_use(text, &beginning, constant, &self.names);
                self.push(text.bytes, beginning.start, name, hits);
            }
            for span in constants::qualified_uses(text, constant) {
                let begins = constant.value.clone();
                let what = What::Unsure(Why::Dynamic { begins });
                hits.push(Hit { span, what });
            }
        }
        for held in &given.lists {
            for (at, name) in arrays::uses(text, held, &self.names) {
                self.push(text.bytes, at, name, hits);
            }
        }
    }

    fn name_at(
        &self,
        text: &Text<'_>,
        bytes: &[u8],
        start: usize,
        hits: &mut Vec<Hit>,
        constants: &mut Constants,
    ) {
        if let Some(constant) = constants::declaration(text, start)
            && self.names.go_on_from(&constant.value)
        {
            let is_read = constant.sure && self.names.find(&constant.value).is_none();
            constants.add(constant);
            if is_read {
                return;
            }
        }
        if let Some(held) = arrays::held(text, start)
            && !constants.lists.contains(&held)
        {
            constants.lists.push(held);
        }
        let name = join::read(text, start, &self.names);
        self.push(bytes, start, name, hits);
    }

    fn push(&self, text: &[u8], start: usize, name: Name, hits: &mut Vec<Hit>) {
        let span = start..name.end;
        let chained = start.checked_sub(1).is_some_and(|at| text[at] == b'.');
        let called = text.get(name.end) == Some(&b'(');
        let what = match name.ending {
            Ending::Whole { joined: false, .. } if chained && !called => return,
            Ending::Whole {
                known,
                joined: false,
            } if called && (chained || !quoted(text, start)) => {
                What::Unsure(Why::Attribute { known })
            }
            Ending::Whole { known, joined } => What::Method { known, joined },
            Ending::Dynamic { .. } if chained => return,
            Ending::Dynamic { begins } => What::Unsure(Why::Dynamic { begins }),
            Ending::Other => return,
        };
        hits.push(Hit { span, what });
    }
}

/// Whether a name can begin at this byte: what stands before is no part of a name. An escape's last character (`\n`,
/// `%2F`, `\u0022`) is none. A dot is, except in an attribute chain.
fn begins_here(text: &[u8], start: usize) -> bool {
    let before = &text[..start];
    let Some(&last) = before.last() else {
        return true;
    };
    let escaped = |digits: usize, mark: &[u8]| {
        before.len() >= digits + mark.len()
            && before[before.len() - digits..]
                .iter()
                .all(u8::is_ascii_hexdigit)
            && before[..before.len() - digits].ends_with(mark)
    };
    match last {
        b'.' => before
            .iter()
            .rev()
            .nth(1)
            .is_some_and(|b| is_word(*b) || *b == b')'),
        b'-' => !before.iter().rev().nth(1).is_some_and(|b| is_word(*b)),
        b'n' | b'r' | b't' if before[..before.len() - 1].ends_with(b"\\") => true,
        last if last.is_ascii_hexdigit() => {
            escaped(2, b"%") || escaped(2, b"\\x") || escaped(4, b"\\u")
        }
        last => !is_word(last) && last != b'$' && last != b'@',
    }
}

/// Whether what stands before says that a name is written in a string or an address, and is no code.
fn quoted(text: &[u8], start: usize) -> bool {
    start
        .checked_sub(1)
        .is_some_and(|at| matches!(text[at], b'\'' | b'"' | b'`' | b'/' | b'=' | b'?'))
}

/// Whether a name without a dot, a common word then, stands where only a method can: in an address behind `/rest/`, or
/// as the quoted first argument of a call.
fn called_by_its_name(text: &[u8], span: Range<usize>) -> bool {
    let (before, after) = (&text[..span.start], &text[span.end..]);
    if before.ends_with(b"/") {
        let from = before.len().saturating_sub(200);
        let line = before[from..]
            .rsplit(|b| b.is_ascii_whitespace() || matches!(b, b'\'' | b'"' | b'`'))
            .next();
        let address = line.is_some_and(|line| memchr::memmem::find(line, b"/rest/").is_some());
        let rest = strip_format(after);
        return address
            && !rest
                .first()
                .is_some_and(|b| is_word(*b) || matches!(b, b'-' | b'.' | b'/'));
    }
    let Some((quote, head)) = before.split_last() else {
        return false;
    };
    matches!(quote, b'\'' | b'"' | b'`') && after.first() == Some(quote) && {
        let head = head.trim_ascii_end().to_ascii_lowercase();
        CALLS
            .iter()
            .chain(&["->call(", ".call("])
            .any(|call| head.ends_with(call.as_bytes()))
    }
}

/// What follows a format suffix, if there is one.
fn strip_format(after: &[u8]) -> &[u8] {
    for suffix in [".json", ".xml"] {
        if after.len() >= suffix.len()
            && after[..suffix.len()].eq_ignore_ascii_case(suffix.as_bytes())
            && !after.get(suffix.len()).is_some_and(|b| is_word(*b))
        {
            return &after[suffix.len()..];
        }
    }
    after
}

/// Whether a call's first argument is a variable, and the call is no declaration.
fn variable_argument(text: &[u8], span: Range<usize>) -> bool {
    let argument = text[span.end..].trim_ascii_start();
    let variable = argument
        .first()
        .is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'$' | b'_'));
    let literal = argument
        .get(1)
        .is_some_and(|b| matches!(b, b'\'' | b'"') && matches!(argument[0], b'f' | b'r' | b'b'));
    variable && !literal && !declared(text, span.start) && !opens_a_body(argument)
}

/// Whether `function`, `def` and their like stand before the name that ends in this call.
fn declared(text: &[u8], start: usize) -> bool {
    let head = text[..start].trim_ascii_end();
    ["function", "def", "fn", "func", "async"]
        .iter()
        .any(|word| head.ends_with(word.as_bytes()) && head.len() < start)
}

/// Whether the parentheses close before a `{`: a method's declaration in JavaScript or Java.
fn opens_a_body(argument: &[u8]) -> bool {
    let line = &argument[..argument.len().min(300)];
    let Some(close) = memchr::memchr(b')', line) else {
        return false;
    };
    line[close + 1..].trim_ascii_start().first() == Some(&b'{')
}

/// Turns spans into places; asked in ascending order, it reads the text once.
#[derive(Debug)]
pub struct Places<'t> {
    text: &'t [u8],
    places: crate::places::Places<'t>,
}

impl<'t> Places<'t> {
    /// Of this text.
    pub fn new(text: &'t [u8]) -> Self {
        Places {
            text,
            places: crate::places::Places::new(text),
        }
    }

    /// Where this span stands.
    pub fn of(&mut self, span: &Range<usize>) -> Place {
        let (line, column) = self.places.of(span.start);
        let end = memchr::memchr(b'\n', &self.text[span.clone()])
            .map_or(span.end, |newline| span.start + newline);
        Place {
            line: line as u64,
            column: column as u64,
            end_column: (column + characters(&self.text[span.start..end])) as u64,
        }
    }
}

#[cfg(test)]
mod tests;
