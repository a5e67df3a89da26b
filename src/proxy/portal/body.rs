//! The body of the portal's answer.

use crate::proxy::net::fault::Fault;
use crate::proxy::portal::pool::Lease;
use crate::telemetry::metrics::Phase;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// The body of an answer, as it comes.
pub enum PortalBody {
    /// Came whole with its head, or none at all; its connection is in the pool again.
    Whole(Option<Bytes>),
    Http1(Lease),
    Http2(Incoming),
}

impl Body for PortalBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let this = self.get_mut();
        let lease = match this {
            PortalBody::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            PortalBody::Http2(incoming) => {
                return Pin::new(incoming).poll_frame(cx).map_err(|_| Truncated);
            }
            PortalBody::Http1(lease) => lease,
        };
        let frame = match std::task::ready!(lease.connection.poll_body(cx)) {
            Some(Err(fault)) => {
                if fault == Fault::ReadTimeout {
                    lease.pool.local.timeout(Phase::UpstreamBody);
                }
                *this = PortalBody::Whole(None);
                return Poll::Ready(Some(Err(Truncated)));
            }
            Some(Ok(frame)) => Some(Ok(frame)),
            None => None,
        };
        if lease.connection.is_ended()
            && let PortalBody::Http1(lease) = std::mem::replace(this, PortalBody::Whole(None))
        {
            lease.give_back(Instant::now());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            PortalBody::Whole(bytes) => bytes.is_none(),
            PortalBody::Http1(_) => false,
            PortalBody::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            PortalBody::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            PortalBody::Http1(lease) => match lease.connection.length() {
                Some(length) => SizeHint::with_exact(length),
                None => SizeHint::default(),
            },
            PortalBody::Http2(incoming) => incoming.size_hint(),
        }
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
