//! Between hyper and a client's socket: heads are read and written here, bodies pass through.
//!
//! hyper frames messages, keeps connections alive and moves bodies; but its `HeaderMap` loses the case and the order of
//! names, its parser refuses targets that portals accept, and `preserve_header_case` costs as much as a quarter of a
//! proxied request. So on the way in, [`Wire`] reads each head strictly ([`head`]), keeps it for the service, and gives
//! hyper a head of two or three lines that says only how the message is framed. On the way out it takes the short head
//! that hyper writes and sends the prepared one in its place. What is kept of hyper's own head is what hyper alone
//! decides: `Connection`. A body that has come whole with its head, as most do, goes to the service with it.
//!
//! The wire and the connection's owner share a [`Link`]: heads in and out, and the facts from which time limits follow
//! (since when the client is waited for, whether an answer is written whole).

use crate::digits::decimal;
use crate::proxy::http::chunked::{Chunked, Progress};
use crate::proxy::http::head;
use crate::proxy::http::head::{EndFinder, Framing, HeadError, Limits, Minor, RequestHead};
use crate::proxy::net::fault::{Fault, FaultCell};
use crate::proxy::net::scratch::with_scratch;
use crate::proxy::net::stream::Prefix;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A request that goes no further, told to the service in place of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// The head cannot be read.
    Head(HeadError),
    /// The head did not come in time (408).
    HeadTimeout,
}

/// A head to be sent in place of hyper's: everything but the empty line.
#[derive(Debug)]
pub struct OutHead {
    pub bytes: Vec<u8>,
    /// An answer without a body whatever its fields say (to HEAD, 204, 304).
    pub no_body: bool,
}

/// A request as it came: its head, and its body where that came whole with it.
pub type Came = Result<(RequestHead, Option<Bytes>), BadRequest>;

/// What the wire and the connection's owner share. Single-threaded, like the connection itself.
#[derive(Debug)]
pub struct Link {
    limits: Limits,
    requests: RefCell<VecDeque<Came>>,
    out_heads: RefCell<VecDeque<OutHead>>,
    fault: FaultCell,
    /// Since when the peer's bytes are waited for; `None` while nobody reads or bytes have just come.
    read_wait: Cell<Option<Instant>>,
    /// Since when the peer does not take bytes.
    write_wait: Cell<Option<Instant>>,
    /// Whether a head has begun to come in.
    partial_head: Cell<Option<Instant>>,
    /// Requests taken whose answer is not written yet.
    in_flight: Cell<u32>,
    /// Whether the message being written is written whole.
    message_done: Cell<bool>,
    bytes_in: Cell<u64>,
    expire_head: Cell<bool>,
    close_now: Cell<bool>,
    fail_read: Cell<bool>,
    reads_body: Cell<bool>,
    half_closed: Cell<Option<Instant>>,
    reader: RefCell<Option<Waker>>,
}

impl Link {
    pub fn new(limits: Limits) -> Rc<Link> {
        Rc::new(Link {
            limits,
            requests: RefCell::default(),
            out_heads: RefCell::default(),
            fault: FaultCell::default(),
            read_wait: Cell::new(Some(Instant::now())),
            write_wait: Cell::new(None),
            partial_head: Cell::new(None),
            in_flight: Cell::new(0),
            message_done: Cell::new(true),
            bytes_in: Cell::new(0),
            expire_head: Cell::new(false),
            close_now: Cell::new(false),
            fail_read: Cell::new(false),
            reads_body: Cell::new(false),
            half_closed: Cell::new(None),
            reader: RefCell::default(),
        })
    }

    /// The request that hyper hands to the service now.
    pub fn next_request(&self) -> Option<Came> {
        self.requests.borrow_mut().pop_front()
    }

    fn next_head_length(&self) -> usize {
        let heads = self.out_heads.borrow();
        heads.front().map_or(0, |head| head.bytes.len())
    }
    /// The head that takes the place of the next one that hyper writes.
    pub fn send_head(&self, head: OutHead) {
        self.out_heads.borrow_mut().push_back(head);
    }

    pub fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }
    pub fn set_fault(&self, fault: Fault) {
        self.fault.set(fault);
    }
    /// The cell of the connection's fault, for those who read its bodies.
    pub fn fault_cell(&self) -> FaultCell {
        self.fault.clone()
    }
    /// Whether the message being written was taken whole by the socket.
    pub fn message_done(&self) -> bool {
        self.message_done.get()
    }
    pub fn read_wait(&self) -> Option<Instant> {
        self.read_wait.get()
    }
    pub fn write_wait(&self) -> Option<Instant> {
        self.write_wait.get()
    }
    pub fn partial_head(&self) -> Option<Instant> {
        self.partial_head.get()
    }
    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }
    /// Bytes read from the socket so far.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }
    /// Gives up on the head that comes too slowly: the service answers 408.
    pub fn expire_head(&self) {
        self.expire_head.set(true);
        self.wake();
    }
    /// Reads and writes fail from now on.
    pub fn close(&self, fault: Fault) {
        self.set_fault(fault);
        self.close_now.set(true);
        self.wake();
    }
    /// Whether a request's body is being read.
    pub fn reads_body(&self) -> bool {
        self.reads_body.get()
    }
    /// Reads fail from now on; answers can still be written.
    pub fn fail_read(&self, fault: Fault) {
        self.set_fault(fault);
        self.fail_read.set(true);
        self.wake();
    }
    /// Whether nothing is in flight, in part or waiting in either direction.
    pub fn is_quiet(&self) -> bool {
        self.in_flight.get() == 0
            && !self.reads_body.get()
            && self.partial_head.get().is_none()
            && self.write_wait.get().is_none()
    }
    /// HTTP/2: counts a stream in.
    pub fn enter(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }
    /// HTTP/2: counts a stream out.
    pub fn leave(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
    /// Has the connection's task polled.
    pub fn nudge(&self) {
        self.wake();
    }
    /// Since when the client has ended its sending side, though answers are due.
    pub fn half_closed(&self) -> Option<Instant> {
        self.half_closed.get()
    }
    /// Whether the end of what the client sends is to be kept back, because answers are due.
    fn holds_half_open(&self) -> bool {
        let holds = self.in_flight.get() > 0;
        if holds && self.half_closed.get().is_none() {
            self.half_closed.set(Some(Instant::now()));
        }
        holds
    }
    fn wake(&self) {
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
    }
}

#[derive(Debug)]
enum ReadState {
    /// Waiting for a head, or in it.
    Head,
    /// The short head for hyper is being handed over, then the body follows.
    Feed {
        at: usize,
        then: Follow,
    },
    Body(Follow),
    /// Nothing more is read.
    Ended,
}

/// What belongs to the message behind its head.
#[derive(Clone, Copy, Debug)]
enum Follow {
    Length(u64),
    Chunked(Chunked),
    /// Nothing more is read after a refused head.
    Stop,
}

/// What was taken out of what has come, and how many bytes of it.
enum Taken {
    /// A request.
    Request(usize),
    /// Only empty lines before one: the rest has to be kept.
    Nothing(usize),
    /// What came cannot be read, nor what comes behind it.
    Refused,
}

#[derive(Clone, Copy, Debug)]
enum WriteState {
    Head,
    Length(u64),
    Chunked(Chunked),
    Rest,
}

/// A client's socket, with heads read and written apart from hyper.
pub struct Wire<IO> {
    io: IO,
    link: Rc<Link>,
    /// Bytes read and not yet handed on: part of a head, or what came behind one.
    input: Vec<u8>,
    input_at: usize,
    finder: EndFinder,
    read: ReadState,
    short: Vec<u8>,
    write: WriteState,
    output: Vec<u8>,
    output_at: usize,
}

/// Bytes that are joined to a head before it is written, so that a small message is one write.
const JOIN: usize = 16 * 1024;

/// A body up to this that has come whole with its head goes along with it.
const WITH_HEAD: usize = 16 * 1024;

/// Input that has been handed on leaves no more room than this behind.
const KEPT_INPUT: usize = 4 * 1024;

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    pub fn new(io: IO, link: Rc<Link>) -> Self {
        Wire {
            io,
            link,
            input: Vec::new(),
            input_at: 0,
            finder: EndFinder::default(),
            read: ReadState::Head,
            short: Vec::new(),
            write: WriteState::Head,
            output: Vec::new(),
            output_at: 0,
        }
    }

    /// What was read of the socket before, since when, and whether its time to become a whole head is over.
    pub fn begin_with(&mut self, prefix: Prefix) {
        if !prefix.bytes.is_empty() {
            self.link.partial_head.set(prefix.since);
            self.link.expire_head.set(prefix.late);
            self.link.bytes_in.set(prefix.bytes.len() as u64);
        }
        self.input = prefix.bytes;
    }

    /// The socket, and what was read from it and not handed on.
    pub fn into_inner(self) -> (IO, Vec<u8>) {
        let rest = self.input[self.input_at..].to_vec();
        (self.io, rest)
    }

    /// Waits until a whole head has come (true), or the peer has closed or failed (false), without hyper.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match &self.read {
            ReadState::Head => match self.poll_read_head(cx) {
                Poll::Ready(read) => Poll::Ready(matches!(read, Ok(true))),
                Poll::Pending => {
                    // Give the room back: an idle connection should hold none.
                    if self.pending_input() == 0 {
                        self.input = Vec::new();
                        self.input_at = 0;
                    }
                    self.short = Vec::new();
                    Poll::Pending
                }
            },
            ReadState::Ended => Poll::Ready(false),
            _ => Poll::Ready(true),
        }
    }

    /// Whether the peer may still be sending what nobody will read.
    pub fn has_unread(&self) -> bool {
        self.pending_input() > 0
            || matches!(self.read, ReadState::Body(_) | ReadState::Feed { .. })
            || self.link.fault().is_some()
    }

    fn pending_input(&self) -> usize {
        self.input.len() - self.input_at
    }

    fn consume_input(&mut self, n: usize) {
        self.input_at += n;
        if self.input_at == self.input.len() {
            self.input_at = 0;
            if self.input.capacity() > KEPT_INPUT {
                self.input = Vec::new();
            } else {
                self.input.clear();
            }
        }
    }

    /// Reads until a head is whole and its short form stands in `short`; false at the end of the stream.
    fn poll_read_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.pending_input() > 0 {
            let input = std::mem::take(&mut self.input);
            let taken = self.take_request(&input[self.input_at..]);
            self.input = input;
            if self.settle(taken) {
                return Poll::Ready(Ok(true));
            }
        }
        loop {
            if matches!(self.read, ReadState::Ended) {
                return Poll::Ready(Ok(false));
            }
            if self.link.expire_head.replace(false) && self.link.partial_head.get().is_some() {
                let refused = self.refuse(BadRequest::HeadTimeout);
                return Poll::Ready(Ok(self.settle(refused)));
            }
            if self.pending_input() > 0 && self.link.partial_head.get().is_none() {
                self.link.partial_head.set(Some(Instant::now()));
            }
            let polled: Poll<io::Result<Option<bool>>> = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
                let piece = buffer.filled();
                if piece.is_empty() {
                    return Poll::Ready(Ok(None));
                }
                let bytes_in = &self.link.bytes_in;
                bytes_in.set(bytes_in.get() + piece.len() as u64);
                if self.pending_input() > 0 {
                    self.input.drain(..self.input_at);
                    self.input.extend_from_slice(piece);
                    let input = std::mem::take(&mut self.input);
                    let taken = self.take_request(&input);
                    (self.input, self.input_at) = (input, 0);
                    return Poll::Ready(Ok(Some(self.settle(taken))));
                }
                // A head that comes whole, as nearly all do, is read where it stands.
                let taken = self.take_request(piece);
                self.input.clear();
                self.input_at = 0;
                let left = match taken {
                    Taken::Request(used) | Taken::Nothing(used) => &piece[used..],
                    Taken::Refused => &[],
                };
                self.input.extend_from_slice(left);
                let whole = !matches!(taken, Taken::Nothing(_));
                Poll::Ready(Ok(Some(whole && self.settle(Taken::Request(0)))))
            });
            match polled {
                Poll::Ready(Ok(Some(true))) => return Poll::Ready(Ok(true)),
                Poll::Ready(Ok(Some(false))) => {}
                Poll::Ready(Ok(None)) if self.link.holds_half_open() => {
                    // hyper would take the end for the client's departure; it reads on when the answers are written.
                    self.link.partial_head.set(None);
                    self.link.read_wait.set(None);
                    *self.link.reader.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(None)) => {
                    self.read = ReadState::Ended;
                    return Poll::Ready(Ok(false));
                }
                Poll::Ready(Err(e)) => {
                    self.link.set_fault(Fault::Broken(e.kind()));
                    return Poll::Ready(Err(e));
                }
                Poll::Pending => {
                    if self.link.read_wait.get().is_none() {
                        self.link.read_wait.set(Some(Instant::now()));
                    }
                    *self.link.reader.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    /// Drops of the input what was used of it; whether there is a request, or a refusal in place of one.
    fn settle(&mut self, taken: Taken) -> bool {
        match taken {
            Taken::Nothing(used) => {
                self.consume_input(used);
                return false;
            }
            Taken::Request(used) => self.consume_input(used),
            Taken::Refused => {
                self.input = Vec::new();
                self.input_at = 0;
            }
        }
        self.link.read_wait.set(None);
        self.link.partial_head.set(None);
        true
    }

    /// Takes a whole request head out of what has come, and its body where that has come too. Leaves its short form in
    /// `short` and sets the state.
    fn take_request(&mut self, buffer: &[u8]) -> Taken {
        // RFC 9112 §2.2: an empty line before a request is ignored.
        let mut used = 0;
        while self.finder_is_fresh() && buffer[used..].starts_with(b"\r\n") {
            used += 2;
        }
        let buffer = &buffer[used..];
        if buffer.is_empty() {
            return Taken::Nothing(used);
        }
        let limits = self.link.limits;
        let length = match self.finder.find(buffer) {
            Ok(Some(length)) if length <= limits.head => length,
            Ok(None) if buffer.len() < limits.head => {
                if !buffer[0].is_ascii_graphic() && buffer[0] != b'\r' {
                    return self.refuse(BadRequest::Head(HeadError::Malformed(
                        "the request does not begin with a method",
                    )));
                }
                return Taken::Nothing(used);
            }
            Ok(_) => {
                // Without a line end in all this, it is the request line that is too long.
                let line = memchr::memchr(b'\n', buffer);
                let long = line.is_none_or(|line| line > limits.target);
                return self.refuse(BadRequest::Head(if long {
                    HeadError::TargetTooLong
                } else {
                    HeadError::TooLarge
                }));
            }
            Err(error) => return self.refuse(BadRequest::Head(error)),
        };
        let (raw, behind) = buffer.split_at(length);
        let request = match head::read_request(Bytes::copy_from_slice(raw), &limits) {
            Ok(request) => request,
            Err(error) => return self.refuse(BadRequest::Head(error)),
        };
        used += length;
        self.finder = EndFinder::default();
        let body = match request.framing {
            Framing::Length(n) if n <= behind.len().min(WITH_HEAD) as u64 => {
                used += n as usize;
                Some(Bytes::copy_from_slice(&behind[..n as usize]))
            }
            _ => None,
        };
        let framing = match body {
            Some(_) => Framing::None,
            None => request.framing,
        };
        self.short.clear();
        self.short.extend_from_slice(match request.method() {
            b"HEAD" => b"HEAD / HTTP/1.",
            b"POST" => b"POST / HTTP/1.",
            _ => b"GET / HTTP/1.",
        });
        self.short
            .extend_from_slice(if request.minor == Minor::One {
                b"1\r\n"
            } else {
                b"0\r\n"
            });
        let then = short_framing(&mut self.short, framing);
        if request.minor == Minor::Zero && !request.wants_close() {
            self.short.extend_from_slice(b"connection: keep-alive\r\n");
        } else if request.minor == Minor::One && request.wants_close() {
            self.short.extend_from_slice(b"connection: close\r\n");
        }
        if request.wants_upgrade() && request.framing == Framing::None {
            self.short
                .extend_from_slice(b"connection: upgrade\r\nupgrade: x\r\n");
        }
        if request.expects_continue && body.is_none() {
            self.short.extend_from_slice(b"expect: 100-continue\r\n");
        }
        if request.fields.has_token(head::Name::Te, "trailers") {
            self.short.extend_from_slice(b"te: trailers\r\n");
        }
        self.short.extend_from_slice(b"\r\n");
        self.link.in_flight.set(self.link.in_flight.get() + 1);
        self.link
            .requests
            .borrow_mut()
            .push_back(Ok((request, body)));
        self.read = ReadState::Feed { at: 0, then };
        Taken::Request(used)
    }

    fn finder_is_fresh(&self) -> bool {
        self.finder == EndFinder::default()
    }

    /// Hands the service a refusal in place of a request, through a placeholder that hyper can read.
    fn refuse(&mut self, why: BadRequest) -> Taken {
        self.short.clear();
        self.short
            .extend_from_slice(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n");
        self.link.in_flight.set(self.link.in_flight.get() + 1);
        self.link.requests.borrow_mut().push_back(Err(why));
        self.read = ReadState::Feed {
            at: 0,
            then: Follow::Stop,
        };
        Taken::Refused
    }

    /// Hands body bytes on, as far as they belong to the message.
    fn poll_read_body(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        mut follow: Follow,
    ) -> Poll<io::Result<()>> {
        if let Follow::Stop = follow {
            // The refused request's remains are read away when the connection lingers.
            return Poll::Pending;
        }
        let before = out.filled().len();
        if self.pending_input() > 0 {
            let n = self.pending_input().min(out.remaining());
            out.put_slice(&self.input[self.input_at..self.input_at + n]);
            self.consume_input(n);
        } else {
            match Pin::new(&mut self.io).poll_read(cx, out) {
                Poll::Pending => {
                    if self.link.read_wait.get().is_none() {
                        self.link.read_wait.set(Some(Instant::now()));
                    }
                    *self.link.reader.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Err(e)) => {
                    self.link.set_fault(Fault::Broken(e.kind()));
                    return Poll::Ready(Err(e));
                }
                Poll::Ready(Ok(())) => {
                    let n = out.filled().len() - before;
                    self.link.bytes_in.set(self.link.bytes_in.get() + n as u64);
                    if n == 0 {
                        self.link.set_fault(Fault::Closed);
                        self.read = ReadState::Ended;
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
        self.link.read_wait.set(None);
        let piece = &out.filled()[before..];
        let ended = match &mut follow {
            Follow::Stop => None,
            Follow::Length(left) => {
                if (piece.len() as u64) < *left {
                    *left -= piece.len() as u64;
                    None
                } else {
                    Some(*left as usize)
                }
            }
            Follow::Chunked(chunked) => match chunked.follow(piece) {
                Ok(Progress::More) => None,
                Ok(Progress::Ended(at)) => Some(at),
                Err(bad) => {
                    self.link.set_fault(Fault::BadChunk(bad.0));
                    self.read = ReadState::Ended;
                    out.set_filled(before);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, bad.0)));
                }
            },
        };
        match ended {
            None => self.read = ReadState::Body(follow),
            Some(at) => {
                let surplus = piece[at..].to_vec();
                if !surplus.is_empty() {
                    // Came behind the body: the next request of a pipeline.
                    let mut input = surplus;
                    input.extend_from_slice(&self.input[self.input_at..]);
                    self.input = input;
                    self.input_at = 0;
                    out.set_filled(before + at);
                }
                self.read = ReadState::Head;
                self.link.reads_body.set(false);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is held back; ready when all of it is on its way.
    fn poll_write_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.output_at < self.output.len() {
            let n = ready!(self.poll_io_write(cx, None))?;
            self.output_at += n;
        }
        self.output_at = 0;
        if self.output.capacity() > 4 * JOIN {
            self.output = Vec::new()
        } else {
            self.output.clear()
        }
        Poll::Ready(Ok(()))
    }

    /// One write to the socket: `slices`, or what is held back.
    fn poll_io_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: Option<&[io::IoSlice<'_>]>,
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut self.io);
        let polled = match slices {
            None => io.poll_write(cx, &self.output[self.output_at..]),
            Some(slices) => io.poll_write_vectored(cx, slices),
        };
        match polled {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(n)) => {
                self.link.write_wait.set(None);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) => {
                self.link.set_fault(Fault::Broken(e.kind()));
                Poll::Ready(Err(e))
            }
            Poll::Pending => {
                if self.link.write_wait.get().is_none() {
                    self.link.write_wait.set(Some(Instant::now()));
                }
                Poll::Pending
            }
        }
    }

    /// Takes hyper's head from the front of `slice` and puts the prepared one into the output. Returns its length.
    fn swap_head(&mut self, slice: &[u8]) -> io::Result<usize> {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        if slice.starts_with(CONTINUE) {
            self.output.extend_from_slice(CONTINUE);
            return Ok(CONTINUE.len());
        }
        let length = memchr::memmem::find(slice, b"\r\n\r\n")
            .ok_or_else(|| io::Error::other("hyper wrote part of a head"))?
            + 4;
        let short = &slice[..length];
        let head = self.link.out_heads.borrow_mut().pop_front();
        let (mut framing, mut connection) = (Framing::None, None);
        let mut has_framing = false;
        for line in short.split(|b| *b == b'\n').skip(1) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(value) = line.strip_prefix(b"content-length: ") {
                let length = value.iter().fold(0u64, |n, d| {
                    n.wrapping_mul(10)
                        .wrapping_add(u64::from(d.wrapping_sub(b'0')))
                });
                framing = if length == 0 {
                    Framing::None
                } else {
                    Framing::Length(length)
                };
                has_framing = true;
            } else if line.starts_with(b"transfer-encoding: ") {
                framing = Framing::Chunked;
                has_framing = true;
            } else if line.starts_with(b"connection: ") {
                connection = Some(line);
            }
        }
        match head {
            Some(head) => {
                self.output.extend_from_slice(&head.bytes);
                if let Some(b"connection: close") = connection {
                    self.output.extend_from_slice(b"Connection: close\r\n");
                } else if let Some(b"connection: keep-alive") = connection {
                    self.output.extend_from_slice(b"Connection: keep-alive\r\n");
                }
                if head.no_body {
                    framing = Framing::None;
                } else if !has_framing {
                    framing = Framing::Close;
                }
                self.output.extend_from_slice(b"\r\n");
            }
            // hyper's own answer to what it could not read.
            None => {
                self.output.extend_from_slice(short);
                framing = Framing::Close;
            }
        }
        self.write = match framing {
            Framing::None => WriteState::Head,
            Framing::Length(n) => WriteState::Length(n),
            Framing::Chunked => WriteState::Chunked(Chunked::default()),
            Framing::Close => WriteState::Rest,
        };
        self.link.message_done.set(false);
        if framing == Framing::None {
            self.message_written();
        }
        Ok(length)
    }

    fn message_written(&mut self) {
        self.write = WriteState::Head;
        self.link.message_done.set(true);
        self.link
            .in_flight
            .set(self.link.in_flight.get().saturating_sub(1));
        self.link.read_wait.set(Some(Instant::now()));
        if self.link.half_closed.get().is_some() {
            self.link.wake();
        }
    }

    /// How many of these bytes belong to the message being written; advances the state past them.
    fn follow_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = match &mut self.write {
            WriteState::Head => 0,
            WriteState::Rest => bytes.len(),
            WriteState::Length(left) => {
                let n = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                if *left == 0 {
                    self.message_written();
                }
                n
            }
            WriteState::Chunked(chunked) => match chunked
                .follow(bytes)
                .map_err(|bad| io::Error::other(bad.0))?
            {
                Progress::More => bytes.len(),
                Progress::Ended(at) => {
                    self.message_written();
                    at
                }
            },
        };
        Ok(n)
    }
}

/// The line that tells hyper how a body is framed.
fn short_framing(short: &mut Vec<u8>, framing: Framing) -> Follow {
    match framing {
        // A request never goes on until the connection closes (RFC 9112 §6.3).
        Framing::None | Framing::Close => Follow::Length(0),
        Framing::Length(n) => {
            short.extend_from_slice(b"content-length: ");
            decimal(short, n);
            short.extend_from_slice(b"\r\n");
            Follow::Length(n)
        }
        Framing::Chunked => {
            short.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Follow::Chunked(Chunked::default())
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.link.close_now.get() || this.link.fail_read.get() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = out.filled().len();
        loop {
            match this.read {
                ReadState::Ended => {
                    return match this.link.fault() {
                        Some(Fault::BadChunk(_)) => {
                            Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
                        }
                        _ => Poll::Ready(Ok(())),
                    };
                }
                ReadState::Head => {
                    match this.poll_read_head(cx) {
                        Poll::Ready(Ok(true)) => continue,
                        Poll::Ready(Ok(false)) => continue,
                        Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                        Poll::Pending => return Poll::Pending,
                    };
                }
                ReadState::Feed { at, then } => {
                    let n = (this.short.len() - at).min(out.remaining());
                    out.put_slice(&this.short[at..at + n]);
                    if at + n < this.short.len() {
                        this.read = ReadState::Feed { at: at + n, then };
                        return Poll::Ready(Ok(()));
                    }
                    this.read = match then {
                        Follow::Length(0) => ReadState::Head,
                        then => ReadState::Body(then),
                    };
                    this.link
                        .reads_body
                        .set(matches!(then, Follow::Length(1..) | Follow::Chunked(_)));
                    if matches!(this.read, ReadState::Body(_))
                        && this.pending_input() > 0
                        && out.remaining() > 0
                    {
                        continue;
                    }
                    return Poll::Ready(Ok(()));
                }
                ReadState::Body(follow) => {
                    if out.filled().len() > before && this.pending_input() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    return match this.poll_read_body(cx, out, follow) {
                        // What came before the fault goes first: the head, whose answer tells of it.
                        Poll::Ready(Err(_)) if out.filled().len() > before => Poll::Ready(Ok(())),
                        polled => polled,
                    };
                }
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.link.close_now.get() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(this.poll_write_output(cx))?;
        let total: usize = slices.iter().map(|s| s.len()).sum();
        let mut slices = slices.iter().filter(|s| !s.is_empty());
        let Some(first) = slices.next() else {
            return Poll::Ready(Ok(0));
        };
        if let WriteState::Head = this.write {
            let joined = if total <= JOIN { total } else { 0 };
            this.output.reserve(this.link.next_head_length() + joined);
            let mut taken = this.swap_head(first)?;
            let rest = total - taken;
            if rest <= JOIN {
                let mut rest_of_first = &first[taken..];
                loop {
                    let n = this.follow_write(rest_of_first)?;
                    this.output.extend_from_slice(&rest_of_first[..n]);
                    taken += n;
                    if n < rest_of_first.len() {
                        break;
                    }
                    match slices.next() {
                        Some(next) => rest_of_first = next,
                        None => break,
                    }
                }
            }
            // Whatever the socket does not take now goes out with the next write or flush.
            match this.poll_write_output(cx) {
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            return Poll::Ready(Ok(taken));
        }
        // A body: pieces go out as they are, up to the end of the message.
        let before = this.write;
        let was = (this.link.message_done.get(), this.link.in_flight.get());
        let mut pieces: [io::IoSlice<'_>; 16] = [io::IoSlice::new(&[]); 16];
        let mut count = 0;
        let mut asked = 0;
        let mut next = Some(first);
        while let Some(slice) = next {
            let n = this.follow_write(slice)?;
            if n > 0 && count < pieces.len() {
                pieces[count] = io::IoSlice::new(&slice[..n]);
                count += 1;
                asked += n;
            }
            if n < slice.len() || count == pieces.len() {
                break;
            }
            next = slices.next();
        }
        // The state is what follows from the bytes that the socket takes.
        let undo = |this: &mut Self| {
            this.write = before;
            this.link.message_done.set(was.0);
            this.link.in_flight.set(was.1);
        };
        match this.poll_io_write(cx, Some(&pieces[..count])) {
            Poll::Ready(Ok(n)) if n == asked => Poll::Ready(Ok(n)),
            Poll::Ready(Ok(n)) => {
                undo(this);
                let mut left = n;
                for piece in &pieces[..count] {
                    let part = left.min(piece.len());
                    this.follow_write(&piece[..part])?;
                    left -= part;
                }
                Poll::Ready(Ok(n))
            }
            other => {
                undo(this);
                other
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_output(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_output(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
