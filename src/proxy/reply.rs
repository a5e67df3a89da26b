//! What the client gets: the portal's answer, or one of ours.

use super::body::{ResponseBody, Stall};
use super::error::ProxyError;
use super::headers::{self, ResponsePlan, Turn};
use super::upstream::Answer;
use super::wire::head::{Framing, Minor, Name, RequestHead};
use crate::catalogue::Rule;
use crate::protocol::answer::{self, Format};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;

/// The names that answers to deprecated calls add, for browsers.
const EXPOSED: &str = "Deprecation, Sunset, Link";

/// An answer on its way to the client.
pub struct Reply {
    /// Status line and fields, without the empty line.
    pub head: Vec<u8>,
    /// There is no body whatever the fields say.
    pub no_body: bool,
    pub status: StatusCode,
    pub body: ResponseBody,
    /// Close the client's connection afterwards.
    pub close: bool,
    /// The value of `Trailer`.
    pub trailer: Option<HeaderValue>,
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
pub fn pass_on(request: &RequestHead, mut answer: Answer, additions: Additions<'_>) -> Reply {
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
    headers::response(head, &plan, &mut bytes);
    let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let trailer = head
        .fields
        .first(Name::Trailer)
        .and_then(|v| HeaderValue::from_bytes(v).ok());
    let body = if no_body || head.framing == Framing::None {
        answer.release();
        ResponseBody::Empty
    } else if let Some(replaced) = additions.replaced {
        answer.release();
        ResponseBody::Whole(Some(replaced))
    } else {
        match additions.read {
            Some((read, true)) => {
                let chunked = !matches!(head.framing, Framing::Length(_));
                answer.release();
                if chunked {
                    ResponseBody::Unsized(Some(read))
                } else {
                    ResponseBody::Whole(Some(read))
                }
            }
            Some((read, false)) => ResponseBody::Portal {
                first: Some(read),
                body: answer.body,
                lease: answer.lease,
                stall: answer.stall.map(Stall::new),
            },
            None => ResponseBody::Portal {
                first: None,
                body: answer.body,
                lease: answer.lease,
                stall: answer.stall.map(Stall::new),
            },
        }
    };
    Reply {
        head: bytes,
        no_body,
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
        no_body: to_head,
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

/// The lines that tell a caller of a deprecated method: since when (RFC 9745), until when (RFC 8594), and where to read on.
pub fn deprecation_lines(rule: &Rule) -> Vec<u8> {
    let mut lines = String::new();
    if let Some(since) = rule.deprecated.as_deref().and_then(midnight) {
        lines.push_str(&format!("Deprecation: @{since}\r\n"));
    }
    if let Some(until) = rule.sunset.as_deref().and_then(midnight) {
        let date = jiff::Timestamp::from_second(until).unwrap_or_default();
        lines.push_str(&format!(
            "Sunset: {}\r\n",
            date.strftime("%a, %d %b %Y %H:%M:%S GMT")
        ));
    }
    let mut links = Vec::new();
    if let Some(page) = rule.documentation_url() {
        links.push(format!("<{page}>; rel=\"deprecation\"; type=\"text/html\""));
    }
    // Only one method can be the successor: a family or a choice is told by the documentation.
    if let Some(successor) = rule
        .replacement
        .as_deref()
        .filter(|r| r.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'))
    {
        links.push(format!("<{successor}>; rel=\"successor-version\""));
    }
    if !links.is_empty() {
        lines.push_str(&format!("Link: {}\r\n", links.join(", ")));
    }
    lines.into_bytes()
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
