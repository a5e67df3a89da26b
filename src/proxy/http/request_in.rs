//! Requests on their way in: where a head ends, what it says, and the body that has come with it (RFC 9112 §2 to §6).
//!
//! A line of a head may end in LF alone, as RFC 9112 §2.2 lets a reader take it: PHP's streams send what `PHP_EOL` or a
//! heredoc made. Such a head goes on with CRLF. Empty lines before a request are skipped.

use crate::proxy::http::head::{Framing, HeadError, Limits, RequestHead};
use crate::proxy::http::read::{BARE_LF, HOST_MISSING, read_request};
use bytes::Bytes;
use std::sync::LazyLock;

/// A body of up to this many bytes that has come whole with its head goes along with it. It is also what one read of a head
/// takes from a socket.
pub const WITH_HEAD: usize = 64 * 1024;

/// The end of a head whose lines end in CRLF, as nearly all do.
static END: LazyLock<memchr::memmem::Finder<'static>> =
    LazyLock::new(|| memchr::memmem::Finder::new(b"\r\n\r\n"));

/// Finds the requests in what a client sends, looking at every byte once.
#[derive(Debug)]
pub struct RequestIn {
    limits: Limits,
    /// Where in the head the line begins whose end has not come; 0 where nothing was looked at.
    line: usize,
    /// Bytes of empty lines before the request.
    empty: usize,
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
            line: 0,
            empty: 0,
        }
    }

    /// Looks for a request in all that has come and is not used up: what it was given before, and more behind it.
    pub fn take(&mut self, come: &[u8]) -> Taken {
        let empty = if self.line == 0 {
            let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
            come.iter().take_while(is_end).count()
        } else {
            0
        };
        self.empty += empty;
        if self.empty > self.limits.head {
            return self.refuse(HeadError::TooLarge);
        }
        let buffer = &come[empty..];
        if buffer.is_empty() {
            return Taken::More(empty);
        }
        // A head that has come whole, as nearly all do, is looked at as a whole; its reader looks at its line ends.
        let whole = if self.line == 0 {
            END.find(buffer).map(|at| at + 4)
        } else {
            None
        };
        let read = match whole {
            Some(length) if length <= self.limits.head => {
                let raw = Bytes::copy_from_slice(&buffer[..length]);
                Some((length, read_request(raw, &self.limits)))
            }
            _ => None,
        };
        let (length, head) = match read {
            Some((length, Ok(head))) => (length, head),
            Some((_, Err(error))) if error != BARE_LF => return self.refuse(error),
            _ => match self.follow(buffer) {
                Ok(Some(found)) => found,
                Ok(None) => return Taken::More(empty),
                Err(error) => return self.refuse(error),
            },
        };
        self.line = 0;
        self.empty = 0;
        let behind = &buffer[length..];
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

    /// Looks for the end of a head line by line, and reads the head where it is there.
    ///
    /// # Errors
    /// A head that cannot be read, or can become none however it goes on.
    fn follow(&mut self, buffer: &[u8]) -> Result<Option<(usize, RequestHead)>, HeadError> {
        let before = self.line;
        while let Some(at) = memchr::memchr(b'\n', &buffer[self.line..]) {
            let end = self.line + at;
            let line = &buffer[self.line..end];
            self.line = end + 1;
            if matches!(line, b"" | b"\r") {
                if self.line > self.limits.head {
                    return Err(self.too_large(buffer));
                }
                let raw = with_crlf(&buffer[..self.line]);
                return Ok(Some((self.line, read_request(raw.into(), &self.limits)?)));
            }
        }
        let is_too_large = buffer.len() >= self.limits.head;
        if is_too_large || self.line == 0 && buffer.len() > self.limits.target {
            return Err(self.too_large(buffer));
        }
        if !buffer[0].is_ascii_graphic() {
            return Err(HeadError::Malformed(
                "the request does not begin with a method",
            ));
        }
        if self.line > before {
            self.look_at_lines(&buffer[..self.line])?;
        }
        let rest = &buffer[self.line..];
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        match rest
            .iter()
            .find(|byte| byte.is_ascii_control() && **byte != b'\t')
        {
            Some(_) => Err(HeadError::Malformed("a line has a control character")),
            None => Ok(None),
        }
    }

    /// What is too large in a head that is: its first line alone, or all of it.
    fn too_large(&self, buffer: &[u8]) -> HeadError {
        let first = memchr::memchr(b'\n', buffer).unwrap_or(buffer.len());
        if first > self.limits.target.min(self.limits.head) {
            HeadError::TargetTooLong
        } else {
            HeadError::TooLarge
        }
    }

    /// Reads the lines that have come whole, so that a head that cannot be read is refused at once.
    fn look_at_lines(&self, lines: &[u8]) -> Result<(), HeadError> {
        let mut head = with_crlf(lines);
        head.extend_from_slice(b"\r\n");
        match read_request(head.into(), &self.limits) {
            Err(error) if error != HOST_MISSING => Err(error),
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, error: HeadError) -> Taken {
        self.line = 0;
        self.empty = 0;
        Taken::Refused(error)
    }
}

/// Lines with CRLF at each end, whatever ended them.
fn with_crlf(lines: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(lines.len() + 32);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        head.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        head.extend_from_slice(b"\r\n");
    }
    head
}
