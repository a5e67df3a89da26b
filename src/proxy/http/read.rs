//! A strict reader of message heads (RFC 9112 §2 to §6): bytes in, spans and framing out (pure).
//!
//! hyper's parser loses the case and the order of names and refuses targets that every web server in front of a portal
//! accepts, while it lets through what RFC 9112 calls ambiguous. Here a head is read in exactly one way or refused.

use crate::proxy::http::ends::{line_feed, target_length, token_length};
use crate::proxy::http::fields::{Field, Fields, Name};
use crate::proxy::http::head::{Framing, HeadError, Limits, Minor, RequestHead, ResponseHead};
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::ops::Range;
use std::sync::LazyLock;

/// Finds the end of a head in a growing buffer, looking at every byte once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndFinder {
    scanned: usize,
}

impl EndFinder {
    /// The length of the head, its empty line included; `None` while it is not there yet.
    ///
    /// # Errors
    /// A line that does not end in CRLF: RFC 9112 §2.2 lets a reader take a bare LF for a line end, and as not every
    /// reader does, it is refused.
    pub fn find(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        // A head that has come whole, as nearly all do, is looked at as a whole; its reader looks at its line ends.
        if self.scanned == 0
            && let Some(end) = END.find(buffer)
        {
            return Ok(Some(end + 4));
        }
        self.follow_lines(buffer)
    }

    fn follow_lines(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        while let Some(at) = memchr::memchr(b'\n', &buffer[self.scanned..]) {
            let at = self.scanned + at;
            if at == 0 || buffer[at - 1] != b'\r' {
                return Err(BARE_LF);
            }
            match buffer.get(at + 1) {
                Some(b'\r') => match buffer.get(at + 2) {
                    Some(b'\n') => return Ok(Some(at + 3)),
                    Some(_) => {
                        return Err(HeadError::Malformed(
                            "a CR in the head is not followed by LF",
                        ));
                    }
                    None => return Ok(None),
                },
                Some(_) => self.scanned = at + 1,
                None => return Ok(None),
            }
        }
        self.scanned = buffer.len().saturating_sub(1).max(self.scanned);
        Ok(None)
    }
}

/// A request of HTTP/1.1 without `Host`.
pub const HOST_MISSING: HeadError = HeadError::Malformed("Host is missing");

/// A line ends in LF alone.
pub const BARE_LF: HeadError = HeadError::Malformed("a line of the head ends in a bare LF");

/// The end of a head.
static END: LazyLock<memchr::memmem::Finder<'static>> =
    LazyLock::new(|| memchr::memmem::Finder::new(b"\r\n\r\n"));

/// Whether a head has nothing but text and CRLF in it. Written so that it is done many bytes at a time.
fn is_clean(head: &[u8]) -> bool {
    let ok = |ok: bool, (byte, next): (&u8, &u8)| {
        let (cr, lf) = (*byte == b'\r', *next == b'\n');
        let text = (*byte >= b' ' && *byte != 0x7f) | (*byte == b'\t');
        ok & (cr == lf) & (text | cr | (*byte == b'\n'))
    };
    head.first() != Some(&b'\n') && head.iter().zip(&head[1..]).fold(true, ok)
}

/// Whether these bytes may stand in a field's value (RFC 9110 §5.5). Written so that it is done many bytes at a time.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |ok, b| {
        ok & ((*b >= b' ' && *b != 0x7f) | (*b == b'\t'))
    })
}

struct Lines {
    raw: Bytes,
    list: Vec<Field>,
    names: u32,
    content_length: Option<u64>,
    transfer_encodings: usize,
    chunked: bool,
    hosts: usize,
}

/// The length of the first line, without its line end.
fn first_line(raw: &[u8]) -> Result<usize, HeadError> {
    match line_feed(raw) {
        Some(at) if raw[..at].ends_with(b"\r") => Ok(at - 1),
        _ => Err(BARE_LF),
    }
}

/// The number of the line behind these fields.
fn line_number(list: &[Field]) -> u32 {
    list.len() as u32 + 2
}

/// Reads the fields from `at` to the empty line that ends the head.
// Long: one line after the other; the checks share what was read so far.
fn read_fields(raw: Bytes, mut at: usize, limits: &Limits) -> Result<Lines, HeadError> {
    if !raw[at - 2..].ends_with(b"\r\n\r\n") {
        return Err(HeadError::Malformed(
            "the head does not end in an empty line",
        ));
    }
    let mut list: Vec<Field> = Vec::with_capacity(16);
    let mut names = 0;
    let end = raw.len() - 2;
    let clean = is_clean(&raw);
    let (mut content_length, mut transfer_encodings, mut chunked, mut hosts) = (None, 0, false, 0);
    while at < end {
        let rest = &raw[at..];
        let colon = token_length(rest);
        if rest[colon] != b':' || colon == 0 {
            let what = match rest[0] {
                b'\n' => return Err(BARE_LF),
                b' ' | b'\t' => "a field is folded over several lines",
                _ if rest[colon..].trim_ascii_start().starts_with(b":") => {
                    "white space stands before a field's colon"
                }
                _ => "a field's name is not a token, or has no colon",
            };
            return Err(HeadError::Line(what, line_number(&list)));
        }
        let line_end = line_feed(&rest[colon..]).map_or(rest.len(), |n| colon + n + 1);
        if rest[line_end - 2] != b'\r' {
            return Err(BARE_LF);
        }
        let value = &rest[colon + 1..line_end - 2];
        if !clean && !is_text(value) {
            let what = "a field's value has a control character";
            return Err(HeadError::Line(what, line_number(&list)));
        }
        let lead = match value {
            // As nearly everybody writes it.
            [b' ', first, ..] if !matches!(first, b' ' | b'\t') => 1,
            _ => value
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t'))
                .count(),
        };
        let value = value[lead..].trim_ascii_end();
        let known = Name::of(&rest[..colon]);
        names |= known.bit();
        match known {
            Name::ContentLength => {
                if content_length.is_some() {
                    return Err(HeadError::Malformed(
                        "Content-Length is given more than once",
                    ));
                }
                content_length = Some(
                    decimal(value).ok_or(HeadError::Malformed("Content-Length is not a number"))?,
                );
            }
            Name::TransferEncoding => {
                transfer_encodings += 1;
                chunked = value.eq_ignore_ascii_case(b"chunked");
            }
            Name::Host => hosts += 1,
            _ => {}
        }
        if list.len() == limits.fields {
            return Err(HeadError::TooLarge);
        }
        let start = at as u32;
        list.push(Field {
            known,
            start,
            name_end: start + colon as u32,
            value: start + (colon + 1 + lead) as u32,
            value_end: start + (colon + 1 + lead + value.len()) as u32,
            end: start + line_end as u32,
        });
        at += line_end;
    }
    Ok(Lines {
        raw,
        list,
        names,
        content_length,
        transfer_encodings,
        chunked,
        hosts,
    })
}

/// Reads the trailers of a chunked body, to the empty line behind them. What is no field is left out: who follows the
/// chunks has refused it before.
pub fn read_trailers(section: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in section.split(|b| *b == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            trailers.append(name, value);
        }
    }
    trailers
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

fn minor(version: &[u8]) -> Result<Minor, HeadError> {
    match version {
        b"HTTP/1.1" => Ok(Minor::One),
        b"HTTP/1.0" => Ok(Minor::Zero),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', digit]
            if major.is_ascii_digit() && digit.is_ascii_digit() =>
        {
            if *major == b'1' {
                Ok(Minor::One)
            } else {
                Err(HeadError::Version)
            }
        }
        _ => Err(HeadError::Malformed(
            "the version is not HTTP/1.0 or HTTP/1.1",
        )),
    }
}

/// Reads a whole request head, its empty line included.
///
/// # Errors
/// Everything that RFC 9112 calls ambiguous or malformed, and what is over the limits.
pub fn read_request(raw: Bytes, limits: &Limits) -> Result<RequestHead, HeadError> {
    let line_end = first_line(&raw)?;
    let line = &raw[..line_end];
    let method_end = token_length(line);
    if method_end == 0 || line.get(method_end) != Some(&b' ') {
        return Err(HeadError::Malformed(
            "the request line does not begin with a method and a space",
        ));
    }
    let after = method_end + 1;
    let target_end = after + target_length(&line[after..]);
    if target_end == line.len() {
        return Err(HeadError::Malformed("the request line has no version"));
    }
    if target_end - after > limits.target {
        return Err(HeadError::TargetTooLong);
    }
    if line[target_end] != b' ' {
        return Err(HeadError::Malformed(
            "the request target has a control character or a fragment",
        ));
    }
    let minor = minor(&line[target_end + 1..])?;
    let target = origin_form(&line[..method_end], after..target_end, line)?;
    let slash = target.start as usize;
    let raw = if slash > after && line[slash] != b'/' {
        with_slash(raw, slash)
    } else {
        raw
    };
    let lines = read_fields(raw, line_end + 2, limits)?;

    if lines.hosts > 1 {
        return Err(HeadError::Malformed("Host is given more than once"));
    }
    if lines.hosts == 0 && minor == Minor::One {
        return Err(HOST_MISSING);
    }
    let fields = Fields {
        raw: lines.raw,
        list: lines.list,
        names: lines.names,
    };
    if let Some(host) = fields.first(Name::Host)
        && !is_authority(host)
    {
        return Err(HeadError::Malformed(
            "Host is not a name or address with an optional port",
        ));
    }
    let framing = match (lines.transfer_encodings, lines.content_length) {
        (0, None | Some(0)) => Framing::None,
        (0, Some(length)) => Framing::Length(length),
        (_, Some(_)) => {
            return Err(HeadError::Malformed(
                "both Content-Length and Transfer-Encoding are given",
            ));
        }
        (1, None) if lines.chunked && minor == Minor::One => Framing::Chunked,
        (_, None) if minor == Minor::Zero => {
            return Err(HeadError::Malformed(
                "Transfer-Encoding in an HTTP/1.0 request",
            ));
        }
        _ => return Err(HeadError::TransferCoding),
    };
    let expects_continue = minor == Minor::One
        && fields
            .first(Name::Expect)
            .is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
    Ok(RequestHead {
        fields,
        method: 0..method_end as u32,
        target,
        minor,
        framing,
        expects_continue,
    })
}

/// The span of path and query in a target in origin-form or absolute-form.
fn origin_form(method: &[u8], span: Range<usize>, line: &[u8]) -> Result<Range<u32>, HeadError> {
    let target = &line[span.clone()];
    if method == b"CONNECT" {
        return Ok(span.start as u32..span.end as u32);
    }
    match target {
        [b'/', ..] => return Ok(span.start as u32..span.end as u32),
        b"*" if method == b"OPTIONS" => return Ok(span.start as u32..span.end as u32),
        _ => {}
    }
    let scheme = [&b"http://"[..], &b"https://"[..]]
        .into_iter()
        .find(|s| target.len() > s.len() && target[..s.len()].eq_ignore_ascii_case(s))
        .ok_or(HeadError::Malformed(
            "the request target is neither a path nor an http address",
        ))?;
    let authority = &target[scheme.len()..];
    let length = authority
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(authority.len());
    if matches!(authority, [] | [b'/' | b'?' | b':', ..]) || !is_authority(&authority[..length]) {
        return Err(HeadError::Malformed(
            "the address in the request target has no valid host",
        ));
    }
    let start = span.start + scheme.len();
    let path = match authority.get(length) {
        Some(b'/') => start + length..span.end,
        // Without a path it is the root: the last slash before the host stands for it.
        None => start - 1..start,
        // A query without a path: the slash takes the place of the byte before it, see [`with_slash`].
        Some(_) => start + length - 1..span.end,
    };
    Ok(path.start as u32..path.end as u32)
}

/// The head with a slash at `at`: `http://host?query` is `/?query` (RFC 9110 §4.2.3). It stands where the host ended,
/// which nobody reads: `Host` says whom the request is for.
#[cold]
fn with_slash(raw: Bytes, at: usize) -> Bytes {
    let mut raw = raw.try_into_mut().unwrap_or_else(|raw| raw[..].into());
    raw[at] = b'/';
    raw.freeze()
}

/// What a host's name may be made of (RFC 3986 §3.2.2).
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-._~%!$&'()*+;=";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether these bytes are `uri-host [":" port]` (RFC 9110 §7.2). Empty is allowed.
pub fn is_authority(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(close) = rest.iter().position(|b| *b == b']') else {
                return false;
            };
            if !rest[..close]
                .iter()
                .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
                || close == 0
            {
                return false;
            }
            (&b""[..], &rest[close + 1..])
        }
        _ => match value.iter().position(|b| *b == b':') {
            Some(colon) => (&value[..colon], &value[colon..]),
            None => (value, &b""[..]),
        },
    };
    let host_ok = host.iter().all(|byte| HOST[*byte as usize]);
    host_ok
        && match port {
            [] => true,
            [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
            _ => false,
        }
}

/// Reads a whole head of an answer, its empty line included. `to_head`: the request was a HEAD.
///
/// # Errors
/// Everything that RFC 9112 calls malformed, and what is over the limits.
pub fn read_response(
    raw: Bytes,
    limits: &Limits,
    to_head: bool,
) -> Result<ResponseHead, HeadError> {
    let line_end = first_line(&raw)?;
    let line = &raw[..line_end];
    if line.len() < 12 || line[8] != b' ' {
        return Err(HeadError::Malformed("the status line is not one of HTTP/1"));
    }
    let minor = minor(&line[..8])?;
    let digits = &line[9..12];
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(digits[0], b'1'..=b'9') {
        return Err(HeadError::Malformed(
            "the status is not a number of three digits",
        ));
    }
    let status = digits
        .iter()
        .fold(0u16, |n, d| n * 10 + u16::from(d - b'0'));
    let reason = match line.get(12) {
        None => 12..12,
        Some(b' ') => 13..line.len() as u32,
        Some(_) => {
            return Err(HeadError::Malformed(
                "the status is not a number of three digits",
            ));
        }
    };
    if !is_text(&line[reason.start as usize..]) {
        return Err(HeadError::Malformed(
            "the reason phrase has a control character",
        ));
    }
    let lines = read_fields(raw, line_end + 2, limits)?;
    let fields = Fields {
        raw: lines.raw,
        list: lines.list,
        names: lines.names,
    };
    let framing = match (lines.transfer_encodings, lines.content_length) {
        _ if to_head || status < 200 || status == 204 || status == 304 => Framing::None,
        (0, None) => Framing::Close,
        (0, Some(0)) => Framing::None,
        (0, Some(length)) => Framing::Length(length),
        (1, None) if lines.chunked && minor == Minor::One => Framing::Chunked,
        (_, Some(_)) => {
            return Err(HeadError::Malformed(
                "both Content-Length and Transfer-Encoding are given",
            ));
        }
        _ => return Err(HeadError::TransferCoding),
    };
    let keeps_alive = framing != Framing::Close
        && match minor {
            Minor::One => !fields.has_token(Name::Connection, "close"),
            Minor::Zero => fields.has_token(Name::Connection, "keep-alive"),
        };
    Ok(ResponseHead {
        fields,
        status,
        reason,
        framing,
        keeps_alive,
    })
}
