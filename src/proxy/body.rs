//! Bodies: streamed through as they come, or held whole.

use super::upstream::PortalBody;
use super::wire::{Fault, Link};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The body of a request on its way to the portal.
pub enum RequestBody {
    Empty,
    Whole(Option<Bytes>),
    Stream(ClientBody),
}

/// A client's body: whole, where it has come with its head, else as it comes. A connection of HTTP/1 watches itself for
/// stalls; a stream of HTTP/2 is watched here.
pub struct ClientBody {
    whole: Option<Bytes>,
    incoming: Incoming,
    stall: Option<(Stall, Rc<Link>)>,
}

impl ClientBody {
    pub fn new(
        whole: Option<Bytes>,
        incoming: Incoming,
        stall: Option<(Duration, Rc<Link>)>,
    ) -> Self {
        ClientBody {
            whole,
            incoming,
            stall: stall.map(|(limit, link)| (Stall::new(limit), link)),
        }
    }
}

impl From<ClientBody> for RequestBody {
    fn from(body: ClientBody) -> Self {
        match body.whole {
            Some(whole) => RequestBody::Whole(Some(whole)),
            None => RequestBody::Stream(body),
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
        let this = self.get_mut();
        if let Some(whole) = this.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        let Some((stall, link)) = &mut this.stall else {
            return polled.map_err(Into::into);
        };
        if polled.is_ready() {
            stall.moved();
            if let Poll::Ready(Some(Err(_))) = &polled {
                link.set_fault(Fault::Closed);
            }
            return polled.map_err(Into::into);
        }
        if stall.sleep.as_mut().poll(cx).is_ready() {
            link.set_fault(Fault::ReadTimeout);
            return Poll::Ready(Some(Err("the client's body stalled".into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.whole {
            Some(whole) => SizeHint::with_exact(whole.len() as u64),
            None => self.incoming.size_hint(),
        }
    }
}

/// Why a body could not be read; what is known of it stands in the connection's link.
pub type Unreadable = Box<dyn std::error::Error + Send + Sync>;

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

/// The body of an answer on its way to the client.
pub enum ResponseBody {
    Empty,
    Whole(Option<Bytes>),
    /// Whole, but sent without its length, as it came.
    Unsized(Option<Bytes>),
    /// The portal's, with what was already read of it.
    Portal {
        first: Option<Bytes>,
        body: PortalBody,
        stall: Option<Stall>,
    },
    /// The portal's, which broke off. It is told at the next turn: told at once, hyper would drop what it holds of the
    /// answer, its head too, and the client would see a closed connection in place of a truncated answer.
    Broken,
}

/// A limit between two pieces of a body, for connections that do not watch that themselves.
pub struct Stall {
    limit: Duration,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Stall {
    pub fn new(limit: Duration) -> Self {
        Stall {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
        }
    }

    fn moved(&mut self) {
        self.sleep
            .as_mut()
            .reset(tokio::time::Instant::now() + self.limit);
    }
}

/// Why an answer's body ended before its end: the client sees it cut off.
#[derive(Debug)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the portal's answer broke off")
    }
}

impl std::error::Error for Truncated {}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let this = self.get_mut();
        let polled = match this {
            ResponseBody::Broken => return Poll::Ready(Some(Err(Truncated))),
            ResponseBody::Empty => Poll::Ready(None),
            ResponseBody::Whole(bytes) | ResponseBody::Unsized(bytes) => {
                Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b))))
            }
            ResponseBody::Portal { first, body, stall } => {
                if let Some(first) = first.take() {
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                let frame = match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Pending => {
                        let stalled = stall
                            .as_mut()
                            .is_some_and(|stall| stall.sleep.as_mut().poll(cx).is_ready());
                        return if stalled {
                            Poll::Ready(Some(Err(Truncated)))
                        } else {
                            Poll::Pending
                        };
                    }
                    Poll::Ready(frame) => frame,
                };
                if let Some(stall) = stall {
                    stall.moved();
                }
                Poll::Ready(frame)
            }
        };
        if let Poll::Ready(Some(Err(_))) = polled {
            *this = ResponseBody::Broken;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Empty => true,
            ResponseBody::Broken => false,
            ResponseBody::Whole(bytes) | ResponseBody::Unsized(bytes) => bytes.is_none(),
            ResponseBody::Portal { first, body, .. } => first.is_none() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Empty => SizeHint::with_exact(0),
            ResponseBody::Broken => SizeHint::default(),
            ResponseBody::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            ResponseBody::Unsized(_) => SizeHint::default(),
            ResponseBody::Portal { first, body, .. } => match (first, body.size_hint().exact()) {
                (None, _) => body.size_hint(),
                (Some(first), Some(rest)) => SizeHint::with_exact(rest + first.len() as u64),
                (Some(_), None) => SizeHint::default(),
            },
        }
    }
}

/// Why a body was not read whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    TooLarge,
    /// The client's connection failed; what is known of why.
    Client(Option<Fault>),
}

/// Reads a body whole, up to the limit.
///
/// # Errors
/// A body over the limit, or a connection that failed before its end.
pub async fn collect(mut body: ClientBody, limit: u64, link: &Rc<Link>) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit {
        return Err(Unread::TooLarge);
    }
    if let Some(whole) = body.whole {
        return Ok(whole);
    }
    let mut first: Option<Bytes> = None;
    let mut all: Vec<u8> = Vec::new();
    let known = body.size_hint().exact();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Unread::Client(link.fault()));
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let so_far = first.as_ref().map_or(all.len(), Bytes::len);
        if (so_far + data.len()) as u64 > limit {
            return Err(Unread::TooLarge);
        }
        if first.is_none() && all.is_empty() {
            if known == Some(data.len() as u64) {
                return Ok(data);
            }
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            all.reserve_exact(known.map_or(first.len() + data.len(), |n| n as usize));
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| all.into()))
}

/// Bytes of an error answer that are read for its code.
pub const ERROR_LIMIT: usize = 64 * 1024;

/// Reads an answer's body as far as `limit`, to look into it; true if that is all of it.
///
/// # Errors
/// The answer broke off.
pub async fn peek(body: &mut PortalBody, limit: usize) -> Result<(Bytes, bool), Truncated> {
    if body.size_hint().lower() > limit as u64 {
        return Ok((Bytes::new(), false));
    }
    let mut read: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Truncated);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.is_empty() && body.is_end_stream() {
            return Ok((data, true));
        }
        read.extend_from_slice(&data);
        if read.len() > limit {
            return Ok((read.into(), false));
        }
    }
    Ok((read.into(), true))
}
