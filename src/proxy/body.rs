//! The body of a request: streamed through as it comes, or held whole.

use crate::proxy::net::client_io::BodyReader;
use crate::proxy::net::fault::{Fault, FaultCell};
use crate::proxy::net::stall::Stall;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The body of a request on its way to the portal.
pub enum RequestBody {
    Empty,
    Whole(Option<Bytes>),
    Stream(ClientBody),
}

impl RequestBody {
    /// The bytes of a body that is there whole; none of another.
    pub fn whole(&self) -> &[u8] {
        match self {
            RequestBody::Whole(Some(bytes)) => bytes,
            _ => b"",
        }
    }

    /// The same body once more, where it is held whole or there is none.
    pub fn held(&self) -> Option<RequestBody> {
        match self {
            RequestBody::Empty => Some(RequestBody::Empty),
            RequestBody::Whole(bytes) => Some(RequestBody::Whole(bytes.clone())),
            RequestBody::Stream(_) => None,
        }
    }
}

/// A client's body. A connection of HTTP/1 watches itself for stalls; a stream of HTTP/2 is watched here.
pub enum ClientBody {
    /// It has come with its head, or there is none.
    Whole(Option<Bytes>),
    /// As it comes on a connection of HTTP/1.
    Http1(BodyReader),
    /// As it comes on a stream of HTTP/2.
    Http2 {
        incoming: Incoming,
        stall: Stall,
        fault: FaultCell,
    },
}

impl ClientBody {
    /// The body of an HTTP/2 stream, which may stall for so long.
    pub fn http2(incoming: Incoming, limit: Duration, fault: FaultCell) -> Self {
        let stall = Stall::new(limit);
        ClientBody::Http2 {
            incoming,
            stall,
            fault,
        }
    }

    /// The body, where it came whole with its head and nothing was taken of it.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        match self {
            ClientBody::Whole(whole) => whole.take(),
            _ => None,
        }
    }
}

impl From<ClientBody> for RequestBody {
    fn from(body: ClientBody) -> Self {
        match body {
            ClientBody::Whole(None) => RequestBody::Empty,
            ClientBody::Whole(whole) => RequestBody::Whole(whole),
            body => RequestBody::Stream(body),
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Unreadable;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        let (incoming, stall, fault) = match self.get_mut() {
            ClientBody::Whole(whole) => {
                return Poll::Ready(whole.take().map(|whole| Ok(Frame::data(whole))));
            }
            ClientBody::Http1(reader) => return reader.poll_frame(cx).map_err(|_| Unreadable),
            ClientBody::Http2 {
                incoming,
                stall,
                fault,
            } => (incoming, stall, fault),
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                stall.moved();
                if let Some(Err(_)) = &frame {
                    fault.set(Fault::Closed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|_| Unreadable)))
            }
            Poll::Pending if stall.is_over(cx) => {
                fault.set(Fault::ReadTimeout);
                Poll::Ready(Some(Err(Unreadable)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ClientBody::Whole(whole) => whole.is_none(),
            ClientBody::Http1(reader) => reader.is_ended(),
            ClientBody::Http2 { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ClientBody::Whole(whole) => {
                SizeHint::with_exact(whole.as_ref().map_or(0, |whole| whole.len() as u64))
            }
            ClientBody::Http1(reader) => match reader.left() {
                Some(left) => SizeHint::with_exact(left),
                None => SizeHint::default(),
            },
            ClientBody::Http2 { incoming, .. } => incoming.size_hint(),
        }
    }
}

/// A client's body could not be read to its end; the connection's [`FaultCell`] has why.
#[derive(Debug)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the client's body broke off")
    }
}

impl std::error::Error for Unreadable {}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Unreadable;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            RequestBody::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Whole(bytes) => bytes.is_none(),
            RequestBody::Stream(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            RequestBody::Stream(incoming) => incoming.size_hint(),
        }
    }
}
