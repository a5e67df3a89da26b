//! The sandbox's own small HTTP/1.1: it takes what web servers in front of portals take (raw `<`, `"` and any bytes
//! in targets), and keeps heads as they came, names, case and order, so that tests see every byte that was sent.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::reading::Received;

/// The longest head, in bytes.
const MAX_HEAD: usize = 1 << 20;
/// The longest body, in bytes.
const MAX_BODY: usize = 256 << 20;

/// Why a connection ends before its next request.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The other side closed, or the connection broke.
    Closed,
    /// What came is no request that can be read: the status to answer with.
    Bad(u16),
}

/// A connection, and what has been read of it beyond the last request.
pub struct Connection<S> {
    stream: S,
    ahead: Vec<u8>,
}

/// An answer to write.
#[derive(Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header fields, without Content-Length and Connection.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection on which nothing has been read.
    pub fn new(stream: S) -> Self {
        Connection {
            stream,
            ahead: Vec::new(),
        }
    }

    async fn more(&mut self) -> Result<(), End> {
        match self.stream.read_buf(&mut self.ahead).await {
            Ok(read) if read > 0 => Ok(()),
            _ => Err(End::Closed),
        }
    }

    /// Read the next request; the flag says whether the connection may be kept.
    pub async fn request(&mut self) -> Result<(Received, bool), End> {
        let head = self.head().await?;
        let (mut request, one_one) = read_head(&head).ok_or(End::Bad(400))?;
        let says = |request: &Received, name: &str, word: &[u8]| {
            let value = request.field(name).unwrap_or_default().to_ascii_lowercase();
            value
                .split(|byte| *byte == b',')
                .any(|part| part.trim_ascii() == word)
        };
        if says(&request, "expect", b"100-continue") {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.stream
                .write_all(interim)
                .await
                .map_err(|_| End::Closed)?;
        }
        let keep = match one_one {
            true => !says(&request, "connection", b"close"),
            false => says(&request, "connection", b"keep-alive"),
        };
        request.body = if says(&request, "transfer-encoding", b"chunked") {
            self.chunks().await?
        } else if request.field("transfer-encoding").is_some() {
            return Err(End::Bad(501));
        } else {
            let length = match request.field("content-length") {
                Some(text) => number(text, 10).ok_or(End::Bad(400))?,
                None => 0,
            };
            self.take(length).await?
        };
        Ok((request, keep))
    }

    async fn head(&mut self) -> Result<Vec<u8>, End> {
        loop {
            let blank = self
                .ahead
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            self.ahead.drain(..blank);
            let end = self
                .ahead
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let rest = self.ahead.split_off(end + 4);
                return Ok(std::mem::replace(&mut self.ahead, rest));
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(End::Bad(431));
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, End> {
        if length > MAX_BODY {
            return Err(End::Bad(413));
        }
        while self.ahead.len() < length {
            self.more().await?;
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    async fn line(&mut self) -> Result<Vec<u8>, End> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|window| window == b"\r\n") {
                let line = self.take(end).await?;
                self.take(2).await?;
                return Ok(line);
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(End::Bad(400));
            }
            self.more().await?;
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, End> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            let size = number(size, 16).ok_or(End::Bad(400))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len().saturating_add(size) > MAX_BODY {
                return Err(End::Bad(413));
            }
            body.extend(self.take(size).await?);
            if self.take(2).await? != b"\r\n" {
                return Err(End::Bad(400));
            }
        }
    }

    /// Write an answer; one to `HEAD` goes without its body.
    pub async fn answer(
        &mut self,
        answer: &Answer,
        head_only: bool,
        keep: bool,
    ) -> std::io::Result<()> {
        let mut out =
            format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status)).into_bytes();
        for (name, value) in &answer.fields {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let connection = if keep { "keep-alive" } else { "close" };
        let framing = format!(
            "Content-Length: {}\r\nConnection: {connection}\r\n\r\n",
            answer.body.len()
        );
        out.extend_from_slice(framing.as_bytes());
        if !head_only {
            out.extend_from_slice(&answer.body);
        }
        self.stream.write_all(&out).await?;
        self.stream.flush().await
    }
}

/// A request without its body, and whether it is HTTP/1.1.
fn read_head(head: &[u8]) -> Option<(Received, bool)> {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.next()?;
    let first = line.iter().position(|byte| *byte == b' ')?;
    let last = line
        .iter()
        .rposition(|byte| *byte == b' ')
        .filter(|last| *last > first)?;
    let one_one = match &line[last + 1..] {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return None,
    };
    let field = |line: &[u8]| {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .filter(|colon| *colon > 0)?;
        Some((
            line[..colon].to_vec(),
            line[colon + 1..].trim_ascii().to_vec(),
        ))
    };
    let fields = lines
        .filter(|line| !line.is_empty())
        .map(field)
        .collect::<Option<_>>()?;
    let target = line[first + 1..last].to_vec();
    let request = Received {
        verb: line[..first].to_vec(),
        target,
        fields,
        body: Vec::new(),
    };
    Some((request, one_one))
}

fn number(text: &[u8], radix: u32) -> Option<usize> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.starts_with('+'))?;
    usize::from_str_radix(text, radix).ok()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        _ => "Status",
    }
}
