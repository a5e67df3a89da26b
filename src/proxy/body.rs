//! The body of a request: streamed through as it comes, or held whole.

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

/// A client's body: whole, where it has come with its head, else as it comes. A connection of HTTP/1 watches itself for
/// stalls; a stream of HTTP/2 is watched here.
pub struct ClientBody {
    whole: Option<Bytes>,
    incoming: Incoming,
    stall: Option<(Stall, FaultCell)>,
}

impl ClientBody {
    pub fn new(
        whole: Option<Bytes>,
        incoming: Incoming,
        stall: Option<(Duration, FaultCell)>,
    ) -> Self {
        ClientBody {
            whole,
            incoming,
            stall: stall.map(|(limit, fault)| (Stall::new(limit), fault)),
        }
    }
}

impl ClientBody {
    /// The body, where it came whole with its head and nothing was taken of it.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        self.whole.take()
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
        let Some((stall, fault)) = &mut this.stall else {
            return polled.map_err(Into::into);
        };
        if polled.is_ready() {
            stall.moved();
            if let Poll::Ready(Some(Err(_))) = &polled {
                fault.set(Fault::Closed);
            }
            return polled.map_err(Into::into);
        }
        if stall.is_over(cx) {
            fault.set(Fault::ReadTimeout);
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

/// Why a body could not be read; the connection's [`FaultCell`] has more.
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
