//! Which fields of a head go on, and which are ours (RFC 9110 §7.6.1; pure).
//!
//! A head is copied line by line, so that what goes on keeps its case, its order and its bytes. Fields of this hop are
//! left out, `Host` becomes the portal's in the place where the client's stood, and what the proxy says itself comes
//! last, where no `Connection` of the client's can strike it out.

use crate::digits::{address, decimal};
use crate::proxy::http::fields::{Field, Fields, Name, list_items};
use crate::proxy::http::head::{Framing, RequestHead, ResponseHead};
use std::net::IpAddr;
use std::ops::Range;

/// What a forwarded request says that the client's did not.
pub struct RequestPlan<'a> {
    /// The target, when translation changed it.
    pub target: Option<&'a [u8]>,
    /// The portal's `Host`; `None` keeps the client's.
    pub host: Option<&'a [u8]>,
    /// Who calls, as far as the proxy knows.
    pub client: Option<IpAddr>,
    /// `http` or `https`, as the client sees it.
    pub scheme: &'a str,
    /// Whether the peer is a proxy whose `X-Forwarded-*` is believed and extended.
    pub trusted: bool,
    /// How the body goes out.
    pub body: BodyPlan,
    /// Pass `Upgrade` on.
    pub upgrade: bool,
    /// Answers must come in a form that can be read: `Accept-Encoding` is left out.
    pub plain_answer: bool,
    /// Whole lines to add, each with its line end.
    pub add: &'a [u8],
}

/// How a request's body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// Framed as it came.
    AsItCame,
    /// A body of that many bytes, held whole.
    Whole(u64),
}

impl BodyPlan {
    /// How the body is delimited on its way out, if that is how it came.
    pub fn framing(self, came: Framing) -> Framing {
        match self {
            BodyPlan::AsItCame => came,
            BodyPlan::Whole(0) => Framing::None,
            BodyPlan::Whole(length) => Framing::Length(length),
        }
    }
}

/// Whether a `Connection` option may take the field off: never what frames or routes a message or says how to read it.
fn protected(name: Name) -> bool {
    matches!(
        name,
        Name::Host
            | Name::ContentLength
            | Name::TransferEncoding
            | Name::ContentType
            | Name::ContentEncoding
            | Name::XForwardedFor
            | Name::XForwardedHost
            | Name::XForwardedProto
            | Name::Trailer
    )
}

fn nominated(fields: &Fields, name: &[u8]) -> bool {
    fields
        .known(Name::Connection)
        .any(|value| list_items(value).any(|item| item.eq_ignore_ascii_case(name)))
}

/// Whether `Connection` names anything but the two options that concern the connection alone.
fn nominates(fields: &Fields) -> bool {
    fields.known(Name::Connection).any(|value| {
        list_items(value).any(|item| {
            !item.eq_ignore_ascii_case(b"close")
                && !item.eq_ignore_ascii_case(b"keep-alive")
                && !item.eq_ignore_ascii_case(b"upgrade")
        })
    })
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Copies lines of a head that follow each other as one piece.
struct Lines<'h> {
    fields: &'h Fields,
    span: Range<usize>,
}

impl<'h> Lines<'h> {
    fn of(fields: &'h Fields) -> Self {
        Self { fields, span: 0..0 }
    }

    /// Takes a line, to be written with those before and behind it.
    fn take(&mut self, field: &Field, out: &mut Vec<u8>) {
        let span = self.fields.span(field);
        if span.start != self.span.end {
            self.write(out);
            self.span.start = span.start;
        }
        self.span.end = span.end;
    }

    /// Writes what was taken.
    fn write(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.fields.raw()[self.span.clone()]);
        self.span = 0..0;
    }
}

/// Writes the head that goes to the portal, without the empty line at its end.
// Long: one field after the other, in the order in which they go out.
pub fn request(head: &RequestHead, plan: &RequestPlan<'_>, out: &mut Vec<u8>) {
    let fields = &head.fields;
    out.reserve(fields.raw().len() + 192);
    out.extend_from_slice(head.method());
    out.push(b' ');
    out.extend_from_slice(plan.target.unwrap_or(head.target()));
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let nominates = nominates(fields);
    let mut has_host = false;
    let mut lines = Lines::of(fields);
    for field in fields.list() {
        match field.known {
            Name::Host => {
                has_host = true;
                if let Some(host) = plan.host {
                    lines.write(out);
                    line(out, "Host", host);
                    continue;
                }
            }
            Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::Te
            | Name::Http2Settings
            | Name::Expect => continue,
            Name::Upgrade if !plan.upgrade => continue,
            Name::Forwarded | Name::XRealIp | Name::XForwardedPort if !plan.trusted => continue,
            Name::XForwardedFor => continue,
            Name::XForwardedProto | Name::XForwardedHost if !plan.trusted => continue,
            Name::ContentLength | Name::TransferEncoding => {
                if let BodyPlan::Whole(length) = plan.body {
                    // In the place where the body's framing stood.
                    lines.write(out);
                    out.extend_from_slice(b"Content-Length: ");
                    decimal(out, length);
                    out.extend_from_slice(b"\r\n");
                    continue;
                }
            }
            Name::Other
                if plan.plain_answer
                    && fields.name(field).eq_ignore_ascii_case(b"accept-encoding") =>
            {
                continue;
            }
            known if nominates && !protected(known) && nominated(fields, fields.name(field)) => {
                continue;
            }
            _ => {}
        }
        lines.take(field, out);
    }
    lines.write(out);
    if !has_host {
        line(out, "Host", plan.host.unwrap_or(b""));
    }
    if plan.upgrade {
        line(out, "Connection", b"Upgrade");
    }
    if head.fields.has_token(Name::Te, "trailers") {
        out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
    }
    if let BodyPlan::Whole(length) = plan.body
        && head.framing == Framing::None
        && length > 0
    {
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"X-Forwarded-For: ");
    let mut named = false;
    if plan.trusted {
        for value in fields.known(Name::XForwardedFor) {
            if named {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(value);
            named = true;
        }
    }
    match plan.client {
        Some(client) => {
            if named {
                out.extend_from_slice(b", ");
            }
            address(out, client);
        }
        // A trusted peer of a Unix socket has no address of its own to add.
        None if named => {}
        None => out.extend_from_slice(b"unknown"),
    }
    out.extend_from_slice(b"\r\n");
    if !plan.trusted || fields.first(Name::XForwardedProto).is_none() {
        line(out, "X-Forwarded-Proto", plan.scheme.as_bytes());
    }
    if !plan.trusted || fields.first(Name::XForwardedHost).is_none() {
        line(
            out,
            "X-Forwarded-Host",
            fields.first(Name::Host).unwrap_or(b""),
        );
    }
    out.extend_from_slice(plan.add);
}

/// Turns the portal's origin in a field's value into the proxy's, where it stands there.
pub type Turn<'a> = &'a dyn Fn(Name, &[u8]) -> Option<Vec<u8>>;

/// What an answer says to the client that the portal's did not.
#[derive(Default)]
pub struct ResponsePlan<'a> {
    /// Whole lines to add, each with its line end.
    pub add: &'a [u8],
    /// Names to add to `Access-Control-Expose-Headers`, where the answer has it or the list is not empty.
    pub expose: &'a str,
    /// Turns the portal's own origin in `Location`, `Refresh` and the domain of `Set-Cookie` into the proxy's.
    pub origin: Option<Turn<'a>>,
    /// The body was replaced by one of that many bytes.
    pub length: Option<u64>,
    /// The client speaks HTTP/1.0: no transfer coding can be sent.
    pub http10: bool,
    /// Pass `Upgrade` on: protocols are switched.
    pub upgrade: bool,
}

/// Writes the head that goes to the client, without the empty line at its end. `Connection` is the wire's.
pub fn response(head: &ResponseHead, plan: &ResponsePlan<'_>, out: &mut Vec<u8>) {
    let fields = &head.fields;
    out.reserve(fields.raw().len() + plan.add.len() + 64);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[
        b'0' + (head.status / 100) as u8,
        b'0' + (head.status / 10 % 10) as u8,
        b'0' + (head.status % 10) as u8,
        b' ',
    ]);
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    let nominates = nominates(fields);
    let mut exposed = plan.expose.is_empty();
    let mut lines = Lines::of(fields);
    for field in fields.list() {
        match field.known {
            Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding => {
                continue;
            }
            Name::Upgrade if !plan.upgrade => continue,
            Name::ContentLength
                if plan.length.is_some() || matches!(head.framing, Framing::Chunked) =>
            {
                continue;
            }
            Name::Location | Name::Refresh | Name::SetCookie => {
                if let Some(turned) = plan
                    .origin
                    .and_then(|turn| turn(field.known, fields.value(field)))
                {
                    lines.write(out);
                    out.extend_from_slice(fields.name(field));
                    out.extend_from_slice(b": ");
                    out.extend_from_slice(&turned);
                    out.extend_from_slice(b"\r\n");
                    continue;
                }
            }
            Name::AccessControlExposeHeaders if !exposed => {
                exposed = true;
                let value = fields.value(field);
                if value != b"*" {
                    lines.write(out);
                    out.extend_from_slice(fields.name(field));
                    out.extend_from_slice(b": ");
                    out.extend_from_slice(value);
                    out.extend_from_slice(b", ");
                    out.extend_from_slice(plan.expose.as_bytes());
                    out.extend_from_slice(b"\r\n");
                    continue;
                }
            }
            known if nominates && !protected(known) && nominated(fields, fields.name(field)) => {
                continue;
            }
            _ => {}
        }
        lines.take(field, out);
    }
    lines.write(out);
    if !exposed {
        line(out, "Access-Control-Expose-Headers", plan.expose.as_bytes());
    }
    if plan.upgrade {
        line(out, "Connection", b"Upgrade");
    }
    out.extend_from_slice(plan.add);
    match (plan.length, head.framing) {
        (Some(length), _) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        (None, Framing::Chunked | Framing::Close) if !plan.http10 && !plan.upgrade => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        _ => {}
    }
}
