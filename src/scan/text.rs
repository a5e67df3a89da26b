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

use super::join::{self, Ending, Language, Text};
use super::names::{Names, is_word};
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
}

/// The constants of a text, each once.
#[derive(Debug, Default)]
struct Constants {
    in_order: Vec<join::Constant>,
    known: HashSet<join::Constant>,
}

impl Constants {
    fn add(&mut self, constant: join::Constant) {
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
                _ => {}
            }
        }
        for constant in constants.in_order {
            for beginning in join::uses(&text, &constant) {
                let name = join::read_on(&text, &beginning, &constant.value, &self.names);
                self.push(bytes, beginning.start, name, &mut hits);
            }
            for span in join::qualified_uses(&text, &constant) {
                let begins = constant.value.clone();
                let what = What::Unsure(Why::Dynamic { begins });
                hits.push(Hit { span, what });
            }
        }
        hits.sort_by_key(|hit| hit.span.start);
        hits.dedup_by_key(|hit| hit.span.start);
        hits
    }

    fn name_at(
        &self,
        text: &Text<'_>,
        bytes: &[u8],
        start: usize,
        hits: &mut Vec<Hit>,
        constants: &mut Constants,
    ) {
        if let Some(constant) = join::declaration(text, start)
            && self.names.go_on_from(&constant.value)
        {
            let whole = self.names.find(&constant.value).is_some();
            constants.add(constant);
            if !whole {
                return;
            }
        }
        let name = join::read(text, start, &self.names);
        self.push(bytes, start, name, hits);
    }

    fn push(&self, text: &[u8], start: usize, name: join::Name, hits: &mut Vec<Hit>) {
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
mod tests {
    use super::*;

    fn finder() -> (Vec<Known>, Finder) {
        let known: Vec<Known> = [
            "crm.lead.get",
            "crm.lead.list",
            "crm.lead.details.configuration.reset",
            "task.commentitem.get",
            "task.commentitem.getlist",
            "task.item.add",
            "imbot.register",
            "methods",
        ]
        .iter()
        .map(|method| Known {
            method: (*method).to_owned(),
            successor: None,
            needs: String::new(),
            successor_documentation: None,
            advice: String::new(),
            translated: false,
            documentation: None,
        })
        .collect();
        let finder = Finder::new(&known);
        (known, finder)
    }

    /// What is found, as words: a method, `+` before a joined one, `?` before what is unsure.
    fn said_in(text: &str, language: Language) -> Vec<String> {
        let (known, finder) = finder();
        finder
            .find(text.as_bytes(), language)
            .into_iter()
            .map(|hit| match hit.what {
                What::Method {
                    known: index,
                    joined,
                } => format!("{}{}", if joined { "+" } else { "" }, known[index].method),
                What::Unsure(Why::Dynamic { begins }) => format!("?{begins}"),
                What::Unsure(why) => format!("?{}", why.word()),
            })
            .collect()
    }

    fn said(text: &str) -> Vec<String> {
        said_in(text, Language::Other)
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_name_is_found_where_it_stands_by_itself() {
        for text in [
            "crm.lead.get",
            "CRest::call('crm.lead.get', [])",
            "BX24.callMethod(\"crm.lead.get\", {})",
            "CRM.Lead.GET",
            "https://x.bitrix24.com/rest/1/code/crm.lead.get.json?id=1",
            "https://x.bitrix24.com/rest/1/code/crm.lead.get/",
            "'cmd' => ['a' => 'crm.lead.get?id=1']",
            "It calls crm.lead.get. Then it ends.",
            "rest%2F1%2Fcode%2Fcrm.lead.get%3Fid=1",
            r#""jsCode": "\ncrm.lead.get""#,
            r#"{"html":"\u0022crm.lead.get\u0022"}"#,
            "- crm.lead.get",
            "«crm.lead.get»",
            "`crm.lead.get`",
            "crm.lead.get#top",
            "\"/rest/crm.lead.get$params\"",
        ] {
            assert_eq!(said(text), ["crm.lead.get"], "{text}");
        }
    }

    #[test]
    fn a_name_inside_another_is_not_found() {
        for text in [
            "crm.lead.getlist",
            "xcrm.lead.get",
            "my_crm.lead.get",
            "crm.lead.get.more",
            "crm.lead.get-all",
            "crm.lead.get_all",
            "crm-crm.lead.get",
            "$crm.lead.get",
            "x.crm.lead.get",
            "crm.leadxget",
            "crm.item.get",
            "the task. Then",
            "crm.",
        ] {
            assert_eq!(said(text), NOTHING, "{text}");
        }
    }

    #[test]
    fn of_two_names_that_begin_alike_the_one_that_stands_there_is_found() {
        assert_eq!(said("'task.commentitem.get'"), ["task.commentitem.get"]);
        assert_eq!(
            said("'task.commentitem.getlist'"),
            ["task.commentitem.getlist"]
        );
        assert_eq!(said("'task.commentitem.getl'"), NOTHING);
    }

    #[test]
    fn literals_put_together_are_read_as_one() {
        for text in [
            "'crm.lead' . '.get'",
            "'crm.lead.' . \"get\"",
            "\"crm\" + \".lead\" + \".get\"",
            "'crm.'\n    . 'lead.'\n    . 'get'",
            "`crm.lead` + `.get`",
            "\"crm.lead\" .. \".get\"",
            "\"crm.lead\" & \".get\"",
            r#"{"code": "call(\"crm.lead\" + \".get\")"}"#,
            "['crm', 'lead', 'get'].join('.')",
            "[\n'crm',\n'lead.get',\n].join(\".\")",
            "implode('.', ['crm', 'lead', 'get'])",
            "'.'.join(('crm', 'lead', 'get'))",
        ] {
            assert_eq!(said(text), ["+crm.lead.get"], "{text}");
        }
        assert_eq!(said("'crm.lead.get' . '.json'"), ["+crm.lead.get"]);
        assert_eq!(said("'crm.lead.get' . $query"), ["crm.lead.get"]);
        assert_eq!(said("'crm.lead.get' . '?id=1'"), ["crm.lead.get"]);
        assert_eq!(
            said_in("('crm.lead'\n   '.get')", Language::Python),
            ["+crm.lead.get"]
        );
        assert_eq!(
            said_in("curl $B/'crm.lead'\".get\"", Language::Shell),
            ["+crm.lead.get"]
        );
    }

    #[test]
    fn literals_that_only_stand_side_by_side_are_not() {
        for text in [
            "f('crm.lead', '.get')",
            "['crm.lead' '.get']",
            "['crm', 'lead', 'get']",
            "['crm', 'lead', 'get'].join('/')",
            "'crm.lead.get' + 'list'",
            "'crm.lead' . '.item.get'",
            "'crm.lead'.replace('.get')",
            "'crm.lead' && '.get'",
        ] {
            assert_eq!(said(text), NOTHING, "{text}");
        }
    }

    #[test]
    fn a_constant_declared_once_is_read_as_its_value() {
        for text in [
            "const LEAD = 'crm.lead';\ncall(LEAD + '.get');",
            "const LEAD = 'crm.lead';\ncall(`${LEAD}.get`);",
            "private const LEAD: string = 'crm.lead';\ncall(self::LEAD . '.get');",
            "define('LEAD', 'crm.lead');\ncall(LEAD . '.get');",
            "LEAD = 'crm.lead'\ncall(f\"{LEAD}.get\")",
            "static final String LEAD = \"crm.lead\";\ncall(LEAD + \".get\");",
            "const ENTITY = 'lead';\ncall('crm.' + ENTITY + '.get');",
            "const ENTITY = 'lead';\ncall(`crm.${ENTITY}.get`);",
            "const LEAD = 'crm.lead', GET = '.get';\ncall(LEAD + GET);",
            "const L = 'crm.lead.';\ncall(L + 'get');",
        ] {
            assert_eq!(said(text), ["+crm.lead.get"], "{text}");
        }
    }

    #[test]
    fn a_name_that_ends_in_a_variable_is_said_to_be_unseen() {
        for text in [
            "'crm.lead.' . $x",
            "'crm.lead.' . strtolower($x)",
            "\"crm.lead.\" + action",
            "`crm.lead.${action}`",
            "\"crm.lead.{$action}\"",
            "f'crm.lead.{action}'",
            "sprintf('crm.lead.%s', $x)",
            "let LEAD_ACTION = 'get';\n'crm.lead.' + LEAD_ACTION",
            "const ACTION = 'get';\nACTION = 'list';\n'crm.lead.' + ACTION",
            "const ACTION = pick();\n'crm.lead.' + ACTION",
            "'crm.lead.' + Other.ACTION",
            "const LEAD = 'crm.lead.';\ncall(Api::LEAD . 'get');",
            "static LEAD = 'crm.lead.';\ncall(this.LEAD + 'get');",
        ] {
            assert_eq!(said(text), ["?crm.lead."], "{text}");
        }
        assert_eq!(said("\"crm.{$entity}.get\""), ["?crm."]);
        assert_eq!(
            said("const LEAD = 'crm.lead.';\nf(Api::LEAD, Api::LEAD->x);"),
            NOTHING
        );
    }

    #[test]
    fn a_list_in_braces_is_no_interpolation() {
        assert_eq!(said("crm.{lead,deal}.get"), NOTHING);
    }

    #[test]
    fn a_call_by_a_variable_is_said_to_be_unseen_and_its_declaration_is_not() {
        assert_eq!(said("BX24.callMethod(method, params)"), ["?variable"]);
        assert_eq!(said("CRest::call($method, [])"), ["?variable"]);
        assert_eq!(said("CRest::call('crm.item.get', [])"), NOTHING);
        assert_eq!(said("function callMethod(method, params) {"), NOTHING);
        assert_eq!(said("  callMethod(method, params) {"), NOTHING);
        assert_eq!(
            said("$b->getCRMScope()->lead()->get(1)->lead()"),
            ["?accessor"]
        );
    }

    #[test]
    fn code_that_goes_through_attributes_may_be_a_call() {
        assert_eq!(said("client.crm.lead.get(bitrix_id=1)"), ["?attribute"]);
        assert_eq!(said("task.item.add(element)"), ["?attribute"]);
        assert_eq!(said("'crm.lead.get'(x)"), ["crm.lead.get"]);
    }

    #[test]
    fn a_name_that_is_a_common_word_is_found_only_where_it_is_called() {
        assert_eq!(said("the methods of a class"), NOTHING);
        assert_eq!(said("'methods'"), NOTHING);
        assert_eq!(said("docs/methods"), NOTHING);
        assert_eq!(said("CRest::call('methods')"), ["methods"]);
        assert_eq!(said("BX24.callMethod(\"methods\", {})"), ["methods"]);
        assert_eq!(
            said("curl https://x.bitrix24.com/rest/1/code/methods.json"),
            ["methods"]
        );
        assert_eq!(
            said("curl https://x.bitrix24.com/rest/1/code/methods.html"),
            NOTHING
        );
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "é crm.lead.get\nб\n\"crm.lead\n";
        let mut places = Places::new(text.as_bytes());
        let at = text.find("crm").unwrap();
        let place = places.of(&(at..at + 12));
        assert_eq!((place.line, place.column, place.end_column), (1, 3, 15));
        let at = text.rfind("crm").unwrap();
        let place = places.of(&(at..at + 9));
        assert_eq!((place.line, place.column, place.end_column), (3, 2, 10));
    }

    #[test]
    fn many_finds_in_one_line_cost_one_reading_of_it() {
        let (_, finder) = finder();
        let text = "x('crm.lead.get'); ".repeat(5_000);
        let hits = finder.find(text.as_bytes(), Language::Other);
        assert_eq!(hits.len(), 5_000);
        let mut places = Places::new(text.as_bytes());
        crate::places::counted::bytes();
        let last = hits.iter().map(|hit| places.of(&hit.span)).last();
        assert_eq!(last.map(|place| place.column), Some(19 * 4_999 + 4));
        assert!(crate::places::counted::bytes() <= text.len());
    }

    #[test]
    fn many_constants_cost_as_much_as_they_stand_there() {
        let (_, finder) = finder();
        for end in ["\n", " "] {
            let one = |n| format!("const C{n} = 'crm.lead';{end}call(C{n} + '.get');{end}");
            let text: String = (0..2_000).map(one).collect();
            join::counted::LOOKED_AT.set(0);
            let hits = finder.find(text.as_bytes(), Language::Other);
            // In one line a declaration may be taken for that of the constant before it.
            assert!(hits.len() > 1_990, "{}", hits.len());
            // Each of 4,000 words: once for its value, once for uses, once for uses of another's.
            assert!(join::counted::LOOKED_AT.get() <= 3 * 4_000);
        }
    }
}
