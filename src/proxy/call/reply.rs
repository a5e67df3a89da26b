//! What the client gets: the portal's answer, or one of ours.

use crate::protocol::answer::{self, Format};
use crate::proxy::call::response_body::ResponseBody;
use crate::proxy::error::Failure;
use crate::proxy::http::fields::Name;
use crate::proxy::http::forward;
use crate::proxy::http::forward::{ResponsePlan, Turn};
use crate::proxy::http::head::{Framing, Minor, RequestHead};
use crate::proxy::net::stall::Stall;
use crate::proxy::net::stream::Switched;
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
    /// The portal's side, when both sides switch protocols.
    pub tunnel: Option<Box<Switched>>,
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
        tunnel: answer.switched.map(Box::new),
    }
}

/// An answer of our own: Bitrix-shaped, readable by browsers, marked as ours (RFC 9209).
pub fn error(failure: &Failure, format: Format, to_head: bool, extra: &[u8]) -> Reply {
    let body = answer::error_body(format, failure.code(), &failure.description());
    let row = failure.row();
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::BAD_GATEWAY);
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
        row.proxy_status,
    ]);
    if let Some(seconds) = failure.retry_after() {
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
        close: row.closes,
        trailer: None,
        tunnel: None,
    }
}
