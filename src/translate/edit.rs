//! Which bytes give way to which; the splice.
//!
//! A call is never printed anew: what no edit covers is copied as it came, in one pass into one buffer of the right size.
use crate::protocol::Layer;
use std::ops::Range;

/// Bytes of the original, and what stands in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// The bytes that give way; empty where something is only put in.
    pub span: Range<usize>,
    /// What comes instead.
    pub text: String,
}

impl Edit {
    pub fn new(span: Range<usize>, text: impl Into<String>) -> Self {
        Self {
            span,
            text: text.into(),
        }
    }

    /// Something new before the byte at `at`.
    pub fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::new(at..at, text)
    }
}

/// The original with its edits, which do not overlap; `None` where there are none.
pub(super) fn splice(original: &[u8], mut edits: Vec<Edit>) -> Option<Vec<u8>> {
    if edits.is_empty() {
        return None;
    }
    edits.sort_by_key(|edit| edit.span.start);
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let removed: usize = edits.iter().map(|edit| edit.span.len()).sum();
    let mut spliced = Vec::with_capacity(original.len() + added - removed);
    let mut at = 0;
    for edit in &edits {
        debug_assert!(at <= edit.span.start, "edits overlap: {edit:?}");
        spliced.extend_from_slice(&original[at..edit.span.start]);
        spliced.extend_from_slice(edit.text.as_bytes());
        at = edit.span.end;
    }
    spliced.extend_from_slice(&original[at..]);
    Some(spliced)
}

/// A text that is edited again and again, as what is left of the original and what is new between.
pub(super) struct Pieces<'a> {
    original: &'a [u8],
    pieces: Vec<Piece>,
}

enum Piece {
    Kept(Range<usize>),
    New(Vec<u8>),
}

impl<'a> Pieces<'a> {
    /// All of it is left.
    pub fn new(original: &'a [u8]) -> Self {
        Self {
            original,
            pieces: vec![Piece::Kept(0..original.len())],
        }
    }

    /// The text as it is now.
    pub fn text(&self) -> Vec<u8> {
        let bytes = self.pieces.iter().map(|piece| match piece {
            Piece::Kept(span) => &self.original[span.clone()],
            Piece::New(text) => text.as_slice(),
        });
        bytes.collect::<Vec<_>>().concat()
    }

    /// Edits the text as it is now.
    pub fn edit(&mut self, mut edits: Vec<Edit>) {
        edits.sort_by_key(|edit| edit.span.start);
        let mut left = std::mem::take(&mut self.pieces).into_iter();
        let mut next = left.next();
        let mut at = 0;
        for edit in edits {
            for (to, keeps) in [(edit.span.start, true), (edit.span.end, false)] {
                while at < to
                    && let Some(piece) = next.take()
                {
                    let (head, tail) = piece.split(to - at);
                    at += head.len();
                    if keeps {
                        self.pieces.push(head);
                    }
                    next = tail.or_else(|| left.next());
                }
            }
            self.pieces.push(Piece::New(edit.text.into_bytes()));
        }
        self.pieces.extend(next.into_iter().chain(left));
    }

    /// All edits together, as edits of the original.
    pub fn into_edits(self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut new: Vec<u8> = Vec::new();
        let mut at = 0;
        let end = Piece::Kept(self.original.len()..self.original.len());
        for piece in self.pieces.into_iter().chain([end]) {
            match piece {
                Piece::New(text) => new.extend(text),
                Piece::Kept(span) => {
                    if span.start > at || !new.is_empty() {
                        let text = String::from_utf8_lossy(&std::mem::take(&mut new)).into_owned();
                        edits.push(Edit::new(at..span.start, text));
                    }
                    at = span.end;
                }
            }
        }
        edits
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Kept(span) => span.len(),
            Piece::New(text) => text.len(),
        }
    }

    /// Its first `length` bytes, and the others where there are some.
    fn split(self, length: usize) -> (Piece, Option<Piece>) {
        if length >= self.len() {
            return (self, None);
        }
        match self {
            Piece::Kept(span) => {
                let middle = span.start + length;
                (
                    Piece::Kept(span.start..middle),
                    Some(Piece::Kept(middle..span.end)),
                )
            }
            Piece::New(mut text) => {
                let tail = text.split_off(length);
                (Piece::New(text), Some(Piece::New(tail)))
            }
        }
    }
}

/// Edits of a text, as edits of the bytes that it is wrapped in; these stand at `raw` of `bytes`.
pub(super) fn wrap(
    layer: Layer,
    bytes: &[u8],
    raw: Range<usize>,
    mut edits: Vec<Edit>,
) -> Vec<Edit> {
    edits.sort_by_key(|edit| edit.span.start);
    let spans = layer.to_raw(
        &bytes[raw.clone()],
        edits.iter().map(|edit| edit.span.clone()),
    );
    let place = |span: Range<usize>| raw.start + span.start..raw.start + span.end;
    edits
        .iter()
        .zip(spans)
        .map(|(edit, span)| Edit::new(place(span), layer.encode(&edit.text)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_edit_covers_is_copied() {
        let edits = vec![
            Edit::insert(6, "!"),
            Edit::new(0..1, "H"),
            Edit::new(2..4, ""),
        ];
        assert_eq!(
            splice(b"hello.", edits).as_deref(),
            Some(b"Heo.!".as_slice())
        );
        assert_eq!(splice(b"hello.", Vec::new()), None);
    }

    #[test]
    fn what_is_edited_again_and_again_is_one_set_of_edits_of_the_original() {
        let mut pieces = Pieces::new(b"a=1&b=2&c=3");
        pieces.edit(vec![Edit::new(4..5, "long"), Edit::insert(11, "&d=4")]);
        assert_eq!(pieces.text(), b"a=1&long=2&c=3&d=4");
        // Within what is new, over what is new and old, and what was put in before is taken out again.
        pieces.edit(vec![Edit::new(5..7, "O"), Edit::new(14..18, "")]);
        assert_eq!(pieces.text(), b"a=1&lOg=2&c=3");
        pieces.edit(vec![Edit::new(6..8, "!"), Edit::insert(0, "?")]);
        assert_eq!(pieces.text(), b"?a=1&lO!2&c=3");
        let edits = pieces.into_edits();
        assert_eq!(
            edits,
            [Edit::insert(0, "?"), Edit::new(4..6, "lO!")],
            "the bytes around stay as they came"
        );
        assert_eq!(
            splice(b"a=1&b=2&c=3", edits).as_deref(),
            Some(b"?a=1&lO!2&c=3".as_slice())
        );
        assert_eq!(Pieces::new(b"abc").into_edits(), []);
    }

    #[test]
    fn edits_of_a_wrapped_text_change_only_their_raw_bytes() {
        let raw = b"x=a%3Fb%26c";
        let edits = wrap(
            Layer::Form,
            raw,
            2..raw.len(),
            vec![Edit::insert(5, "&d=1"), Edit::new(0..1, "A")],
        );
        assert_eq!(
            splice(raw, edits).as_deref(),
            Some(b"x=A%3Fb%26c%26d%3D1".as_slice())
        );
    }
}
