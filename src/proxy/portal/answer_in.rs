//! An answer on its way from the portal: its head, its body, and what it says of the connection.

use crate::proxy::http::body_in::BodyIn;
use crate::proxy::http::fields::{Name, list_items};
use crate::proxy::http::head::{HeadError, Limits, ResponseHead};
use crate::proxy::http::read::{EndFinder, read_response};
use crate::proxy::net::fault::Fault;
use crate::proxy::net::scratch::with_scratch;
use crate::proxy::net::stream::Stream;
use bytes::{Bytes, BytesMut};
use hyper::body::Frame;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Bytes of an answer's body that are read at once, to begin with and at most.
const READ: usize = 16 * 1024;
const READ_MOST: usize = 512 * 1024;

/// The answer on its way in.
pub struct AnswerIn {
    to_head: bool,
    upgrade: bool,
    awaited: bool,
    /// A head of which only a part has come.
    input: Vec<u8>,
    finder: EndFinder,
    body: BodyIn,
    keeps_alive: bool,
    /// How long the portal says that it keeps the connection, less the time that its close may be on its way.
    kept_for: Option<Duration>,
    buffer: BytesMut,
    read: usize,
    read_wait: Option<Instant>,
}

/// What was found of an answer's head in what has come.
enum Found {
    Head(ResponseHead),
    /// Only a part of one, behind so many bytes of interim answers.
    More(usize),
}

impl AnswerIn {
    /// Nothing was asked.
    pub fn none() -> Self {
        AnswerIn {
            to_head: false,
            upgrade: false,
            awaited: false,
            input: Vec::new(),
            finder: EndFinder::default(),
            body: BodyIn::default(),
            keeps_alive: true,
            kept_for: None,
            buffer: BytesMut::new(),
            read: READ,
            read_wait: None,
        }
    }

    /// A request goes out, a HEAD or one that asks for another protocol maybe.
    pub fn begin(&mut self, to_head: bool, upgrade: bool) {
        self.to_head = to_head;
        self.upgrade = upgrade;
        self.awaited = true;
        self.read_wait = None;
    }

    /// Whether its head is still to come.
    pub fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// Since when nothing of its body has come.
    pub fn read_wait(&self) -> Option<Instant> {
        self.read_wait
    }

    /// Whether nothing more of it is to come, and the connection lasts.
    pub fn is_ended_well(&self) -> bool {
        self.body.is_ended() && self.keeps_alive && !self.body.is_failed()
    }

    /// Whether the connection can carry another exchange behind it.
    pub fn leaves_reusable(&self) -> bool {
        self.is_ended_well()
            && self.kept_for != Some(Duration::ZERO)
            && !self.body.has_surplus()
            && !self.upgrade
    }

    /// How long the portal says that it keeps the connection, less the time that its close may be on its way.
    pub fn kept_for(&self) -> Option<Duration> {
        self.kept_for
    }

    /// Its body.
    pub fn body(&mut self) -> &mut BodyIn {
        &mut self.body
    }

    /// Whether nothing more of its body is to come.
    pub fn is_ended(&self) -> bool {
        self.body.is_ended()
    }

    /// The bytes that are left of the body, as far as that was told.
    pub fn length(&self) -> Option<u64> {
        self.body.length()
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self) {
        self.buffer = BytesMut::new();
        self.read = READ;
    }

    /// The next piece of the body that has come; `None` where it has ended.
    ///
    /// # Errors
    /// The answer broke off.
    pub fn poll_body(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            match self.body.next_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_ended() => return Poll::Ready(None),
                Ok(None) => {}
                Err(bad) => return Poll::Ready(Some(Err(Fault::BadChunk(bad.0)))),
            }
            if let Err(fault) = ready!(self.poll_read(stream, cx)) {
                return Poll::Ready(Some(Err(fault)));
            }
        }
    }

    /// Reads once; gives the answer's head when it is there.
    ///
    /// # Errors
    /// The portal closed, or sent something that is no answer.
    pub fn poll_head(
        &mut self,
        stream: &mut Stream,
        limits: &Limits,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ResponseHead>, Fault>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer)).map_err(Fault::from)?;
            let piece = buffer.filled();
            if piece.is_empty() {
                return Poll::Ready(Err(Fault::Closed));
            }
            // A head that comes whole, as nearly all do, is read where it stands.
            let mut input = std::mem::take(&mut self.input);
            let is_first = input.is_empty();
            if !is_first {
                input.extend_from_slice(piece);
            }
            let come = if is_first { piece } else { &input };
            Poll::Ready(Ok(match self.take_head(come, limits)? {
                Found::Head(head) => Some(head),
                Found::More(used) if is_first => {
                    self.input = piece[used..].to_vec();
                    None
                }
                Found::More(used) => {
                    input.drain(..used);
                    self.input = input;
                    None
                }
            }))
        })
    }

    /// Takes the head out of what has come. What has come behind it becomes `rest`.
    fn take_head(&mut self, all: &[u8], limits: &Limits) -> Result<Found, Fault> {
        let mut used = 0;
        loop {
            let buffer = &all[used..];
            let length = match self.finder.find(buffer).map_err(Fault::BadHead)? {
                Some(length) if length <= limits.head => length,
                None if buffer.len() < limits.head => return Ok(Found::More(used)),
                _ => return Err(Fault::BadHead(HeadError::TooLarge)),
            };
            let (raw, rest) = buffer.split_at(length);
            let head = read_response(Bytes::copy_from_slice(raw), limits, self.to_head)
                .map_err(Fault::BadHead)?;
            self.finder = EndFinder::default();
            if head.status == 101 && !self.upgrade {
                return Err(Fault::UnaskedUpgrade);
            }
            if head.status < 200 && head.status != 101 {
                // An interim answer: it says nothing that a proxy had to pass on (RFC 9110 §15.2).
                used += length;
                continue;
            }
            self.awaited = false;
            self.keeps_alive = head.keeps_alive;
            self.kept_for = head.fields.first(Name::KeepAlive).and_then(kept_for);
            self.body = BodyIn::begin(head.framing, Bytes::copy_from_slice(rest));
            return Ok(Found::Head(head));
        }
    }

    /// Reads more of the body.
    fn poll_read(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let want = self.body.wanted().map_or(self.read, |wanted| {
            self.read.min(usize::try_from(wanted).unwrap_or(usize::MAX))
        });
        self.buffer.reserve(want);
        let room = self.buffer.capacity();
        match pin!(stream.read_buf(&mut self.buffer)).poll(cx) {
            Poll::Pending => {
                self.read_wait.get_or_insert_with(Instant::now);
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Fault::from(error))),
            Poll::Ready(Ok(0)) => {
                if self.body.close() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Ready(Err(Fault::Closed))
                }
            }
            Poll::Ready(Ok(n)) => {
                self.read_wait = None;
                if n == room {
                    self.read = (self.read * 2).min(READ_MOST);
                }
                self.body.feed(self.buffer.split().freeze());
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// The `timeout=N` of `Keep-Alive` (RFC 2068 §19.7.1.1), less a second.
fn kept_for(field: &[u8]) -> Option<Duration> {
    let seconds = list_items(field).find_map(|item| {
        let (name, value) = std::str::from_utf8(item).ok()?.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("timeout");
        named.then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    Some(Duration::from_secs(seconds.saturating_sub(1).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portals_own_limit_is_a_second_shorter_than_it_says() {
        let seconds = |count| Some(Duration::from_secs(count));
        for (field, wanted) in [
            ("timeout=5, max=1000", seconds(4)),
            ("max=7,Timeout = \"20\"", seconds(19)),
            ("timeout=1", seconds(0)),
            ("timeout=0", seconds(0)),
            ("max=5", None),
            ("timeout=", None),
            ("timeout=-1", None),
            ("timeout", None),
            ("", None),
        ] {
            assert_eq!(kept_for(field.as_bytes()), wanted, "{field}");
        }
    }
}
