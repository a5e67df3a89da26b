//! What the client gets: the portal's answer, or one of ours.

use crate::catalogue::Rule;
use crate::protocol::answer::{self, Format};
use crate::proxy::call::response_body::ResponseBody;
use crate::proxy::error::ProxyError;
use crate::proxy::http::forward;
use crate::proxy::http::forward::{ResponsePlan, Turn};
use crate::proxy::http::head::{Framing, Minor, Name, RequestHead};
use crate::proxy::net::stall::Stall;
use crate::proxy::portal::Answer;
use crate::proxy::portal::body::PortalBody;
use bytes::Bytes;
use hyper::StatusCode;

/// The names that answers to deprecated calls add, for browsers.
const EXPOSED: &str = "Deprecation, Sunset, Link";

/// An answer on its way to the client.
pub struct Reply {
    /// Status line and fields, without the empty line.
    pub head: Vec<u8>,
    /// How the body is delimited, as the fields say it; none where there is no body whatever they say.
    pub framing: Framing,
    pub status: StatusCode,
    pub body: ResponseBody,
    /// Close the client's connection afterwards.
    pub close: bool,
    /// The value of `Trailer`.
    pub trailer: Option<Vec<u8>>,
}

/// What is added to, or changed in, the portal's answer.
#[derive(Default)]
pub struct Additions<'a> {
    /// Lines about deprecation, for each rule once.
    pub deprecation: &'a [u8],
    /// Any other lines of ours.
    pub lines: &'a [u8],
    /// Turns the portal's own origin into the proxy's.
    pub origin: Option<Turn<'a>>,
    /// What was read of the body to look into it, and whether that is all of it.
    pub read: Option<(Bytes, bool)>,
    /// The body that takes the portal's place.
    pub replaced: Option<Bytes>,
}

/// Passes the portal's answer on.
pub fn pass_on(request: &RequestHead, answer: Answer, additions: Additions<'_>) -> Reply {
    let head = &answer.head;
    let no_body = request.method() == b"HEAD" || matches!(head.status, 101 | 204 | 304);
    let add;
    let plan = ResponsePlan {
        add: if additions.lines.is_empty() {
            additions.deprecation
        } else {
            add = [additions.deprecation, additions.lines].concat();
            &add
        },
        expose: if additions.deprecation.is_empty() {
            ""
        } else {
            EXPOSED
        },
        origin: additions.origin,
        length: additions.replaced.as_ref().map(|body| body.len() as u64),
        http10: request.minor == Minor::Zero,
        upgrade: head.status == 101,
    };
    let mut bytes = Vec::new();
    forward::response(head, &plan, &mut bytes);
    let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let trailer = head.fields.first(Name::Trailer).map(<[u8]>::to_vec);
    let framing = match (plan.length, head.framing) {
        _ if no_body => Framing::None,
        (Some(length), _) => Framing::Length(length),
        // A client of HTTP/1.0 knows no chunks.
        (None, Framing::Chunked | Framing::Close) if !plan.http10 => Framing::Chunked,
        (None, Framing::Chunked) => Framing::Close,
        (None, framing) => framing,
    };
    let body = if no_body || head.framing == Framing::None {
        ResponseBody::Empty
    } else if let Some(replaced) = additions.replaced {
        ResponseBody::Whole(Some(replaced))
    } else {
        match additions.read {
            Some((read, true)) => {
                let chunked = !matches!(head.framing, Framing::Length(_));
                if chunked {
                    ResponseBody::Unsized(Some(read))
                } else {
                    ResponseBody::Whole(Some(read))
                }
            }
            Some((read, false)) => ResponseBody::Portal {
                first: Some(read),
                body: answer.body,
                stall: answer.stall.map(Stall::new),
            },
            None => match answer.body {
                PortalBody::Whole(body) => ResponseBody::Whole(body),
                body => ResponseBody::Portal {
                    first: None,
                    body,
                    stall: answer.stall.map(Stall::new),
                },
            },
        }
    };
    Reply {
        head: bytes,
        framing,
        status,
        body,
        close: false,
        trailer,
    }
}

/// An answer of our own: Bitrix-shaped, readable by browsers, marked as ours (RFC 9209).
pub fn error(error: &ProxyError, format: Format, to_head: bool, extra: &[u8]) -> Reply {
    let body = answer::error_body(format, error.code, &error.description);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut head = Vec::with_capacity(512);
    let mut line = |parts: &[&str]| {
        for part in parts {
            head.extend_from_slice(part.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
    };
    line(&[
        "HTTP/1.1 ",
        status.as_str(),
        " ",
        status.canonical_reason().unwrap_or(""),
    ]);
    line(&["Content-Type: ", answer::content_type(format)]);
    line(&["Content-Length: ", &body.len().to_string()]);
    line(&["Access-Control-Allow-Origin: *"]);
    line(&["Access-Control-Expose-Headers: Retry-After, Proxy-Status"]);
    line(&["Cache-Control: no-store"]);
    line(&[
        "Proxy-Status: b24-migration-proxy; error=",
        error.proxy_status,
    ]);
    if let Some(seconds) = error.retry_after {
        line(&["Retry-After: ", &seconds.to_string()]);
    }
    head.extend_from_slice(extra);
    Reply {
        head,
        framing: if to_head {
            Framing::None
        } else {
            Framing::Length(body.len() as u64)
        },
        status,
        body: if to_head {
            ResponseBody::Empty
        } else {
            ResponseBody::Whole(Some(body.into()))
        },
        close: error.close,
        trailer: None,
    }
}

/// The lines that tell a caller of deprecated methods: since when (RFC 9745), until when (RFC 8594), and where to read on.
/// Both dates are single values by their RFCs, so that of several rules the earliest is told; each rule has its links.
pub fn deprecation_lines<'r>(rules: impl Iterator<Item = &'r Rule> + Clone) -> Vec<u8> {
    let earliest = |date: fn(&Rule) -> Option<&str>| {
        rules.clone().filter_map(|rule| midnight(date(rule)?)).min()
    };
    let mut lines = String::new();
    if let Some(since) = earliest(|rule| rule.deprecated.as_deref()) {
        lines.push_str(&format!("Deprecation: @{since}\r\n"));
    }
    if let Some(until) = earliest(|rule| rule.sunset.as_deref()) {
        let date = jiff::Timestamp::from_second(until).unwrap_or_default();
        lines.push_str(&format!(
            "Sunset: {}\r\n",
            date.strftime("%a, %d %b %Y %H:%M:%S GMT")
        ));
    }
    let links: Vec<String> = rules.flat_map(links).collect();
    if !links.is_empty() {
        lines.push_str(&format!("Link: {}\r\n", links.join(", ")));
    }
    lines.into_bytes()
}

/// The documentation, and the method to call instead where it is a single one; its address is relative to the call's.
fn links(rule: &Rule) -> impl Iterator<Item = String> + use<> {
    let page = rule
        .documentation_url()
        .map(|page| format!("<{page}>; rel=\"deprecation\"; type=\"text/html\""));
    let is_single = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let successor = rule
        .replacement
        .as_deref()
        .filter(is_single)
        .map(|name| format!("<{name}>; rel=\"successor-version\""));
    page.into_iter().chain(successor)
}

/// The seconds since 1970 of a date at midnight UTC.
fn midnight(date: &str) -> Option<i64> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let midnight = date.to_datetime(jiff::civil::Time::midnight());
    jiff::tz::TimeZone::UTC
        .to_timestamp(midnight)
        .ok()
        .map(|moment| moment.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn several_rules_have_one_date_and_all_their_links() {
        let catalogue = Catalogue::builtin();
        let rules: Vec<&Rule> = catalogue
            .rules()
            .iter()
            .map(|rule| &**rule)
            .take(2)
            .collect();
        let lines = String::from_utf8(deprecation_lines(rules.iter().copied())).unwrap();
        assert_eq!(lines.matches("Deprecation: @").count(), 1, "{lines}");
        assert_eq!(lines.matches("Link: ").count(), 1, "{lines}");
        assert_eq!(lines.matches("rel=\"deprecation\"").count(), 2, "{lines}");
    }
}
