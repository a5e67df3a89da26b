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
