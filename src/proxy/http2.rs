//! HTTP/2 from clients (`--http2`).
//!
//! A request's fields are written down as an HTTP/1.1 head and read by the same strict reader as all others, so that
//! nothing can be said in HTTP/2 that would read differently behind the proxy (RFC 9113 §10.3).

use super::connection::Handle;
use super::executor::Local;
use super::handle::{Client, handle};
use super::reply::Reply;
use super::span::SpannedBody;
use super::stream::Stream;
use super::wire::head::{HeadError, RequestHead, read_request};
use super::wire::{BadRequest, Link, Side};
use super::worker::Worker;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{COOKIE, HeaderName, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

/// Streams that a client may have open at once (RFC 9113 §6.5.2).
const STREAMS: u32 = 100;
/// Bytes of a body that a client may send ahead, for a stream and for the connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of answers that are held for a stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams reset by the client, or by us for its errors, that are remembered before the connection ends
/// (CVE-2023-44487, CVE-2025-8671).
const RESETS: usize = 32;

/// Serves an HTTP/2 connection to its end.
pub async fn serve(worker: Rc<Worker>, stream: Stream, client: Client) {
    let control = client.control.clone();
    let id = worker.register(Handle::new(control.clone(), client.link.clone()));
    let client = Rc::new(client);
    let service = {
        let (worker, client) = (worker.clone(), client.clone());
        service_fn(move |request| answer(worker.clone(), client.clone(), request))
    };
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(u32::try_from(worker.config.max_head).unwrap_or(u32::MAX))
        .auto_date_header(false)
        .keep_alive_interval(Some(worker.config.timeouts.keep_alive))
        .keep_alive_timeout(Duration::from_secs(20));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let idle = worker.config.timeouts.keep_alive;
    let mut told = false;
    let mut tick = tokio::time::interval(Duration::from_millis(500).min(idle));
    let mut quiet_since = std::time::Instant::now();
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            () = control.woken(), if !told => {}
            _ = tick.tick() => {}
        }
        if control.is_cut() {
            break;
        }
        if client.link.in_flight() > 0 {
            quiet_since = std::time::Instant::now();
        }
        if !told && (control.is_draining() || quiet_since.elapsed() > idle) {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
    }
    worker.forget(id);
}

async fn answer(
    worker: Rc<Worker>,
    connection: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<SpannedBody>, Infallible> {
    let (head, body) = read(&worker, request);
    // A stream is a connection of its own to whoever handles it: its faults are not its neighbours'.
    let link = Link::new(Side::Server, worker.limits);
    let client = Rc::new(connection.stream(link));
    connection.link.enter();
    let _leave = Leave(connection.link.clone());
    let (reply, span) = handle(&worker, &client, Some(head), body).await;
    Ok(response(reply, span))
}

/// Counts a stream out, also when it was reset.
struct Leave(Rc<Link>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Writes the request's head as HTTP/1.1 and reads it strictly.
fn read(
    worker: &Worker,
    request: Request<Incoming>,
) -> (Result<RequestHead, BadRequest>, Incoming) {
    let (parts, body) = request.into_parts();
    let mut raw = Vec::with_capacity(1024);
    raw.extend_from_slice(parts.method.as_str().as_bytes());
    raw.push(b' ');
    raw.extend_from_slice(
        parts
            .uri
            .path_and_query()
            .map_or("/", |p| p.as_str())
            .as_bytes(),
    );
    raw.extend_from_slice(b" HTTP/1.1\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        raw.extend_from_slice(name);
        raw.extend_from_slice(b": ");
        raw.extend_from_slice(value);
        raw.extend_from_slice(b"\r\n");
    };
    let authority = parts.uri.authority().map(|a| a.as_str().as_bytes());
    match (authority, parts.headers.get(hyper::header::HOST)) {
        // RFC 9113 §8.3.1: where both are given they must agree.
        (Some(authority), Some(host)) if authority != host.as_bytes() => {
            return (
                Err(BadRequest::Head(HeadError::Malformed(
                    "Host and :authority differ",
                ))),
                body,
            );
        }
        (Some(authority), None) => line(b"host", authority),
        _ => {}
    }
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in &parts.headers {
        if name == COOKIE {
            cookies.push(value.as_bytes());
        } else if name != hyper::header::TRANSFER_ENCODING && name != hyper::header::CONNECTION {
            line(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !cookies.is_empty() {
        // RFC 9113 §8.2.3: one field in HTTP/1.1.
        line(b"cookie", &cookies.join(&b"; "[..]));
    }
    if !body.is_end_stream() && !parts.headers.contains_key(hyper::header::CONTENT_LENGTH) {
        line(b"transfer-encoding", b"chunked");
    }
    raw.extend_from_slice(b"\r\n");
    if raw.len() > worker.limits.head + worker.limits.target {
        return (Err(BadRequest::Head(HeadError::TooLarge)), body);
    }
    (
        read_request(Bytes::from(raw), &worker.limits).map_err(BadRequest::Head),
        body,
    )
}

/// The reply's head as HTTP/2 fields: names in lower case, nothing of a connection.
fn response(reply: Reply, span: Rc<super::span::Span>) -> Response<SpannedBody> {
    let mut response = Response::new(SpannedBody::new(reply.body, span));
    *response.status_mut() = reply.status;
    for line in reply.head.split(|b| *b == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            continue;
        };
        if name != hyper::header::TRANSFER_ENCODING && name != hyper::header::CONNECTION {
            response.headers_mut().append(name, value);
        }
    }
    response
}
