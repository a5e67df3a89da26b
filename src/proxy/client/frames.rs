//! How far an HTTP/2 client has come with its preface and its heads: what a time limit needs and hyper does not tell.

use crate::proxy::net::stream::Prefix;
use crate::proxy::net::stream::{Replay, Stream, writes_through};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, ReadBuf};

/// RFC 9113 §3.4.
const PREFACE: usize = 24;
/// RFC 9113 §4.1.
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Since when a preface, a head or another frame that is no body has been coming without its end.
#[derive(Debug, Default)]
pub struct Pace(Cell<Option<Instant>>);

impl Pace {
    pub fn since(&self) -> Option<Instant> {
        self.0.get()
    }
}

/// Where in the connection the next byte stands.
#[derive(Debug)]
enum At {
    /// So many bytes of the preface are missing.
    Preface(usize),
    /// In the head of a frame.
    Head([u8; FRAME_HEAD], usize),
    /// So many bytes of a frame's payload are missing.
    Payload(usize),
}

/// Follows the frames that come in. What they say is for hyper to judge.
#[derive(Debug)]
struct Follower {
    at: At,
    /// HEADERS have come without END_HEADERS.
    in_block: bool,
    since: Option<Instant>,
}

impl Follower {
    fn new(now: Instant) -> Self {
        Follower {
            at: At::Preface(PREFACE),
            in_block: false,
            since: Some(now),
        }
    }

    fn follow(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Preface(missing) => {
                    let n = bytes.len().min(*missing);
                    *missing -= n;
                    bytes = &bytes[n..];
                    if *missing == 0 {
                        // Its SETTINGS frame belongs to it.
                        self.at = At::Head([0; FRAME_HEAD], 0);
                    }
                }
                At::Head(head, have) => {
                    self.since.get_or_insert(now);
                    let n = bytes.len().min(FRAME_HEAD - *have);
                    head[*have..*have + n].copy_from_slice(&bytes[..n]);
                    *have += n;
                    bytes = &bytes[n..];
                    if *have == FRAME_HEAD {
                        let [a, b, c, kind, flags, ..] = *head;
                        self.begin(u32::from_be_bytes([0, a, b, c]) as usize, kind, flags);
                    }
                }
                At::Payload(missing) => {
                    let n = bytes.len().min(*missing);
                    *missing -= n;
                    bytes = &bytes[n..];
                    if *missing == 0 {
                        self.end();
                    }
                }
            }
        }
    }

    fn begin(&mut self, length: usize, kind: u8, flags: u8) {
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
        if kind == DATA && !self.in_block {
            // A body has a limit of its own.
            self.since = None;
        }
        self.at = At::Payload(length);
        if length == 0 {
            self.end();
        }
    }

    fn end(&mut self) {
        self.at = At::Head([0; FRAME_HEAD], 0);
        if !self.in_block {
            self.since = None;
        }
    }
}

/// A connection whose incoming frames are followed.
pub struct Frames {
    stream: Replay,
    follower: Follower,
    pace: Rc<Pace>,
}

impl Frames {
    pub fn new(stream: Stream, prefix: Prefix) -> (Self, Rc<Pace>) {
        let follower = Follower::new(prefix.since.unwrap_or_else(Instant::now));
        let pace = Rc::new(Pace(Cell::new(follower.since)));
        let frames = Frames {
            stream: Replay::new(prefix.bytes, stream),
            follower,
            pace: pace.clone(),
        };
        (frames, pace)
    }

    fn came(&mut self, bytes: &[u8]) {
        self.follower.follow(bytes, Instant::now());
        self.pace.0.set(self.follower.since);
    }
}

impl AsyncRead for Frames {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, out))?;
        this.came(&out.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

writes_through!(Frames, stream);

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload as u8, kind, flags, 0, 0, 0, 1];
        bytes.resize(FRAME_HEAD + payload, b'x');
        bytes
    }

    #[test]
    fn a_head_is_on_its_way_from_its_first_byte_to_the_end_of_its_block() {
        let steps: [(&[Vec<u8>], bool); 8] = [
            (&[vec![b'P'; PREFACE]], true),
            (&[frame(4, 0, 6)], false),
            (&[vec![0]], true),
            (&[frame(HEADERS, END_HEADERS, 20)[1..].to_vec()], false),
            (&[frame(HEADERS, 1, 20), frame(CONTINUATION, 0, 0)], true),
            (&[frame(CONTINUATION, END_HEADERS, 3)], false),
            (&[frame(DATA, 0, 30)[..12].to_vec()], false),
            (&[vec![b'x'; 27], frame(6, 0, 8)[..10].to_vec()], true),
        ];
        // In one piece, and byte by byte.
        for piece in [usize::MAX, 1] {
            let mut follower = Follower::new(Instant::now());
            for (at, (parts, coming)) in steps.iter().enumerate() {
                for chunk in parts.concat().chunks(piece) {
                    follower.follow(chunk, Instant::now());
                }
                assert_eq!(follower.since.is_some(), *coming, "step {at}");
            }
        }
    }

    #[test]
    fn a_block_has_one_beginning_however_many_frames_it_takes() {
        let began = Instant::now();
        let later = began + std::time::Duration::from_secs(9);
        let mut follower = Follower::new(began);
        follower.follow(&[b'P'; PREFACE], began);
        follower.follow(&frame(4, 0, 0), began);
        follower.follow(&frame(HEADERS, 0, 9), began);
        follower.follow(&frame(CONTINUATION, 0, 9), later);
        assert_eq!(follower.since, Some(began));
    }
}
