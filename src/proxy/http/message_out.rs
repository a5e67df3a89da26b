//! A message on its way out: its head, then its body by length, in chunks, or until the connection closes.

use crate::digits::hexadecimal;
use crate::proxy::http::fields::list_items;
use crate::proxy::http::head::Framing;
use bytes::{Buf, Bytes};
use hyper::HeaderMap;
use std::io::IoSlice;

/// Bytes of a body that are copied behind what waits to be written; a longer piece goes out beside it as it is.
const JOIN: usize = 16 * 1024;

/// A buffer that is kept between messages has no more room than this.
const KEPT: usize = 4 * 1024;

/// What is left to be said of a message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Length(u64),
    Chunked,
    /// Until the connection closes.
    Close,
}

/// The body is shorter or longer than the head says: what follows must not be taken for the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength;

/// One message at a time: what waits to be written, and what may still be added.
#[derive(Debug)]
pub struct MessageOut {
    /// The head and what is joined to it; from `at` on it is not written yet.
    out: Vec<u8>,
    at: usize,
    left: Left,
    /// A piece of the body that goes out behind `out` as it is, and the end of its chunk.
    piece: Bytes,
    piece_end: &'static [u8],
    /// The names of trailers that may follow.
    trailer: Vec<u8>,
}

impl Default for MessageOut {
    fn default() -> Self {
        MessageOut {
            out: Vec::new(),
            at: 0,
            left: Left::Nothing,
            piece: Bytes::new(),
            piece_end: b"",
            trailer: Vec::new(),
        }
    }
}

impl MessageOut {
    /// Begins a message: the head, its empty line included, is to be written into what is given back. What is not
    /// written yet of an interim answer goes before it. `trailer` lists the trailers that may follow.
    pub fn begin(&mut self, framing: Framing, trailer: &[u8]) -> &mut Vec<u8> {
        debug_assert!(
            self.left == Left::Nothing && self.piece.is_empty(),
            "a message ends before the next"
        );
        if self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
        }
        self.trailer.clear();
        self.trailer.extend_from_slice(trailer);
        self.left = match framing {
            Framing::None | Framing::Length(0) => Left::Nothing,
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Chunked,
            Framing::Close => Left::Close,
        };
        &mut self.out
    }

    /// Forgets the message, to begin another.
    pub fn reset(&mut self) {
        self.out.clear();
        self.at = 0;
        self.left = Left::Nothing;
        self.piece = Bytes::new();
        self.piece_end = b"";
    }

    /// Gives back the room that an idle connection does not need.
    pub fn rest(&mut self) {
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
    }

    /// Gives back all room, where nothing waits.
    pub fn release(&mut self) {
        if self.is_written() {
            self.out = Vec::new();
            self.at = 0;
            self.trailer = Vec::new();
        }
    }

    /// What is left to be said of the body.
    pub fn left(&self) -> Left {
        self.left
    }

    /// Whether more of the body is to come, and can be taken now.
    pub fn wants_body(&self) -> bool {
        self.left != Left::Nothing && self.piece.is_empty() && self.out.len() - self.at < JOIN
    }

    /// Whether all that was said has been written.
    pub fn is_written(&self) -> bool {
        self.at == self.out.len() && self.piece.is_empty() && self.piece_end.is_empty()
    }

    /// Whether the message was said and written whole.
    pub fn is_done(&self) -> bool {
        self.left == Left::Nothing && self.is_written()
    }

    /// The next data of the body; `is_last` where it is known that nothing follows.
    ///
    /// # Errors
    /// More than the head promises.
    pub fn data(&mut self, data: &Bytes, is_last: bool) -> Result<(), WrongLength> {
        if data.is_empty() {
            return Ok(());
        }
        let end: &'static [u8] = match &mut self.left {
            Left::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
                b""
            }
            Left::Chunked => {
                hexadecimal(&mut self.out, data.len() as u64);
                self.out.extend_from_slice(b"\r\n");
                b"\r\n"
            }
            Left::Close => b"",
            Left::Nothing => return Err(WrongLength),
        };
        if self.out.len() - self.at + data.len() <= JOIN {
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(end);
        } else {
            self.piece = data.clone();
            self.piece_end = end;
        }
        if self.left == Left::Chunked && self.piece.is_empty() && is_last {
            self.end(None)?;
        }
        Ok(())
    }

    /// The end of the body.
    ///
    /// # Errors
    /// Less than the head promises.
    pub fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), WrongLength> {
        match std::mem::replace(&mut self.left, Left::Nothing) {
            Left::Nothing | Left::Close => return Ok(()),
            Left::Length(_) => return Err(WrongLength),
            Left::Chunked => {}
        }
        debug_assert!(self.piece.is_empty(), "the end comes after the last piece");
        self.out.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            let named = list_items(&self.trailer)
                .any(|item| item.eq_ignore_ascii_case(name.as_str().as_bytes()));
            if named && !of_a_head(name.as_str()) {
                self.out.extend_from_slice(name.as_str().as_bytes());
                self.out.extend_from_slice(b": ");
                self.out.extend_from_slice(value.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Adds bytes that are no part of a message: an interim answer.
    pub fn interim(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// What waits to be written, in one slice where possible.
    pub fn pending(&self) -> Pending<'_> {
        let out = &self.out[self.at..];
        if self.piece.is_empty() && self.piece_end.is_empty() {
            Pending::One(out)
        } else {
            Pending::Slices([out, &self.piece, self.piece_end].map(IoSlice::new))
        }
    }

    /// The socket has taken so many bytes of what was [`pending`](Self::pending).
    pub fn written(&mut self, mut n: usize) {
        let of_out = n.min(self.out.len() - self.at);
        self.at += of_out;
        n -= of_out;
        if self.at == self.out.len() {
            self.at = 0;
            self.out.clear();
        }
        if n > 0 {
            let of_piece = n.min(self.piece.len());
            self.piece.advance(of_piece);
            if self.piece.is_empty() {
                self.piece = Bytes::new();
            }
            n -= of_piece;
        }
        if self.piece.is_empty() && !self.piece_end.is_empty() {
            // The end of a chunk goes out with what follows.
            self.out.extend_from_slice(&self.piece_end[n..]);
            self.piece_end = b"";
        }
    }
}

/// What waits to be written.
pub enum Pending<'a> {
    One(&'a [u8]),
    Slices([IoSlice<'a>; 3]),
}

/// Fields that frame or route a message or say who sends it: no trailer may be one (RFC 9110 §6.5.1).
fn of_a_head(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "host"
            | "max-forwards"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
    )
}
