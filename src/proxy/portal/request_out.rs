//! A request on its way to the portal: its head, its body, and what may still be taken back.

use crate::proxy::body::RequestBody;
use crate::proxy::http::head::Framing;
use crate::proxy::http::message_out::{Left, MessageOut, Pending};
use crate::proxy::net::fault::Fault;
use crate::proxy::net::stream::Stream;
use bytes::Bytes;
use hyper::body::Body;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::AsyncWrite;

/// What has to be known of a request to carry it.
pub struct Asked<'a> {
    /// How its body goes out.
    pub framing: Framing,
    /// It is a HEAD: its answer has no body.
    pub to_head: bool,
    /// It asks for another protocol.
    pub upgrade: bool,
    /// The value of its `Trailer`.
    pub trailer: Option<&'a [u8]>,
    /// A body that is whole is held until the answer's head: it may have to be sent again.
    pub keep: bool,
}

/// The request on its way out.
pub struct RequestOut {
    message: MessageOut,
    body: RequestBody,
    /// A body that is held whole, in case that it has to be sent on another connection.
    kept: Option<Bytes>,
    /// It is held beyond that, until the answer's head has come.
    keep: bool,
    /// Of a streamed body something was taken, its end or its failure too.
    begun: bool,
    /// The body was waited for once, so that its first piece goes out with the head.
    held: bool,
    wrote: bool,
    sent: bool,
    /// The portal takes no more of it, but may have answered.
    stuck: bool,
    last_write: Instant,
    write_wait: Option<Instant>,
}

impl RequestOut {
    /// Nothing to send.
    pub fn none(now: Instant) -> Self {
        RequestOut {
            message: MessageOut::default(),
            body: RequestBody::Empty,
            kept: None,
            keep: false,
            begun: false,
            held: false,
            wrote: false,
            sent: true,
            stuck: false,
            last_write: now,
            write_wait: None,
        }
    }

    /// Begins a request: `head` writes its head without the empty line behind it.
    pub fn begin(&mut self, asked: &Asked<'_>, body: RequestBody, head: &dyn Fn(&mut Vec<u8>)) {
        self.message.reset();
        let out = self
            .message
            .begin(asked.framing, asked.trailer.unwrap_or(b""));
        head(out);
        out.extend_from_slice(b"\r\n");
        self.body = body;
        self.kept = None;
        self.keep = asked.keep;
        self.begun = false;
        self.held = false;
        self.wrote = false;
        self.sent = false;
        self.stuck = false;
        self.write_wait = None;
    }

    /// Whether the socket took a byte of it.
    pub fn wrote(&self) -> bool {
        self.wrote
    }

    /// Whether all of it is with the socket.
    pub fn is_sent(&self) -> bool {
        self.sent
    }

    /// Whether the portal takes no more of it, but may have answered.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// When the socket last took bytes of it.
    pub fn last_write(&self) -> Instant {
        self.last_write
    }

    /// Since when the socket takes nothing.
    pub fn write_wait(&self) -> Option<Instant> {
        self.write_wait
    }

    /// The body, if nothing was written; `None` where a part of it is used up.
    pub fn take_back(&mut self) -> Option<RequestBody> {
        if self.wrote || self.begun {
            return None;
        }
        Some(match self.kept.take() {
            Some(bytes) => RequestBody::Whole(Some(bytes)),
            None => std::mem::replace(&mut self.body, RequestBody::Empty),
        })
    }

    /// It will not be sent again.
    pub fn forget_body(&mut self) {
        self.kept = None;
    }

    /// The body, where it is held whole or there is none.
    pub fn body_again(&mut self) -> Option<RequestBody> {
        if self.begun {
            return None;
        }
        match (self.kept.take(), &mut self.body) {
            (Some(bytes), _) => Some(RequestBody::Whole(Some(bytes))),
            (None, RequestBody::Stream(_) | RequestBody::Whole(None)) => None,
            (None, body) => Some(std::mem::replace(body, RequestBody::Empty)),
        }
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self) {
        self.message.rest();
        self.body = RequestBody::Empty;
        self.kept = None;
    }

    /// Sends on. An error is not the end where the portal may have answered before it stopped reading.
    ///
    /// # Errors
    /// The client or the portal gave up.
    pub fn drive(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.sent || self.stuck {
            return Ok(());
        }
        match self.poll_send(stream, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.sent = true;
                Ok(())
            }
            Poll::Ready(Err(Fault::Broken(_))) if self.wrote => {
                self.stuck = true;
                Ok(())
            }
            Poll::Ready(Err(fault)) => Err(fault),
        }
    }

    /// Writes all of the request.
    fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let waits = self.collect(cx)?;
            if self.message.is_written() {
                // What TLS holds back has to go too.
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(Fault::from)?;
                return if waits {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                };
            }
            if waits && !self.wrote && !self.held {
                // The body is about to come: whoever brings it is polled in this same turn.
                self.held = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let written = {
                let stream = Pin::new(&mut *stream);
                match self.message.pending() {
                    Pending::One(bytes) => stream.poll_write(cx, bytes),
                    Pending::Slices(slices) => stream.poll_write_vectored(cx, &slices),
                }
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(Fault::Broken(io::ErrorKind::WriteZero)));
                }
                Poll::Ready(Ok(n)) => self.written(n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::from(error))),
                Poll::Pending => {
                    self.write_wait.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
    }

    fn written(&mut self, n: usize) {
        self.wrote = true;
        // From now on it goes nowhere else, and what is written need not be held.
        if !self.keep {
            self.kept = None;
        }
        self.write_wait = None;
        self.last_write = Instant::now();
        self.message.written(n);
    }

    /// Takes of the body what can go out with the next write; whether more of it is waited for.
    fn collect(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        while self.message.wants_body() {
            if let RequestBody::Whole(whole) = &mut self.body
                && let Some(whole) = whole.take()
            {
                self.message.data(&whole, true).map_err(|_| Fault::Closed)?;
                self.kept = Some(whole);
                continue;
            }
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(frame) => frame,
            };
            // Whatever came of it, it can be read no second time.
            self.begun = true;
            // It broke off, or is shorter than was said: the portal must not take what follows for its end.
            let done = match frame {
                Some(Err(_)) => return Err(Fault::Closed),
                None => self.message.end(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.message.data(&data, self.body.is_end_stream()),
                    Err(frame) => self.message.end(frame.into_trailers().ok().as_ref()),
                },
            };
            done.map_err(|_| Fault::Closed)?;
        }
        Ok(self.message.left() != Left::Nothing)
    }
}
