//! A client that sends exactly the bytes it is given and reads answers strictly.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::strict::{self, Message};
use super::wire::{self, Inbox, Lost, PATIENCE, Stream};

/// One connection to the proxy.
pub struct Client {
    pub stream: Stream,
    pub inbox: Inbox,
}

impl Client {
    /// Opens a plain connection.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(wire::dial(address).expect("the proxy accepts connections"))
    }

    /// Over a connection that is open.
    pub fn over(socket: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(socket),
            inbox: Inbox::default(),
        }
    }

    /// Opens a TLS connection with the settings given, for `localhost`.
    pub fn connect_tls(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Self {
        let socket = wire::dial(address).expect("the proxy accepts connections");
        let name = "localhost".try_into().expect("a name");
        let connection = rustls::ClientConnection::new(config, name).expect("a TLS client");
        Self {
            stream: Stream::Client(Box::new(rustls::StreamOwned::new(connection, socket))),
            inbox: Inbox::default(),
        }
    }

    /// Sends these bytes; false when the connection does not take them any more.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream
            .write_all(bytes.as_ref())
            .and_then(|()| self.stream.flush())
            .is_ok()
    }

    /// The final answer to a request with `method`; interim ones are passed over.
    pub fn response(&mut self, method: &str) -> Result<Message, Lost> {
        self.response_within(method, PATIENCE)
    }

    /// As [`Client::response`], for as long.
    pub fn response_within(&mut self, method: &str, wait: Duration) -> Result<Message, Lost> {
        loop {
            let message = self.any_response(method, wait)?;
            if message.status() == 101 || message.status() >= 200 {
                return Ok(message);
            }
        }
    }

    /// The next answer, an interim one too.
    pub fn any_response(&mut self, method: &str, wait: Duration) -> Result<Message, Lost> {
        self.inbox.message(&mut self.stream, wait, |bytes, ended| {
            strict::response(bytes, method.as_bytes(), ended)
        })
    }

    /// Sends a request and waits for its answer.
    pub fn call(&mut self, request: impl AsRef<[u8]>) -> Result<Message, Lost> {
        let request = request.as_ref();
        self.send(request);
        let method = request.split(|byte| *byte == b' ').next().unwrap_or(b"");
        self.response(&String::from_utf8_lossy(method))
    }

    /// Whether the other side closes within this time, whatever it still sends.
    pub fn closed_within(&mut self, wait: Duration) -> bool {
        let until = std::time::Instant::now() + wait;
        while !self.inbox.ended {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if !self.inbox.fill(&mut self.stream, left) {
                return false;
            }
        }
        true
    }

    /// Everything that still comes until the connection ends.
    pub fn rest(&mut self) -> Vec<u8> {
        self.closed_within(PATIENCE);
        std::mem::take(&mut self.inbox.bytes)
    }
}

/// One request on a connection of its own.
pub fn call(address: SocketAddr, request: impl AsRef<[u8]>) -> Message {
    Client::connect(address)
        .call(request)
        .expect("an answer to a request on its own connection")
}

/// A GET of this target.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: portal.example\r\n\r\n")
}

/// A POST of a body with its length.
pub fn post(target: &str, content_type: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: portal.example\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The deprecated call that the proxy translates, told apart by its user id.
pub fn deprecated_call(user: usize) -> String {
    post(
        "/rest/1/code/crm.lead.details.configuration.reset",
        "application/json",
        &format!("{{\"userId\":{user},\"scope\":\"P\"}}"),
    )
}
