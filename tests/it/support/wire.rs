//! A socket, plain or TLS, and the box in which its bytes gather until a strict reader can tell what they are.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::strict::{self, Message, Reading};

/// How long a test waits for what must come; far beyond what it takes, so that only a hang meets it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One end of a connection.
pub enum Stream {
    Plain(TcpStream),
    Client(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
    Server(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
}

impl Stream {
    /// The socket under it.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Client(tls) => &tls.sock,
            Self::Server(tls) => &tls.sock,
        }
    }

    /// Ends the sending side: with TLS after a close_notify.
    pub fn shut_write(&mut self) {
        match self {
            Self::Plain(_) => {}
            Self::Client(tls) => {
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
            Self::Server(tls) => {
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Makes the coming close a reset (RST).
    pub fn reset_on_close(&self) {
        let socket = socket2::SockRef::from(self.socket());
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("a socket takes a linger time");
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Client(tls) => tls.read(into),
            Self::Server(tls) => tls.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Client(tls) => tls.write(bytes),
            Self::Server(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Client(tls) => tls.flush(),
            Self::Server(tls) => tls.flush(),
        }
    }
}

/// Connects with patience and without Nagle's delay.
pub fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Why no message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection ended with nothing unread before it.
    Closed,
    /// It ended inside a message: these bytes had come.
    Truncated(Vec<u8>),
    /// What came has no strict reading.
    Malformed(&'static str, Vec<u8>),
    /// Nothing more came in time.
    Timeout(Vec<u8>),
}

/// What has arrived and was not taken yet.
#[derive(Default)]
pub struct Inbox {
    pub bytes: Vec<u8>,
    pub ended: bool,
    /// What came since it was last looked at, kept beside the reading for the record.
    pub fresh: Vec<u8>,
}

impl Inbox {
    /// Waits for the next message as `read` reads it from the bytes at hand and whether they are all.
    pub fn message(
        &mut self,
        stream: &mut Stream,
        wait: Duration,
        read: impl Fn(&[u8], bool) -> Reading,
    ) -> Result<Message, Lost> {
        let until = Instant::now() + wait;
        let mut known_head = 0;
        loop {
            if self.may_be_whole(&mut known_head) {
                match read(&self.bytes, self.ended) {
                    Reading::Valid(message) => {
                        self.bytes.drain(..message.size);
                        return Ok(message);
                    }
                    Reading::EitherWay(_, reason) | Reading::Invalid(reason) => {
                        return Err(Lost::Malformed(reason, std::mem::take(&mut self.bytes)));
                    }
                    Reading::Incomplete if self.ended && self.bytes.is_empty() => {
                        return Err(Lost::Closed);
                    }
                    Reading::Incomplete if self.ended => {
                        return Err(Lost::Truncated(std::mem::take(&mut self.bytes)));
                    }
                    Reading::Incomplete => {}
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if !self.fill(stream, left) {
                return Err(Lost::Timeout(self.bytes.clone()));
            }
        }
    }

    /// Reading anew at each packet would take quadratic time with a large body: it is worth it when the head has
    /// come, and then when the bytes could be the last.
    fn may_be_whole(&self, known_head: &mut usize) -> bool {
        if self.ended {
            return true;
        }
        if *known_head == 0 {
            match find(&self.bytes, b"\r\n\r\n") {
                Some(at) => *known_head = at + 4,
                None => return false,
            }
            return true;
        }
        match declared_length(&self.bytes[..*known_head]) {
            Some(length) => self.bytes.len() >= *known_head + length,
            None => self.bytes.ends_with(b"\r\n\r\n"),
        }
    }

    /// Drops what has come.
    pub fn forget(&mut self) {
        self.bytes.clear();
        self.fresh.clear();
    }

    /// Reads once, at most until the time is over; false says that it is.
    pub fn fill(&mut self, stream: &mut Stream, wait: Duration) -> bool {
        if wait.is_zero() {
            return false;
        }
        let _ = stream.socket().set_read_timeout(Some(wait));
        let mut block = [0; 64 * 1024];
        match stream.read(&mut block) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                self.bytes.extend_from_slice(&block[..count]);
                self.fresh.extend_from_slice(&block[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return false;
            }
            Err(_) => self.ended = true,
        }
        true
    }
}

/// The length that a whole, plain head declares.
fn declared_length(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length:"))?;
    line.trim().parse().ok()
}

/// Where `wanted` stands first.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

/// Reads a request, whatever follows it.
pub fn as_request(bytes: &[u8], _ended: bool) -> Reading {
    strict::request(bytes)
}
