//! The method of a call whose address fits no template: the parameter `method` names it, in the query or in a form
//! (PROTOCOL §1).
use super::call::Reader;
use super::form::{self, Limit};
use super::name::Name;
use super::target::{Access, Place, Written, lowered, query, text, without_suffix};
use super::{Layer, multipart, name};
use std::borrow::Cow;
use std::ops::Range;

/// The parameter, exactly so spelled.
const METHOD: &[u8] = b"method";

/// Whether the body of such a request may name the method. PHP itself looks at the type here, and calls fewer bodies JSON
/// than the portal does.
pub fn may_stand_in_body(verb: &[u8], content_type: Option<&[u8]>) -> bool {
    verb == b"POST"
        && matches!(
            Reader::of_php(content_type),
            Reader::Urlencoded | Reader::Multipart
        )
}

/// Reads the method of a [`Place::Unnamed`]; [`Place::OtherRest`] where nothing names one.
pub fn read(
    verb: &[u8],
    target: &[u8],
    content_type: Option<&[u8]>,
    body: &[u8],
) -> Place<'static> {
    let found = may_stand_in_body(verb, content_type)
        .then(|| in_body(content_type, body))
        .flatten()
        .or_else(|| in_form(target, query(target), Limit::QUERY, Written::Query));
    let Some(Found::Text {
        bytes,
        value,
        written,
    }) = found
    else {
        return Place::OtherRest;
    };
    let raw = &bytes[value.clone()];
    let layer = match written {
        Written::Multipart => Layer::Plain,
        _ => Layer::Form,
    };
    let decoded = layer.decode(raw);
    let (length, format) = without_suffix(&decoded);
    if length == 0 {
        return Place::OtherRest;
    }
    let span = layer.to_raw(raw, std::iter::once(0..length)).remove(0);
    let method = match decoded {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..length]),
        Cow::Owned(bytes) => Cow::Owned(bytes[..length].to_vec()),
    };
    Place::Call {
        access: Access::Token,
        method: Cow::Owned(lowered(text(&method)).into_owned()),
        format,
        written,
        name: value.start + span.start..value.start + span.end,
    }
}

/// What stands under `method`.
enum Found<'a> {
    Text {
        bytes: &'a [u8],
        value: Range<usize>,
        written: Written,
    },
    /// Something that is no text: a server error.
    List,
}

fn in_body<'a>(content_type: Option<&[u8]>, body: &'a [u8]) -> Option<Found<'a>> {
    if Reader::of_php(content_type) == Reader::Urlencoded {
        return in_form(body, 0..body.len(), Limit::URLENCODED, Written::Form);
    }
    let boundary = content_type.and_then(multipart::boundary)?;
    multipart::fields(body, boundary)
        .filter(|field| field.is_read)
        .filter_map(|field| {
            let name = Name::read(&field.name.text)?;
            found(&name, body, field.value, Written::Multipart)
        })
        .last()
}

fn in_form(bytes: &[u8], span: Range<usize>, limit: Limit, written: Written) -> Option<Found<'_>> {
    form::pairs(bytes, span, limit)
        .take_while(|pair| pair.is_read)
        .filter_map(|pair| {
            let (raw, value) = pair.split(bytes);
            name::top_level(&bytes[raw.clone()]).filter(|key| **key == *METHOD)?;
            let name = Name::read(&Layer::Form.decode(&bytes[raw]))?;
            found(&name, bytes, value, written)
        })
        .last()
}

fn found<'a>(
    name: &Name,
    bytes: &'a [u8],
    value: Range<usize>,
    written: Written,
) -> Option<Found<'a>> {
    (name.key(0) == Some(METHOD)).then(|| match name.keys().len() {
        1 if !name.is_too_deep() => Found::Text {
            bytes,
            value,
            written,
        },
        _ => Found::List,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verb: &str, target: &str, kind: &str, body: &str) -> Option<(String, Written, String)> {
        let kind = Some(kind.as_bytes()).filter(|kind| !kind.is_empty());
        match read(verb.as_bytes(), target.as_bytes(), kind, body.as_bytes()) {
            Place::Call {
                method,
                written,
                name,
                ..
            } => {
                let bytes = match written {
                    Written::Path | Written::Query => target,
                    Written::Form | Written::Multipart => body,
                };
                Some((method.into_owned(), written, bytes[name].to_owned()))
            }
            _ => None,
        }
    }

    fn call(method: &str, written: Written, raw: &str) -> Option<(String, Written, String)> {
        Some((method.to_owned(), written, raw.to_owned()))
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn the_method_stands_in_the_query_unless_a_form_names_another() {
        let target = "/rest/x/y?method=a.b&x=1&%6dethod=C%2ed.xml";
        let in_query = call("c.d", Written::Query, "C%2ed");
        for (verb, kind, body) in [
            ("GET", "", ""),
            ("OPTIONS", FORM, "method=e.f"),
            ("POST", "application/json", r#"{"method":"e.f"}"#),
            ("POST", "", "method=e.f"),
            ("POST", FORM, "x=1"),
        ] {
            assert_eq!(of(verb, target, kind, body), in_query, "{verb} {kind}");
        }
        for kind in [FORM, &format!("{FORM}, x+json")] {
            assert_eq!(
                of("POST", target, kind, "method=e&method=e.f&x"),
                call("e.f", Written::Form, "e.f")
            );
        }
        let part =
            "--B\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\nE.F.json\r\n--B--";
        assert_eq!(
            of("POST", target, "multipart/form-data; boundary=B", part),
            call("e.f", Written::Multipart, "E.F")
        );
    }

    #[test]
    fn what_is_no_text_of_that_name_names_no_method() {
        for query in [
            "",
            "x=1",
            "Method=a.b",
            "method=",
            "method[]=a.b",
            "method=a.b&method[x]=1",
        ] {
            assert_eq!(
                of("GET", &format!("/rest/?{query}"), "", ""),
                None,
                "{query}"
            );
        }
        assert_eq!(
            of("POST", "/rest/?method=a.b", FORM, "method[]=x"),
            None,
            "a form's hides the query's"
        );
        assert_eq!(
            of("GET", "/rest/?method[x]=1&method=a.b", "", ""),
            call("a.b", Written::Query, "a.b")
        );
    }
}
