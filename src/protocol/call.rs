//! Which reader a body gets (PROTOCOL §2).
use super::{form, json, multipart, name};
use crate::protocol::flaw::Unreadable;
use std::ops::Range;

/// The reader that a Content-Type picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `application/json`, `…+json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Urlencoded,
    /// `multipart/form-data`.
    Multipart,
    /// No or another type: a form string, trimmed.
    Raw,
}

impl Reader {
    /// The reader of a body of this type.
    pub fn of(content_type: Option<&[u8]>) -> Self {
        let bytes = content_type.unwrap_or_default();
        let media_type = bytes
            .split(|b| *b == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let json_suffix = media_type
            .windows(5)
            .any(|window| window.eq_ignore_ascii_case(b"+json"));
        if json_suffix || media_type.eq_ignore_ascii_case(b"application/json") {
            return Reader::Json;
        }
        Self::of_php(content_type)
    }

    /// What PHP has read before the portal looks: a form, or nothing ([`Reader::Raw`]).
    pub fn of_php(content_type: Option<&[u8]>) -> Self {
        let bytes = content_type.unwrap_or_default();
        let is = |end: &dyn Fn(&u8) -> bool, name: &[u8]| {
            bytes[..bytes.iter().position(end).unwrap_or(bytes.len())].eq_ignore_ascii_case(name)
        };
        let ends = |b: &u8| matches!(b, b';' | b',' | b' ');
        if is(&ends, b"application/x-www-form-urlencoded") {
            Reader::Urlencoded
        } else if is(&ends, b"multipart/form-data") {
            Reader::Multipart
        } else {
            Reader::Raw
        }
    }
}

/// Whether two Content-Types give the same body other parameters.
pub fn are_read_differently(one: &[u8], other: &[u8]) -> bool {
    let of = |content_type| {
        let reader = Reader::of(Some(content_type));
        let php = Reader::of_php(Some(content_type));
        let is_multipart = php == Reader::Multipart;
        let boundary = is_multipart.then(|| multipart::boundary(content_type));
        (reader, php, boundary)
    };
    of(one) != of(other)
}

/// Whether a `Content-Encoding` names a coding. What names none is ignored by servers and PHP.
pub fn names_coding(content_encoding: &[u8]) -> bool {
    const CODINGS: [&[u8]; 7] = [
        b"gzip",
        b"x-gzip",
        b"deflate",
        b"br",
        b"compress",
        b"x-compress",
        b"zstd",
    ];
    content_encoding
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .any(|named| {
            CODINGS
                .iter()
                .any(|coding| named.eq_ignore_ascii_case(coding))
        })
}

/// A body as the portal reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// It holds no parameter. `span` is what a JSON object may take the place of, where the body is said to be JSON and
    /// is `{}`, `[]` or `null`.
    Empty {
        /// Where `{}`, `[]` or `null` stands.
        json: Option<Range<usize>>,
    },
    /// A JSON object or list that is not empty.
    Json {
        /// What stands at the top.
        top: json::Value,
        /// Its members or entries.
        members: Vec<json::Member>,
    },
    /// A form string.
    Form {
        /// Where it stands in the body.
        span: Range<usize>,
        /// How much of it is read.
        limit: form::Limit,
        /// The Content-Type says that it is one.
        is_declared: bool,
    },
    /// Fields of a multipart form.
    Multipart {
        /// What stands between the fields.
        boundary: &'a [u8],
    },
}

/// Reads a POST's body as its Content-Type says. Of a JSON object's members those are kept whose key `keep` wants.
///
/// # Errors
/// Where the body is said to be JSON and PHP's decoder refuses it.
pub fn read_body<'a>(
    content_type: Option<&'a [u8]>,
    body: &[u8],
    mut keep: impl FnMut(&json::Member) -> bool,
) -> Result<Body<'a>, Unreadable> {
    match Reader::of(content_type) {
        Reader::Json if form::trimmed(body).is_empty() => return Ok(Body::Empty { json: None }),
        Reader::Json => {
            let mut members = Vec::new();
            let mut is_empty = true;
            let top = json::read(body, |member| {
                is_empty = false;
                if keep(&member) {
                    members.push(member);
                }
            })?;
            return Ok(match top.kind {
                json::Kind::Null => Body::Empty {
                    json: Some(top.span),
                },
                json::Kind::Object | json::Kind::List if is_empty => Body::Empty {
                    json: Some(top.span),
                },
                json::Kind::Object | json::Kind::List => Body::Json { top, members },
                // A scalar: the portal ignores it, and reads nothing else in its place.
                json::Kind::String | json::Kind::Other => Body::Empty { json: None },
            });
        }
        Reader::Urlencoded if has_field(body, 0..body.len(), form::Limit::URLENCODED) => {
            return Ok(Body::Form {
                span: 0..body.len(),
                limit: form::Limit::URLENCODED,
                is_declared: true,
            });
        }
        // What has a boundary PHP has read to its end, so that nothing is left to be read raw.
        Reader::Multipart => {
            if let Some(boundary) = content_type.and_then(multipart::boundary) {
                let is_parameter =
                    |field: &multipart::Field| name::Name::read(&field.name.text).is_some();
                let has_field = multipart::fields(body, boundary)
                    .any(|field| field.is_read && is_parameter(&field));
                return Ok(if has_field {
                    Body::Multipart { boundary }
                } else {
                    Body::Empty { json: None }
                });
            }
        }
        _ => {}
    }
    Ok(raw(body))
}

/// The last resort: the trimmed body as a form string.
fn raw(body: &[u8]) -> Body<'static> {
    let span = form::trimmed(body);
    if has_field(body, span.clone(), form::Limit::QUERY) {
        Body::Form {
            span,
            limit: form::Limit::QUERY,
            is_declared: false,
        }
    } else {
        Body::Empty { json: None }
    }
}

fn has_field(body: &[u8], span: Range<usize>, limit: form::Limit) -> bool {
    form::pairs(body, span, limit)
        .take_while(|pair| pair.is_read)
        .any(|pair| name::top_level(&body[pair.split(body).0]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_picks_the_reader() {
        for (content_type, reader) in [
            ("application/json", Reader::Json),
            ("Application/JSON; charset=utf-8", Reader::Json),
            ("application/vnd.api+JSON;x", Reader::Json),
            (
                "application/x-www-form-urlencoded; charset=UTF-8",
                Reader::Urlencoded,
            ),
            ("multipart/form-data; boundary=x", Reader::Multipart),
            ("text/json", Reader::Raw),
            ("application/jsonx", Reader::Raw),
            ("", Reader::Raw),
        ] {
            assert_eq!(
                Reader::of(Some(content_type.as_bytes())),
                reader,
                "{content_type}"
            );
        }
        assert_eq!(Reader::of(None), Reader::Raw);
    }

    fn read(content_type: &'static str, body: &str) -> Result<Body<'static>, Unreadable> {
        read_body(Some(content_type.as_bytes()), body.as_bytes(), |_| true)
    }

    #[test]
    fn a_body_without_a_field_is_read_as_a_raw_form() {
        let raw = |span, limit| {
            Ok(Body::Form {
                span,
                limit,
                is_declared: false,
            })
        };
        assert_eq!(
            read("application/x-www-form-urlencoded", "\0a=1"),
            raw(1..4, form::Limit::QUERY)
        );
        assert_eq!(
            read("multipart/form-data", " a=1"),
            raw(1..4, form::Limit::QUERY)
        );
        assert_eq!(
            read("application/x-www-form-urlencoded", "&&=1"),
            Ok(Body::Empty { json: None })
        );
    }

    #[test]
    fn json_without_parameters_is_no_body_at_all() {
        for (body, json) in [
            ("", None),
            (" \r\n", None),
            ("null", Some(0..4)),
            ("\"a=1\"", None),
            ("[ ]", Some(0..3)),
            (" {}", Some(1..3)),
        ] {
            assert_eq!(
                read("application/json", body),
                Ok(Body::Empty { json }),
                "{body:?}"
            );
        }
        assert!(read("application/json", "{").is_err());
    }
}
