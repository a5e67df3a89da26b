//! The way of one request, from its head to the head of its answer.

use super::body::{RequestBody, ResponseBody};
use super::connection::Control;
use super::error::ProxyError;
use super::headers::{self, BodyPlan, RequestPlan, ResponsePlan};
use super::upgrade::Tunnel;
use super::upstream::{Answer, Sending};
use super::wire::head::{Framing, Name, RequestHead};
use super::wire::{BadRequest, Fault, Link};
use super::worker::Worker;
use crate::protocol::answer;
use crate::protocol::target::{self, Place};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

/// Who is at the other end of a client's connection.
pub struct Client {
    pub link: Rc<Link>,
    pub control: Rc<Control>,
    pub worker_id: u64,
    /// The client's address: the peer's, or the one that a trusted proxy names for the connection.
    pub address: Option<IpAddr>,
    /// Whether the peer is a proxy whose `X-Forwarded-*` is believed.
    pub trusted: bool,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Both sides have switched protocols.
    pub tunnel: Cell<Option<Tunnel>>,
}

/// What the connection sends.
pub struct Reply {
    pub head: Vec<u8>,
    pub no_body: bool,
    pub status: StatusCode,
    pub body: ResponseBody,
    pub close: bool,
    pub trailer: Option<HeaderValue>,
}

/// Answers one request.
pub async fn handle(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    head: Option<Result<RequestHead, BadRequest>>,
    body: Incoming,
) -> Reply {
    let head = match head {
        Some(Ok(head)) => head,
        Some(Err(BadRequest::Head(error))) => {
            return error_reply(&ProxyError::head(error), answer::Format::Json, false);
        }
        Some(Err(BadRequest::HeadTimeout)) => {
            return error_reply(
                &ProxyError::client_timeout("head", false),
                answer::Format::Json,
                false,
            );
        }
        None => {
            return error_reply(
                &ProxyError::internal("a request had no head"),
                answer::Format::Json,
                false,
            );
        }
    };
    let place = target::place(head.target(), &worker.config.rest_path);
    let format = match &place {
        Place::Call { format, .. } => *format,
        _ => answer::Format::Json,
    };
    let to_head = head.method() == b"HEAD";
    match forward(worker, client, &head, &place, body).await {
        Ok(reply) => reply,
        Err(error) => error_reply(&error, format, to_head),
    }
}

async fn forward(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    head: &RequestHead,
    place: &Place<'_>,
    body: Incoming,
) -> Result<Reply, ProxyError> {
    if matches!(head.method(), b"CONNECT" | b"TRACE") {
        return Err(ProxyError::method_not_allowed());
    }
    let upgrade = matches!(place, Place::Elsewhere)
        && head.wants_upgrade()
        && head.framing == Framing::None
        && !is_h2c(head);
    let plan = RequestPlan {
        target: None,
        host: host(worker),
        client: client.address,
        scheme: client.scheme,
        trusted: client.trusted,
        body: BodyPlan::AsItCame,
        upgrade,
        plain_answer: false,
        request_id: None,
    };
    let body = if head.framing == Framing::None {
        RequestBody::Empty
    } else {
        RequestBody::Stream(body)
    };
    let sending = Sending {
        head: &|out| headers::request(head, &plan, out),
        to_head: head.method() == b"HEAD",
        upgrade,
        trailer: head.fields.first(Name::Trailer),
    };
    let answer = worker
        .upstream
        .send(&sending, body)
        .await
        .map_err(|error| blame(client, error))?;
    Ok(pass_on(client, head, answer, upgrade))
}

/// A call that failed because its client did is the client's error.
fn blame(client: &Client, error: ProxyError) -> ProxyError {
    match client.link.fault() {
        Some(Fault::BadChunk(what)) => ProxyError::bad_body(what),
        Some(Fault::ReadTimeout) => ProxyError::client_timeout("body", true),
        Some(Fault::Closed | Fault::Broken(_)) => ProxyError::client_gone(),
        _ => error,
    }
}

fn is_h2c(head: &RequestHead) -> bool {
    head.fields.has_token(Name::Upgrade, "h2c")
}

fn host(worker: &Worker) -> Option<&[u8]> {
    worker.host.as_deref()
}

fn pass_on(client: &Client, request: &RequestHead, answer: Answer, upgrade: bool) -> Reply {
    let head = &answer.head;
    let switching = upgrade && head.status == 101;
    let plan = ResponsePlan {
        http10: request.minor == super::wire::head::Minor::Zero,
        upgrade: switching,
        ..ResponsePlan::default()
    };
    let mut bytes = Vec::with_capacity(512);
    headers::response(head, &plan, &mut bytes);
    let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let no_body = request.method() == b"HEAD" || matches!(head.status, 101 | 204 | 304);
    let trailer = head
        .fields
        .first(Name::Trailer)
        .and_then(|v| HeaderValue::from_bytes(v).ok());
    let mut lease = answer.lease;
    let body = if switching {
        client.tunnel.set(answer.switched);
        ResponseBody::Empty
    } else if head.framing == Framing::None {
        if let Some(lease) = lease.take() {
            lease.give_back();
        }
        ResponseBody::Empty
    } else {
        ResponseBody::Portal {
            body: answer.body,
            lease,
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
pub fn error_reply(error: &ProxyError, format: answer::Format, to_head: bool) -> Reply {
    let body = answer::error_body(format, error.code, &error.description);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut head = Vec::with_capacity(512);
    let mut line = |name: &str, value: &str| {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    };
    line("Content-Type", answer::content_type(format));
    line("Content-Length", &body.len().to_string());
    line("Access-Control-Allow-Origin", "*");
    line("Access-Control-Expose-Headers", "Retry-After, Proxy-Status");
    line("Cache-Control", "no-store");
    line(
        "Proxy-Status",
        &format!("b24-migration-proxy; error={}", error.proxy_status),
    );
    if let Some(seconds) = error.retry_after {
        line("Retry-After", &seconds.to_string());
    }
    let mut bytes = format!(
        "HTTP/1.1 {} {}\r\n",
        error.status,
        status.canonical_reason().unwrap_or("")
    )
    .into_bytes();
    bytes.extend_from_slice(&head);
    Reply {
        head: bytes,
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
