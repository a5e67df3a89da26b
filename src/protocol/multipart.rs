//! `multipart/form-data` as PHP reads it (PROTOCOL §2), as spans of the body.
//!
//! PHP's reader is laxer than the standard, and clients count on it: it follows lines that end in a bare LF, reads on
//! behind the closing boundary, takes unquoted names, and does without an end. So no library's parser can stand in.
use memchr::{memchr, memmem};
use std::ops::Range;

/// PHP's `max_input_vars`: later fields are dropped.
pub const MOST_FIELDS: usize = 1000;

/// With the `max_file_uploads` files that PHP takes beside its fields: later parts are not read.
const MOST_PARTS: usize = MOST_FIELDS + 20;

/// PHP reads lines of more than 5 KiB in pieces, and a piece may look like a boundary or a field of its own. No client writes such
/// a line; this leaves room for what a translation makes longer.
pub const LONGEST_LINE: usize = 4096;

/// A field of a form: not a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: FieldName,
    /// Its value.
    pub value: Range<usize>,
    /// Its place within the limit: the portal reads it.
    pub is_read: bool,
    /// The whole part: from its boundary's line up to the next one's, or to the end.
    pub part: Range<usize>,
    /// Something like a boundary stands behind it.
    pub is_ended: bool,
}

/// A field's name: its text, and where each byte of that stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldName {
    /// The name, quotes and backslashes removed. Percent-escapes in it mean nothing.
    pub text: Vec<u8>,
    at: Vec<usize>,
}

impl FieldName {
    /// The bytes of the body that stand for a part of the name, which is not empty.
    pub fn raw(&self, part: Range<usize>) -> Range<usize> {
        match self.at.get(part) {
            Some([first, .., last]) => *first..last + 1,
            Some([only]) => *only..only + 1,
            _ => 0..0,
        }
    }

    fn push(&mut self, byte: (u8, usize)) {
        self.text.push(byte.0);
        self.at.push(byte.1);
    }
}

/// The boundary that a Content-Type names.
pub fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let content_type = &content_type[..memchr(0, content_type).unwrap_or(content_type.len())];
    let word = memmem::find(&content_type.to_ascii_lowercase(), b"boundary")?;
    let value = &content_type[word + memchr(b'=', &content_type[word..])? + 1..];
    match value {
        [b'"', quoted @ ..] => Some(&quoted[..memchr(b'"', quoted)?]),
        _ => Some(&value[..memchr::memchr2(b',', b';', value).unwrap_or(value.len())]),
    }
}

/// The fields of a body, in order; files are passed over.
pub fn fields<'a>(body: &'a [u8], boundary: &[u8]) -> Parts<'a> {
    let line = [b"--", boundary].concat();
    let next = memmem::Finder::new(&[b"\n", line.as_slice()].concat()).into_owned();
    Parts {
        body,
        at: 0,
        line,
        next,
        parts: 0,
        fields: 0,
        long_line: None,
        broke_off: None,
    }
}

/// Where the first part begins, with its boundary's line, and whether that ends in CR LF; what stands before it counts for
/// nothing.
pub fn first_part(body: &[u8], boundary: &[u8]) -> Option<(usize, bool)> {
    fields(body, boundary).find_boundary()
}

/// Where a line begins that is too long to be sure of, if there is one.
pub fn long_line(body: &[u8], boundary: &[u8]) -> Option<usize> {
    let mut fields = fields(body, boundary);
    fields.by_ref().for_each(drop);
    fields.long_line
}

/// The fields of a body.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    body: &'a [u8],
    at: usize,
    line: Vec<u8>,
    next: memmem::Finder<'static>,
    parts: usize,
    fields: usize,
    long_line: Option<usize>,
    broke_off: Option<usize>,
}

impl Iterator for Parts<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        loop {
            let (start, _) = self.find_boundary()?;
            let Some(disposition) = self.headers() else {
                continue;
            };
            self.parts += 1;
            let (name, is_file) = disposition_names(&disposition);
            if name.is_none() && !is_file || self.parts > MOST_PARTS {
                self.broke_off = Some(start);
                self.at = self.body.len();
                return None;
            }
            let (value, is_ended) = self.value();
            let Some(name) = name.filter(|_| !is_file) else {
                continue;
            };
            self.fields += 1;
            let is_read = self.fields <= MOST_FIELDS;
            return Some(Field {
                name,
                value,
                is_read,
                part: start..self.at + usize::from(is_ended),
                is_ended,
            });
        }
    }
}

impl Parts<'_> {
    /// Where a line begins that is too long to be sure of, of those that were read.
    pub fn long_line(&self) -> Option<usize> {
        self.long_line
    }

    /// Where the part begins that has ended the reading before the body's end. Where no field was found until then, what PHP has
    /// not read is still there, to be read as a form string.
    pub fn broke_off(&self) -> Option<usize> {
        self.broke_off
    }

    /// Passes the next line; gives it without its end, and whether that was CR LF. A NUL ends what is seen of it. A last
    /// line without an end is none.
    fn line(&mut self) -> Option<(Range<usize>, bool)> {
        let start = self.at;
        let end = memchr(b'\n', &self.body[start..]).map(|length| start + length);
        if end.unwrap_or(self.body.len()) - start > LONGEST_LINE {
            self.long_line.get_or_insert(start);
        }
        let end = end?;
        self.at = end + 1;
        let has_cr = end > start && self.body[end - 1] == b'\r';
        let line = start..end - usize::from(has_cr);
        let seen = memchr(0, &self.body[line.clone()]).unwrap_or(line.len());
        Some((start..start + seen, has_cr))
    }

    fn find_boundary(&mut self) -> Option<(usize, bool)> {
        loop {
            let (line, has_cr) = self.line()?;
            if self.body[line.clone()] == self.line {
                return Some((line.start, has_cr));
            }
        }
    }

    /// Passes a part's head; gives the value of its first Content-Disposition, folded lines joined, as bytes with their
    /// places.
    fn headers(&mut self) -> Option<Vec<(u8, usize)>> {
        let mut disposition: Option<Vec<(u8, usize)>> = None;
        let mut is_open = false;
        while let Some((line, _)) = self.line() {
            if line.is_empty() {
                break;
            }
            let bytes = &self.body[line.clone()];
            let colon = memchr(b':', bytes).filter(|_| !is_space(bytes[0]));
            let from = match colon {
                Some(colon) => {
                    is_open = disposition.is_none()
                        && bytes[..colon].eq_ignore_ascii_case(b"content-disposition");
                    colon
                        + 1
                        + bytes[colon + 1..]
                            .iter()
                            .take_while(|b| is_space(**b))
                            .count()
                }
                None => 0,
            };
            if is_open {
                let placed = bytes[from..].iter().copied().zip(line.start + from..);
                disposition.get_or_insert_default().extend(placed);
            }
        }
        disposition
    }

    /// Passes a part's value: up to the next line that begins like the boundary, or to the end. Says whether there is one.
    fn value(&mut self) -> (Range<usize>, bool) {
        let rest = &self.body[self.at..];
        let length = self.next.find(rest).unwrap_or_else(|| {
            // PHP also stops at what could be the begin of a boundary, even where the body ends in the middle of it.
            let needle = self.next.needle();
            let tail = rest.len().saturating_sub(needle.len() - 1);
            (tail..rest.len())
                .find(|at| needle.starts_with(&rest[*at..]))
                .unwrap_or(rest.len())
        });
        let found = length < rest.len();
        let has_cr = found && length > 0 && rest[length - 1] == b'\r';
        let start = self.at;
        self.at += length;
        (start..self.at - usize::from(has_cr), found)
    }
}

/// The last `name` of a Content-Disposition, and whether it has a `filename`.
fn disposition_names(text: &[(u8, usize)]) -> (Option<FieldName>, bool) {
    let mut name = None;
    let mut is_file = false;
    let mut at = text.iter().take_while(|b| is_space(b.0)).count();
    while at < text.len() {
        let (pair, next) = word(text, at, b';');
        at = next + text[next..].iter().take_while(|b| is_space(b.0)).count();
        let pair = &text[pair];
        if !pair.iter().any(|b| b.0 == b'=') {
            continue;
        }
        let (key, value) = word(pair, 0, b'=');
        let key: Vec<u8> = pair[key].iter().map(|b| b.0.to_ascii_lowercase()).collect();
        match key.as_slice() {
            b"name" => name = Some(unquoted(&pair[value..])),
            b"filename" => is_file = true,
            _ => {}
        }
    }
    (name, is_file)
}

/// PHP's `php_ap_getword`: what stands before the next `stop` outside of quotes, and where to go on behind it.
fn word(text: &[(u8, usize)], start: usize, stop: u8) -> (Range<usize>, usize) {
    let mut at = start;
    while at < text.len() && text[at].0 != stop {
        let quote = text[at].0;
        at += 1;
        if let b'"' | b'\'' = quote {
            while at < text.len() && text[at].0 != quote {
                let escaped = text[at].0 == b'\\' && text.get(at + 1).is_some_and(|b| b.0 == quote);
                at += if escaped { 2 } else { 1 };
            }
            at = (at + 1).min(text.len());
        }
    }
    let next = at + text[at..].iter().take_while(|b| b.0 == stop).count();
    (start..at, next)
}

/// PHP's `php_ap_getword_conf`: a value, quoted or up to the next space.
fn unquoted(text: &[(u8, usize)]) -> FieldName {
    let text = &text[text.iter().take_while(|b| is_space(b.0)).count()..];
    let (quote, text) = match text.first() {
        Some((quote @ (b'"' | b'\''), _)) => (Some(*quote), &text[1..]),
        _ => (
            None,
            &text[..text.iter().take_while(|b| !is_space(b.0)).count()],
        ),
    };
    let mut name = FieldName::default();
    let mut at = 0;
    while at < text.len() && Some(text[at].0) != quote {
        let next = text.get(at + 1).map(|b| b.0);
        let escapes =
            text[at].0 == b'\\' && next.is_some() && (next == Some(b'\\') || next == quote);
        at += usize::from(escapes);
        name.push(text[at]);
        at += 1;
    }
    name
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<(String, &str)> {
        fields(body.as_bytes(), b"B")
            .map(|field| {
                (
                    String::from_utf8(field.name.text).unwrap(),
                    &body[field.value],
                )
            })
            .collect()
    }

    fn part(disposition: &str, value: &str) -> String {
        format!("--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
    }

    #[test]
    fn a_boundary_is_found_as_php_finds_it() {
        assert_eq!(
            boundary(b"multipart/form-data; boundary=B"),
            Some(b"B".as_slice())
        );
        assert_eq!(
            boundary(b"multipart/form-data; Boundary=\"B;C\"; x"),
            Some(b"B;C".as_slice())
        );
        assert_eq!(
            boundary(b"multipart/form-data;boundary=B,C"),
            Some(b"B".as_slice())
        );
        assert_eq!(boundary(b"multipart/form-data"), None);
        assert_eq!(boundary(b"multipart/form-data; boundary=\"B"), None);
    }

    #[test]
    fn fields_are_read_and_files_passed_over() {
        let body = [
            "preamble\r\n".into(),
            part("name=\"a[b]\"", "1\r\n2"),
            part("name=\"f\"; filename=\"\"", "x"),
            part("name=c", "3"),
            part("name='d\\'e'; name=\"f\\\\g\"", ""),
            "--B--\r\n".into(),
            part("name=\"late\"", "4"),
        ]
        .concat();
        let expected = [("a[b]", "1\r\n2"), ("c", "3"), ("f\\g", ""), ("late", "4")];
        assert_eq!(
            read(&body),
            expected.map(|(name, value)| (name.to_owned(), value))
        );
    }

    #[test]
    fn lax_bodies_are_read_as_php_reads_them() {
        assert_eq!(
            read("--B\nContent-Disposition: form-data; name=a\n\n1\n--B--"),
            [("a".into(), "1")]
        );
        assert_eq!(
            read("--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1"),
            [("a".into(), "1")]
        );
        assert_eq!(
            read("--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--"),
            [("a".into(), "1")]
        );
        assert_eq!(
            read(&[part("name=a", "1\r\n--Bx"), part("name=b", "2")].concat()),
            [("a".into(), "1"), ("b".into(), "2")]
        );
        assert_eq!(read(&[part("x", "1"), part("name=b", "2")].concat()), []);
        assert_eq!(
            read(
                "--B\r\nX: y\r\ncontent-disposition: form-data;\r\n name=\"a\r\n b\"\r\n\r\n1\r\n--B"
            ),
            [("a b".into(), "1")]
        );
        assert_eq!(
            read(&["--B\r\nX: y\r\n\r\nz\r\n".into(), part("name=b", "2")].concat()),
            [("b".into(), "2")]
        );
    }

    #[test]
    fn a_line_is_long_where_php_may_read_it_in_pieces() {
        let fits = "x".repeat(4000);
        let long = "x".repeat(5000);
        let of = |body: &str| long_line(body.as_bytes(), b"B");
        assert_eq!(of(&part(&format!("name=\"a\"; x={fits}"), &long)), None);
        assert_eq!(of(&part(&format!("name=\"a\"; x={long}"), "1")), Some(5));
        assert_eq!(of(&format!("{long}\r\n{}", part("name=a", "1"))), Some(0));
        assert_eq!(of(&format!("{}{long}", part("name=a", "1"))), None);
        assert!(of(&format!("{}--B--\r\n{long}", part("name=a", "1"))).is_some());
    }

    #[test]
    fn a_names_bytes_are_known_in_the_body() {
        let body = part("name=\"a\\\"[key]\"", "1");
        let field = fields(body.as_bytes(), b"B").next().unwrap();
        assert_eq!(field.name.text, b"a\"[key]");
        assert_eq!(&body[field.name.raw(3..6)], "key");
        assert_eq!(&body[field.name.raw(0..7)], "a\\\"[key]");
    }
}
