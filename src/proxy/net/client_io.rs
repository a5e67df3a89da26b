//! A client's socket with the HTTP/1 machines of both directions: requests and their bodies in, answers out.
//!
//! The connection's task and the body of the request in hand share it: whoever waits for bytes reads them. It keeps the
//! facts from which time limits follow (since when the client is waited for), and no clock of its own.

use super::fault::Fault;
use super::link::{BadRequest, Control, Link};
use super::scratch::with_scratch;
use super::stream::Stream;
use crate::proxy::http::body_in::BodyIn;
use crate::proxy::http::head::{Framing, Limits, RequestHead};
use crate::proxy::http::message_out::{MessageOut, Pending};
use crate::proxy::http::request_in::{RequestIn, Taken};
use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Frame;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Bytes of a body that are read at once, to begin with and at most.
const READ: usize = 16 * 1024;
const READ_MOST: usize = 512 * 1024;

/// Input that has been handed on leaves no more room than this behind.
const KEPT_INPUT: usize = 4 * 1024;

/// Bytes behind a request that are read before its answer has gone; with more of them the client waits.
const AHEAD: usize = 64 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What came next on a connection.
pub enum Next {
    /// A request, its body where that came whole with its head.
    Request(RequestHead, Option<Bytes>),
    /// Something that is answered and ends the connection.
    Refused(BadRequest),
    /// The client has closed the connection, or it broke.
    End,
}

/// A client's connection of HTTP/1.
pub struct ClientIo {
    stream: Stream,
    link: Rc<Link>,
    control: Rc<Control>,
    requests: RequestIn,
    /// Bytes that came and are not used up: part of a head, or what came behind a request.
    input: Vec<u8>,
    /// Whether all of `input` was looked at and is not a whole head.
    looked_at: bool,
    body: BodyIn,
    buffer: BytesMut,
    read: usize,
    /// Whether the client has ended its sending side.
    ended: bool,
    /// Reads of the body fail from now on.
    failed: bool,
    /// The client waits for a `100 Continue` before it sends the body.
    expects_continue: bool,
    /// Whether somebody may still read the body, and whom to wake then.
    is_read: bool,
    reader: Option<Waker>,
    /// The answer.
    out: MessageOut,
    /// Since when the client's bytes are waited for; `None` while nobody reads or bytes have just come.
    pub read_wait: Option<Instant>,
    /// Since when a head has been coming without its end.
    pub partial_head: Option<Instant>,
    /// The time of that head is over.
    pub late: bool,
    /// Since when the client does not take bytes.
    pub write_wait: Option<Instant>,
    /// Since when the client has ended its sending side, though an answer is due.
    pub half_closed: Option<Instant>,
    /// It has been silent for long enough.
    pub may_park: bool,
    /// An answer has begun to go out.
    answering: bool,
}

impl ClientIo {
    /// `first` was read of the socket before, from `since` on.
    pub fn new(
        stream: Stream,
        limits: Limits,
        link: Rc<Link>,
        control: Rc<Control>,
        first: Vec<u8>,
        since: Option<Instant>,
    ) -> Self {
        link.came(first.len());
        ClientIo {
            stream,
            link,
            control,
            requests: RequestIn::new(limits),
            partial_head: since.filter(|_| !first.is_empty()),
            input: first,
            looked_at: false,
            body: BodyIn::default(),
            buffer: BytesMut::new(),
            read: READ,
            ended: false,
            failed: false,
            expects_continue: false,
            is_read: false,
            reader: None,
            out: MessageOut::default(),
            read_wait: Some(Instant::now()),
            late: false,
            write_wait: None,
            half_closed: None,
            may_park: false,
            answering: false,
        }
    }

    /// The socket, and what came on it and was not used up.
    pub fn into_parts(mut self) -> (Stream, Vec<u8>) {
        if self.body.is_ended() {
            self.keep_surplus();
        }
        (self.stream, self.input)
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self) {
        self.buffer = BytesMut::new();
        self.read = READ;
        self.out.release();
        self.reader = None;
        self.may_park = false;
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    /// Whether the client may still be sending what nobody will read.
    pub fn has_unread(&self) -> bool {
        !self.input.is_empty() || !self.body.is_ended() || self.link.fault().is_some()
    }

    /// Waits for the next request. The answer to the one before has gone, and its body has come whole.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if !self.looked_at && !self.input.is_empty() {
            let input = std::mem::take(&mut self.input);
            let taken = self.requests.take(&input);
            self.input = input;
            if let Some(next) = self.settle(taken, None) {
                return Poll::Ready(next);
            }
        }
        loop {
            if self.ended {
                return Poll::Ready(Next::End);
            }
            if std::mem::take(&mut self.late) && self.partial_head.is_some() {
                return Poll::Ready(self.refused(BadRequest::HeadTimeout));
            }
            if !self.input.is_empty() && self.partial_head.is_none() {
                self.partial_head = Some(Instant::now());
            }
            let polled = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
                let piece = buffer.filled();
                self.link.came(piece.len());
                if piece.is_empty() {
                    self.ended = true;
                    return Poll::Ready(Ok(Some(Next::End)));
                }
                // A head that comes whole, as nearly all do, is read where it stands.
                let next = if self.input.is_empty() {
                    let taken = self.requests.take(piece);
                    self.settle(taken, Some(piece))
                } else {
                    self.input.extend_from_slice(piece);
                    let input = std::mem::take(&mut self.input);
                    let taken = self.requests.take(&input);
                    self.input = input;
                    self.settle(taken, None)
                };
                Poll::Ready(io::Result::Ok(next))
            });
            match polled {
                Poll::Ready(Ok(Some(next))) => return Poll::Ready(next),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(error)) => {
                    self.link.set_fault(Fault::Broken(error.kind()));
                    self.ended = true;
                    return Poll::Ready(Next::End);
                }
                Poll::Pending => {
                    self.read_wait.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Keeps what was not used of `piece`, or of the input where there is none; gives the request, if there is one.
    fn settle(&mut self, taken: Taken, piece: Option<&[u8]>) -> Option<Next> {
        let (used, request) = match taken {
            Taken::Refused(error) => return Some(self.refused(BadRequest::Head(error))),
            Taken::More(used) => (used, None),
            Taken::Request { used, head, body } => (used, Some((head, body))),
        };
        self.looked_at = request.is_none();
        let Some((head, body)) = request else {
            match piece {
                Some(piece) => self.input.extend_from_slice(&piece[used..]),
                None => {
                    self.input.drain(..used);
                }
            }
            return None;
        };
        self.read_wait = None;
        self.partial_head = None;
        let framing = match body {
            Some(_) => Framing::None,
            None => head.framing,
        };
        let rest = match piece {
            Some(piece) => &piece[used..],
            None => &self.input[used..],
        };
        let streams = !matches!(framing, Framing::None | Framing::Length(0));
        if streams {
            let rest = Bytes::copy_from_slice(rest);
            self.body = BodyIn::begin(framing, rest);
            self.input.clear();
        } else {
            self.body = BodyIn::default();
            match piece {
                Some(piece) => self.input.extend_from_slice(&piece[used..]),
                None => {
                    self.input.drain(..used);
                }
            }
        }
        if self.input.is_empty() && self.input.capacity() > KEPT_INPUT {
            self.input = Vec::new();
        }
        self.failed = false;
        self.expects_continue = head.expects_continue && streams && self.body.is_awaited();
        Some(Next::Request(head, body))
    }

    fn refused(&mut self, why: BadRequest) -> Next {
        self.input = Vec::new();
        self.body = BodyIn::default();
        self.read_wait = None;
        self.partial_head = None;
        // What else is sent is read away when the connection lingers.
        self.link.set_fault(match why {
            BadRequest::Head(error) => Fault::BadHead(error),
            BadRequest::HeadTimeout => Fault::ReadTimeout,
        });
        Next::Refused(why)
    }

    /// Whether all of the request's body has come.
    pub fn body_ended(&self) -> bool {
        self.body.is_ended()
    }

    /// Whether nobody reads the request's body any more, and more than `most` may be left of it.
    pub fn is_abandoned(&self, most: u64) -> bool {
        let is_small =
            || !self.expects_continue && self.body.length().is_some_and(|left| left <= most);
        !self.body.is_ended() && !self.is_read && (self.body_failed() || !is_small())
    }

    /// Whether the request's body can be read no more.
    pub fn body_failed(&self) -> bool {
        self.failed || self.body.is_failed()
    }

    /// Whether somebody may still read the request's body.
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// Reads of the request's body fail from now on; its answer can still be written.
    pub fn fail_body(&mut self, fault: Fault) {
        self.link.set_fault(fault);
        self.failed = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// What comes next of the request's body.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            if self.failed {
                let fault = self.link.fault().unwrap_or(Fault::Closed);
                return Poll::Ready(Some(Err(fault)));
            }
            match self.body.next_frame() {
                Ok(Some(frame)) => {
                    self.body_moved();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(None) if self.body.is_ended() => {
                    self.body_moved();
                    return Poll::Ready(None);
                }
                Ok(None) => {}
                Err(bad) => {
                    self.fail_body(Fault::BadChunk(bad.0));
                    continue;
                }
            }
            if std::mem::take(&mut self.expects_continue) {
                self.out.interim(CONTINUE);
            }
            // An interim answer, before any other; a fault of the socket is seen when it is read.
            if !self.answering {
                let _ = self.poll_write(cx);
            }
            match self.poll_read_body(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(fault)) => self.fail_body(fault),
                Poll::Pending => {
                    self.read_wait.get_or_insert_with(Instant::now);
                    self.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_read_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let most = self.body.wanted().map_or(usize::MAX, |wanted| {
            usize::try_from(wanted).unwrap_or(usize::MAX)
        });
        let want = self.read.min(most);
        self.buffer.reserve(want);
        let mut room = (&mut self.buffer).limit(want);
        match ready!(pin!(self.stream.read_buf(&mut room)).poll(cx)) {
            Err(error) => Poll::Ready(Err(Fault::Broken(error.kind()))),
            Ok(0) => {
                self.ended = true;
                Poll::Ready(Err(Fault::Closed))
            }
            Ok(n) => {
                self.link.came(n);
                self.read_wait = None;
                if n == self.read {
                    self.read = (self.read * 2).min(READ_MOST);
                }
                self.body.feed(self.buffer.split().freeze());
                Poll::Ready(Ok(()))
            }
        }
    }

    /// What has come behind the body belongs to the next request.
    fn body_moved(&mut self) {
        if self.body.is_ended() {
            self.keep_surplus();
            self.read_wait = None;
            self.control.nudge();
        }
    }

    fn keep_surplus(&mut self) {
        if self.body.has_surplus() {
            self.input.extend_from_slice(&self.body.take_rest());
            self.looked_at = false;
        }
    }

    /// Watches the client while its answer is awaited: ready when its connection broke. What it sends is kept, and that
    /// it ends its sending side is noted (RFC 9112 §9.6).
    pub fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever reads the body sees it.
        while self.body.is_ended() && !self.ended && self.input.len() < AHEAD {
            let polled = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
                self.input.extend_from_slice(buffer.filled());
                Poll::Ready(io::Result::Ok(buffer.filled().len()))
            });
            match ready!(polled) {
                Ok(0) => {
                    self.ended = true;
                    self.half_closed = Some(Instant::now());
                }
                Ok(n) => {
                    self.link.came(n);
                    self.looked_at = false;
                }
                Err(error) => {
                    self.link.set_fault(Fault::Broken(error.kind()));
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }

    /// The message that goes out.
    pub fn out(&mut self) -> &mut MessageOut {
        &mut self.out
    }

    /// Begins an answer; its head is to be written into what is given back.
    pub fn begin_answer(&mut self, framing: Framing, trailer: &[u8]) -> &mut Vec<u8> {
        self.answering = true;
        self.out.begin(framing, trailer)
    }

    /// Whether an answer has begun to go out and is not written whole.
    pub fn is_answering(&self) -> bool {
        self.answering
    }

    /// Writes what waits to be written.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.out.is_written() {
            let stream = Pin::new(&mut self.stream);
            let polled = match self.out.pending() {
                Pending::One(bytes) => stream.poll_write(cx, bytes),
                Pending::Slices(slices) => stream.poll_write_vectored(cx, &slices),
            };
            let error = match polled {
                Poll::Ready(Ok(0)) => io::ErrorKind::WriteZero,
                Poll::Ready(Ok(n)) => {
                    self.write_wait = None;
                    self.out.written(n);
                    continue;
                }
                Poll::Ready(Err(error)) => error.kind(),
                Poll::Pending => {
                    self.write_wait.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            };
            self.link.set_fault(Fault::Broken(error));
            return Poll::Ready(Err(Fault::Broken(error)));
        }
        // What TLS holds back has to go too.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.write_wait = None;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.link.set_fault(Fault::Broken(error.kind()));
                Poll::Ready(Err(Fault::Broken(error.kind())))
            }
            Poll::Pending => {
                self.write_wait.get_or_insert_with(Instant::now);
                Poll::Pending
            }
        }
    }

    /// The answer has gone.
    pub fn answered(&mut self, now: Instant) {
        self.answering = false;
        self.out.rest();
        self.read_wait = Some(now);
    }
}

/// The body of a request on an HTTP/1 connection, read as it comes.
pub struct BodyReader(Rc<RefCell<ClientIo>>);

impl BodyReader {
    pub fn new(io: &Rc<RefCell<ClientIo>>) -> Self {
        io.borrow_mut().is_read = true;
        BodyReader(io.clone())
    }

    /// What comes next.
    pub fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.0.borrow_mut().poll_body(cx)
    }

    /// Whether all of it has been given.
    pub fn is_ended(&self) -> bool {
        self.0.borrow().body.is_ended()
    }

    /// The bytes that are left, where that is known.
    pub fn left(&self) -> Option<u64> {
        self.0.borrow().body.length()
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        let mut io = self.0.borrow_mut();
        io.is_read = false;
        io.reader = None;
        io.control.nudge();
    }
}
