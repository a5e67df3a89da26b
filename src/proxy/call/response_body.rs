//! The body of an answer on its way to the client.

use crate::proxy::net::stall::Stall;
use crate::proxy::portal::body::{PortalBody, Truncated};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

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
                        let stalled = stall.as_mut().is_some_and(|stall| stall.is_over(cx));
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
