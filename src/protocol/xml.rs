//! As much XML as a portal's answers are made of: elements in elements, text, entities. Spans, no copies, no recursion.
use memchr::{memchr, memmem};
use std::ops::Range;

/// An element: its name, and what stands between its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The name.
    pub name: Range<usize>,
    /// What is inside it; empty for `<a/>`.
    pub inside: Range<usize>,
}

/// The elements that stand directly in a part of a document; text between them is passed over.
pub fn elements(bytes: &[u8], span: Range<usize>) -> Elements<'_> {
    Elements {
        bytes,
        at: span.start,
        end: span.end,
    }
}

/// The first element of a name directly in a part of a document.
pub fn element(bytes: &[u8], span: Range<usize>, name: &str) -> Option<Element> {
    elements(bytes, span).find(|element| bytes[element.name.clone()] == *name.as_bytes())
}

/// The text of an element without elements in it.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains('&') {
        return text.into_owned();
    }
    // The ampersand last, so that `&amp;lt;` stays `&lt;`.
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#039;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.into_owned(), |text, (entity, character)| {
        text.replace(entity, character)
    })
}

/// A text as an element may hold it: control characters, which XML has no place for, are left out.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// The elements that stand directly in a part of a document.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

/// What a tag does.
enum Tag {
    Open,
    Close,
    Empty,
    /// A declaration, a comment, a CDATA section: none of an element's.
    Other,
}

impl Iterator for Elements<'_> {
    type Item = Element;

    fn next(&mut self) -> Option<Element> {
        let mut depth = 0usize;
        let mut found: Option<Element> = None;
        while let Some((tag, name, start)) = self.tag() {
            match (tag, depth) {
                (Tag::Other, _) => {}
                (Tag::Empty, 0) => {
                    return Some(Element {
                        name,
                        inside: self.at..self.at,
                    });
                }
                (Tag::Empty, _) => {}
                (Tag::Open, _) => {
                    depth += 1;
                    found.get_or_insert(Element {
                        name,
                        inside: self.at..self.at,
                    });
                }
                (Tag::Close, 0) => return None,
                (Tag::Close, _) => {
                    depth -= 1;
                    if depth == 0 {
                        return found.map(|element| Element {
                            inside: element.inside.start..start,
                            ..element
                        });
                    }
                }
            }
        }
        None
    }
}

impl Elements<'_> {
    /// Passes the next tag; gives what it does, its name, and where it begins.
    fn tag(&mut self) -> Option<(Tag, Range<usize>, usize)> {
        let rest = &self.bytes[..self.end];
        let start = self.at + memchr(b'<', &rest[self.at..])?;
        let behind =
            |from: usize, end: &[u8]| Some(from + memmem::find(&rest[from..], end)? + end.len());
        let (tag, name_start) = match &rest[start + 1..] {
            [b'!', b'[', ..] => (Tag::Other, behind(start, b"]]>")?),
            [b'!', b'-', ..] => (Tag::Other, behind(start, b"-->")?),
            [b'!' | b'?', ..] => (Tag::Other, behind(start, b">")?),
            [b'/', ..] => (Tag::Close, start + 2),
            _ => (Tag::Open, start + 1),
        };
        if let Tag::Other = tag {
            self.at = name_start;
            return Some((tag, start..start, start));
        }
        let close = name_start + memchr(b'>', rest.get(name_start..)?)?;
        self.at = close + 1;
        let is_empty = close > name_start && rest[close - 1] == b'/';
        let inside = &rest[name_start..close - usize::from(is_empty)];
        let length = inside
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(inside.len());
        Some((
            if is_empty { Tag::Empty } else { tag },
            name_start..name_start + length,
            start,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(&str, &str)> {
        elements(text.as_bytes(), 0..text.len())
            .map(|e| (&text[e.name], &text[e.inside]))
            .collect()
    }

    #[test]
    fn elements_are_found_with_what_is_inside_them() {
        assert_eq!(
            names(
                "<?xml version=\"1.0\"?>\n<a x=\"1\">t<b>1</b><b/></a> <c/><!-- <d> --><![CDATA[<e>]]><f></f>"
            ),
            [("a", "t<b>1</b><b/>"), ("c", ""), ("f", "")]
        );
        assert_eq!(names("<a><a></a></a>"), [("a", "<a></a>")]);
        assert_eq!(names("<a>"), []);
        assert_eq!(names("</a><b></b>"), []);
        assert_eq!(names("a < b <"), []);
    }

    #[test]
    fn text_is_escaped_and_read_again() {
        assert_eq!(text(escaped("a<b>&amp;\u{1}").as_bytes()), "a<b>&amp;");
    }
}
