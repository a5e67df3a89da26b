//! How an answer's body is packed, and what it is unpacked.

use crate::proxy::http::fields::Name;
use crate::proxy::http::head::ResponseHead;
use std::borrow::Cow;
use std::io::Read;

/// How an answer's body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    None,
    Gzip,
    Deflate,
    Other,
}

impl Coding {
    /// Of an answer, by its `Content-Encoding`.
    pub fn of(head: &ResponseHead) -> Self {
        if !head.fields.has(Name::ContentEncoding) {
            return Coding::None;
        }
        let is_plain = |value: &[u8]| value.eq_ignore_ascii_case(b"identity");
        let mut codings = head
            .fields
            .known(Name::ContentEncoding)
            .filter(|value| !is_plain(value));
        match (codings.next(), codings.next()) {
            (None, _) => Coding::None,
            (Some(one), None) if one.eq_ignore_ascii_case(b"gzip") => Coding::Gzip,
            (Some(one), None) if one.eq_ignore_ascii_case(b"deflate") => Coding::Deflate,
            _ => Coding::Other,
        }
    }

    /// The body as it was before it was packed; `None` where it cannot be read or is longer than `most`.
    pub fn plain<'b>(self, body: &'b [u8], most: usize) -> Option<Cow<'b, [u8]>> {
        let unpacked = match self {
            Coding::None => return Some(Cow::Borrowed(body)),
            Coding::Gzip => unpack(flate2::read::MultiGzDecoder::new(body), most),
            // By RFC 9110 a zlib stream; some send a bare one.
            Coding::Deflate => unpack(flate2::read::ZlibDecoder::new(body), most)
                .or_else(|| unpack(flate2::read::DeflateDecoder::new(body), most)),
            Coding::Other => None,
        };
        unpacked.map(Cow::Owned)
    }
}

fn unpack(packed: impl Read, most: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    packed.take(most as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= most).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn packed_errors_are_read_and_bombs_are_not() {
        let text = br#"{"error":"QUERY_LIMIT_EXCEEDED"}"#;
        let gzip = {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        let zlib = {
            let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        let bare = {
            let mut out =
                flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        for (coding, packed) in [
            (Coding::None, text.to_vec()),
            (Coding::Gzip, gzip.clone()),
            (Coding::Deflate, zlib),
            (Coding::Deflate, bare),
        ] {
            assert_eq!(
                coding.plain(&packed, 100).as_deref(),
                Some(&text[..]),
                "{coding:?}"
            );
        }
        assert_eq!(Coding::Gzip.plain(&gzip, 10), None);
        assert_eq!(Coding::Gzip.plain(b"no gzip", 100), None);
        assert_eq!(Coding::Other.plain(text, 100), None);
    }
}
