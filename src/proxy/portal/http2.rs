//! HTTP/2 towards the portal (`--upstream-http2`, where the portal offers it): one connection a thread, many streams.
//!
//! The prepared HTTP/1.1 head is turned into fields and the answer's fields into an HTTP/1.1 head, so that everything else
//! has one form of a message.

use crate::proxy::body::RequestBody;
use crate::proxy::error::{Failure, Kind};
use crate::proxy::http::fields::Name;
use crate::proxy::http::head::{Framing, Limits, ResponseHead};
use crate::proxy::http::read::{read_request, read_response};
use crate::proxy::net::executor::Local;
use crate::proxy::portal::failure::{bad_answer, no_answer};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::time::Duration;

/// Streams of one connection, and what of them is sent ahead.
const WINDOW: u32 = 1024 * 1024;

/// A connection that many calls share.
pub type Sender = SendRequest<RequestBody>;

/// How a call ended that went out on a stream.
pub enum Failed {
    /// Not sent: the request, to be sent elsewhere.
    Unsent(RequestBody),
    /// Sent, or perhaps sent.
    Sent(Failure),
}

/// Begins HTTP/2 on a connection whose ALPN chose it.
///
/// # Errors
/// The portal does not speak it after all.
pub async fn begin(
    stream: crate::proxy::net::stream::Stream,
    ping: Duration,
) -> Result<Sender, ()> {
    let (sender, connection) = http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .keep_alive_interval(Some(ping))
        .keep_alive_timeout(Duration::from_secs(20))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ())?;
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Sends one request and waits for the head of its answer.
pub async fn send(
    sender: &mut Sender,
    head: Vec<u8>,
    body: RequestBody,
    limits: &Limits,
    to_head: bool,
    wait: Duration,
) -> Result<(ResponseHead, Incoming), Failed> {
    let request = match request(head, limits) {
        Ok(request) => request.map(|()| body),
        Err(error) => return Err(Failed::Sent(error)),
    };
    if sender.ready().await.is_err() {
        return Err(Failed::Unsent(request.into_body()));
    }
    let answer = match tokio::time::timeout(wait, sender.try_send_request(request)).await {
        Err(_) => return Err(Failed::Sent(no_answer())),
        Ok(Err(mut error)) => {
            return Err(match error.take_message() {
                Some(request) => Failed::Unsent(request.into_body()),
                None => Failed::Sent(Failure::new(
                    Kind::ClosedUnanswered,
                    "the portal ended the stream without an answer",
                )),
            });
        }
        Ok(Ok(answer)) => answer,
    };
    response(answer, to_head, limits).map_err(|()| Failed::Sent(bad_answer()))
}

/// The prepared head as fields of a stream (RFC 9113 §8.2, §8.3).
fn request(mut head: Vec<u8>, limits: &Limits) -> Result<Request<()>, Failure> {
    head.extend_from_slice(b"\r\n");
    let limits = Limits {
        target: usize::MAX,
        ..*limits
    };
    let head = read_request(Bytes::from(head), &limits).map_err(Failure::head)?;
    let unfit = || Failure::from(Kind::Unfit);
    let authority = head.fields.first(Name::Host).unwrap_or(b"");
    let uri = Uri::builder()
        .scheme("https")
        .authority(authority)
        .path_and_query(&escaped(head.target())[..])
        .build()
        .map_err(|_| unfit())?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method()).map_err(|_| unfit())?;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    for field in head.fields.list() {
        if matches!(
            field.known,
            Name::Host
                | Name::Connection
                | Name::TransferEncoding
                | Name::Upgrade
                | Name::KeepAlive
        ) {
            continue;
        }
        let name = HeaderName::from_bytes(head.fields.name(field)).map_err(|_| unfit())?;
        let value = HeaderValue::from_bytes(head.fields.value(field)).map_err(|_| unfit())?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// A target as HTTP/2 can carry it: what a URI may not hold is escaped, which is the same address to a portal.
fn escaped(target: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len());
    for b in target {
        if matches!(
            b,
            b'<' | b'>' | b'"' | b'`' | b'\\' | b'^' | b'{' | b'}' | b'|'
        ) || *b >= 0x80
        {
            out.extend_from_slice(format!("%{b:02X}").as_bytes());
        } else {
            out.push(*b);
        }
    }
    out
}

fn response(
    answer: Response<Incoming>,
    to_head: bool,
    limits: &Limits,
) -> Result<(ResponseHead, Incoming), ()> {
    let (parts, body) = answer.into_parts();
    let mut raw = format!(
        "HTTP/1.1 {} {}\r\n",
        parts.status.as_u16(),
        parts.status.canonical_reason().unwrap_or("")
    )
    .into_bytes();
    for (name, value) in &parts.headers {
        raw.extend_from_slice(name.as_str().as_bytes());
        raw.extend_from_slice(b": ");
        raw.extend_from_slice(value.as_bytes());
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"\r\n");
    let mut head = read_response(Bytes::from(raw), limits, to_head).map_err(|_| ())?;
    if head.status < 200 {
        return Err(());
    }
    if head.framing == Framing::Close {
        head.framing = if body.is_end_stream() {
            Framing::None
        } else {
            Framing::Chunked
        };
    }
    Ok((head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_a_uri_may_not_hold_are_escaped() {
        assert_eq!(
            escaped(b"/a?filter[>ID]=\"\xe9%3E"),
            b"/a?filter[%3EID]=%22%E9%3E"
        );
    }
}
