//! Requests on their way in: where a head ends, what it says, and the body that has come with it (RFC 9112 §2 to §6).

use crate::proxy::http::head::{EndFinder, Framing, HeadError, Limits, RequestHead, read_request};
use bytes::Bytes;

/// A body of up to this many bytes that has come whole with its head goes along with it. It is also what one read of a head
/// takes from a socket.
pub const WITH_HEAD: usize = 64 * 1024;

/// Finds the requests in what a client sends, looking at every byte once.
#[derive(Debug)]
pub struct RequestIn {
    limits: Limits,
    finder: EndFinder,
}

/// What was found in what has come, and how many bytes of it are used up.
#[derive(Debug)]
pub enum Taken {
    /// A request. Its body is there where it came whole with its head.
    Request {
        used: usize,
        head: RequestHead,
        body: Option<Bytes>,
    },
    /// A part of a request at most, behind that many bytes of empty lines. More has to come.
    More(usize),
    /// What came cannot be read, nor what comes behind it.
    Refused(HeadError),
}

impl RequestIn {
    pub fn new(limits: Limits) -> Self {
        RequestIn {
            limits,
            finder: EndFinder::default(),
        }
    }

    /// Looks for a request in all that has come and is not used up: what it was given before, and more behind it.
    pub fn take(&mut self, come: &[u8]) -> Taken {
        // RFC 9112 §2.2: an empty line before a request is ignored.
        let mut empty = 0;
        while self.finder == EndFinder::default() && come[empty..].starts_with(b"\r\n") {
            empty += 2;
        }
        let buffer = &come[empty..];
        if buffer.is_empty() {
            return Taken::More(empty);
        }
        let length = match self.finder.find(buffer) {
            Ok(Some(length)) if length <= self.limits.head => length,
            Ok(None) if buffer.len() < self.limits.head => {
                if !buffer[0].is_ascii_graphic() && buffer[0] != b'\r' {
                    return self.refuse(HeadError::Malformed(
                        "the request does not begin with a method",
                    ));
                }
                return Taken::More(empty);
            }
            Ok(_) => {
                // Without a line end in all this, it is the request line that is too long.
                let line = memchr::memchr(b'\n', buffer);
                let long = line.is_none_or(|line| line > self.limits.target);
                return self.refuse(if long {
                    HeadError::TargetTooLong
                } else {
                    HeadError::TooLarge
                });
            }
            Err(error) => return self.refuse(error),
        };
        self.finder = EndFinder::default();
        let (raw, behind) = buffer.split_at(length);
        let head = match read_request(Bytes::copy_from_slice(raw), &self.limits) {
            Ok(head) => head,
            Err(error) => return self.refuse(error),
        };
        let mut used = empty + length;
        let body = match head.framing {
            Framing::Length(n) if n <= behind.len().min(WITH_HEAD) as u64 => {
                used += n as usize;
                Some(Bytes::copy_from_slice(&behind[..n as usize]))
            }
            _ => None,
        };
        Taken::Request { used, head, body }
    }

    fn refuse(&mut self, error: HeadError) -> Taken {
        self.finder = EndFinder::default();
        Taken::Refused(error)
    }
}
