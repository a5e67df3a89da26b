//! A body on its way in: by length, in chunks, or until the connection closes (RFC 9112 §6).

use crate::proxy::http::chunked::{BadChunk, Chunked, Event};
use crate::proxy::http::head::Framing;
use crate::proxy::http::read::read_trailers;
use bytes::{Buf, Bytes};
use hyper::body::Frame;

/// What is left to come.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    Length(u64),
    Chunked(Chunked),
    /// Until the connection closes.
    Close,
}

/// The body of one message. It is fed with what was read and gives data and trailers as spans of that.
#[derive(Debug)]
pub struct BodyIn {
    left: Left,
    /// What was read and not looked at. Behind the body's end it belongs to the next message.
    rest: Bytes,
    /// The next piece of a chunked body.
    ready: Option<Bytes>,
    /// The trailers, from the end of the data on.
    trailers: Option<Vec<u8>>,
    failed: Option<BadChunk>,
}

impl Default for BodyIn {
    /// No body.
    fn default() -> Self {
        BodyIn {
            left: Left::Nothing,
            rest: Bytes::new(),
            ready: None,
            trailers: None,
            failed: None,
        }
    }
}

impl BodyIn {
    /// The body of a message whose head has been read; `rest` is what came behind the head.
    pub fn begin(framing: Framing, rest: Bytes) -> Self {
        BodyIn {
            left: match framing {
                Framing::None | Framing::Length(0) => Left::Nothing,
                Framing::Length(length) => Left::Length(length),
                Framing::Chunked => Left::Chunked(Chunked::default()),
                Framing::Close => Left::Close,
            },
            rest,
            ..BodyIn::default()
        }
    }

    /// Takes the next bytes of the connection. Only when [`next_frame`](Self::next_frame) has given nothing.
    pub fn feed(&mut self, bytes: Bytes) {
        debug_assert!(self.rest.is_empty(), "what was read before is used up");
        self.rest = bytes;
    }

    /// How many bytes may be read next without reading past the body, where that is known.
    pub fn wanted(&self) -> Option<u64> {
        match self.left {
            Left::Nothing => Some(0),
            Left::Length(left) => Some(left),
            Left::Chunked(_) | Left::Close => None,
        }
    }

    /// Whether all of the body has been given.
    pub fn is_ended(&self) -> bool {
        matches!(self.left, Left::Nothing) && self.ready.is_none() && self.trailers.is_none()
    }

    /// Whether the body was found unreadable and cannot go on.
    pub fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether nothing of the message has come behind its head, and something is to come.
    pub fn is_awaited(&self) -> bool {
        !self.is_ended() && self.rest.is_empty() && self.ready.is_none()
    }

    /// The bytes that are left of the body, where that is known.
    pub fn length(&self) -> Option<u64> {
        match self.left {
            Left::Nothing if self.is_ended() => Some(0),
            Left::Length(length) => Some(length),
            _ => None,
        }
    }

    /// The whole body, where it has come.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        match self.left {
            Left::Nothing => Some(Bytes::new()),
            Left::Length(length) if self.rest.len() as u64 >= length => {
                self.left = Left::Nothing;
                Some(self.rest.split_to(length as usize))
            }
            _ => None,
        }
    }

    /// What came behind the body.
    pub fn take_rest(&mut self) -> Bytes {
        debug_assert!(self.is_ended(), "what is left belongs to the body");
        std::mem::take(&mut self.rest)
    }

    /// Whether bytes have come behind the body.
    pub fn has_surplus(&self) -> bool {
        self.is_ended() && !self.rest.is_empty()
    }

    /// The peer closed its side. Whether the body may end so.
    pub fn close(&mut self) -> bool {
        let may = matches!(self.left, Left::Close | Left::Nothing);
        if may {
            self.left = Left::Nothing;
        }
        may
    }

    /// The next data or trailers in what was read; `None` where more has to be read, or the body has ended.
    ///
    /// # Errors
    /// A chunked body that cannot be read in one way. What came before the fault was given before.
    pub fn next_frame(&mut self) -> Result<Option<Frame<Bytes>>, BadChunk> {
        if let Some(data) = self.ready.take() {
            // The end is known with the last piece, where it has come with it.
            self.look_ahead();
            return Ok(Some(Frame::data(data)));
        }
        if let Some(bad) = self.failed {
            return Err(bad);
        }
        if self.rest.is_empty() {
            return Ok(self.whole_trailers());
        }
        match &mut self.left {
            Left::Nothing => Ok(self.whole_trailers()),
            Left::Length(left) => {
                let n = (self.rest.len() as u64).min(*left);
                *left -= n;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
                Ok(Some(Frame::data(self.rest.split_to(n as usize))))
            }
            Left::Close => Ok(Some(Frame::data(std::mem::take(&mut self.rest)))),
            Left::Chunked(_) => {
                self.look_ahead();
                match (&self.ready, self.failed) {
                    (Some(_), _) => self.next_frame(),
                    (None, Some(bad)) => Err(bad),
                    (None, None) => Ok(self.whole_trailers()),
                }
            }
        }
    }

    /// Reads of a chunked body until its next piece, its end, or all that was read is used.
    fn look_ahead(&mut self) {
        while let Left::Chunked(chunked) = &mut self.left
            && self.ready.is_none()
            && self.failed.is_none()
            && !self.rest.is_empty()
        {
            match chunked.next(&self.rest, 0) {
                Err(bad) => self.failed = Some(bad),
                Ok(Event::Data(data)) => {
                    self.rest.advance(data.start);
                    self.ready = Some(self.rest.split_to(data.len()));
                }
                Ok(Event::Trailers(at)) => {
                    self.rest.advance(at);
                    self.trailers = Some(Vec::new());
                }
                Ok(Event::More) => {
                    let all = std::mem::take(&mut self.rest);
                    if let Some(trailers) = &mut self.trailers {
                        trailers.extend_from_slice(&all);
                    }
                }
                Ok(Event::Ended(at)) => {
                    let end = self.rest.split_to(at);
                    if let Some(trailers) = &mut self.trailers {
                        trailers.extend_from_slice(&end);
                    }
                    self.left = Left::Nothing;
                    // The empty line alone.
                    if self.trailers.as_ref().is_some_and(|t| t.len() <= 2) {
                        self.trailers = None;
                    }
                }
            }
        }
    }

    /// The trailers, when the body has ended.
    fn whole_trailers(&mut self) -> Option<Frame<Bytes>> {
        if !matches!(self.left, Left::Nothing) {
            return None;
        }
        Some(Frame::trailers(read_trailers(&self.trailers.take()?)))
    }
}
