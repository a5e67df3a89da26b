//! Follows the chunked coding (RFC 9112 §7.1) over a stream in pieces, to know where a body ends and that it is read in
//! one way only (pure). Data is skipped, not looked at.

use crate::proxy::http::ends::is_token;
use std::ops::Range;

/// Where in a chunked body the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a chunk's size; the count of digits seen.
    Size(u8),
    /// In a chunk's extensions.
    Extension,
    /// Behind the CR of a size line.
    SizeLf,
    /// In a chunk's data.
    Data,
    /// Behind a chunk's data.
    DataCr,
    DataLf,
    /// At the beginning of a trailer line.
    TrailerStart,
    /// In a trailer's name.
    TrailerName,
    /// Behind the colon of a trailer.
    Trailer,
    TrailerLf,
    /// Behind the CR of the empty line at the end.
    EndLf,
    Done,
}

/// What comes next in a piece of a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Data, where it stands in the piece.
    Data(Range<usize>),
    /// The data has ended; the trailers, or the empty line without any, begin at that byte.
    Trailers(usize),
    /// The piece is used up.
    More,
    /// The body ended behind that many bytes of the piece.
    Ended(usize),
}

/// A chunked body that cannot be read in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(pub &'static str);

/// Bytes of chunk extensions, or of trailers, that one body may have.
const OVERHEAD: u32 = 16 * 1024;

/// The state between pieces.
#[derive(Clone, Copy, Debug)]
pub struct Chunked {
    at: At,
    remaining: u64,
    overhead: u32,
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked {
            at: At::Size(0),
            remaining: 0,
            overhead: 0,
        }
    }
}

impl Chunked {
    /// Reads a piece from `from` to the next that is of use.
    ///
    /// # Errors
    /// A size that is not hexadecimal or over 16 digits, a missing CRLF, a control character in an extension or a
    /// trailer, more than 16 KiB of either.
    // Long: one state after the other, as the bytes come.
    pub fn next(&mut self, piece: &[u8], from: usize) -> Result<Event, BadChunk> {
        let mut i = from;
        while i < piece.len() {
            let b = piece[i];
            match self.at {
                At::Data => {
                    let data = self.remaining.min((piece.len() - i) as u64);
                    self.remaining -= data;
                    if self.remaining == 0 {
                        self.at = At::DataCr;
                    }
                    return Ok(Event::Data(i..i + data as usize));
                }
                At::Size(digits) => match (b as char).to_digit(16) {
                    Some(_) if digits == 15 => return Err(BadChunk("a chunk's size is too large")),
                    Some(digit) => {
                        self.remaining = self.remaining << 4 | u64::from(digit);
                        self.at = At::Size(digits + 1);
                    }
                    None if digits == 0 => {
                        return Err(BadChunk("a chunk's size is not hexadecimal"));
                    }
                    None if b == b';' => self.at = At::Extension,
                    None if b == b'\r' => self.at = At::SizeLf,
                    None => return Err(BadChunk("a chunk's size is not hexadecimal")),
                },
                At::Extension => {
                    self.count()?;
                    match b {
                        b'\r' => self.at = At::SizeLf,
                        b'\t' | b' '..=b'~' | 0x80.. => {}
                        _ => return Err(BadChunk("a chunk's extension has a control character")),
                    }
                }
                At::SizeLf => {
                    lf(b)?;
                    if self.remaining == 0 {
                        self.at = At::TrailerStart;
                        return Ok(Event::Trailers(i + 1));
                    }
                    self.at = At::Data;
                }
                At::DataCr => {
                    if b != b'\r' {
                        return Err(BadChunk("a chunk is longer than its size"));
                    }
                    self.at = At::DataLf;
                }
                At::DataLf => {
                    lf(b)?;
                    self.at = At::Size(0);
                }
                At::TrailerStart => {
                    self.count()?;
                    match b {
                        b'\r' => self.at = At::EndLf,
                        b' ' | b'\t' => {
                            return Err(BadChunk("a trailer is folded over several lines"));
                        }
                        b if is_token(b) => self.at = At::TrailerName,
                        _ => return Err(BadChunk("a trailer has no name")),
                    }
                }
                At::TrailerName => {
                    self.count()?;
                    match b {
                        b':' => self.at = At::Trailer,
                        b if is_token(b) => {}
                        _ => return Err(BadChunk("a trailer's name is followed by no colon")),
                    }
                }
                At::Trailer => {
                    self.count()?;
                    match b {
                        b'\r' => self.at = At::TrailerLf,
                        b'\t' | b' '..=b'~' | 0x80.. => {}
                        _ => return Err(BadChunk("a trailer has a control character")),
                    }
                }
                At::TrailerLf => {
                    lf(b)?;
                    self.at = At::TrailerStart;
                }
                At::EndLf => {
                    lf(b)?;
                    self.at = At::Done;
                    return Ok(Event::Ended(i + 1));
                }
                At::Done => return Ok(Event::Ended(i)),
            }
            i += 1;
        }
        Ok(Event::More)
    }

    fn count(&mut self) -> Result<(), BadChunk> {
        self.overhead += 1;
        if self.overhead > OVERHEAD {
            Err(BadChunk("the chunks' extensions or trailers are too large"))
        } else {
            Ok(())
        }
    }
}

fn lf(b: u8) -> Result<(), BadChunk> {
    if b == b'\n' {
        Ok(())
    } else {
        Err(BadChunk("a CR between chunks is not followed by LF"))
    }
}
