//! A portal that checks each request and answers at once, on one thread.
use crate::traffic::{Arrives, Traffic, head};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

const LISTENER: Token = Token(0);

/// What is expected, and what came.
#[derive(Default)]
pub struct Seen {
    /// What each request must be.
    expected: Option<Arrives>,
    /// What is answered.
    answer: Arc<[u8]>,
    /// Requests that were as expected.
    pub good: u64,
    /// The first that was not.
    pub bad: Option<String>,
    /// A body that was found right: scripts mostly write the same bytes again.
    approved: Vec<u8>,
}

impl Seen {
    /// Counts anew, for requests that must arrive as this traffic's, translated or as they were sent, and answers them.
    pub fn expect(&mut self, traffic: &Traffic, translated: bool) {
        *self = Self {
            expected: Some(traffic.arrives(translated)),
            answer: answer(&traffic.answer).into(),
            ..Self::default()
        };
    }

    fn take(&mut self, head: &[u8], body: &[u8]) {
        match self.fault(head, body) {
            None => self.good += 1,
            Some(fault) => {
                self.bad.get_or_insert(fault);
            }
        }
    }

    fn fault(&mut self, head: &[u8], body: &[u8]) -> Option<String> {
        let expected = self.expected.as_ref()?;
        let line = &head[..memchr::memchr(b'\r', head).unwrap_or(head.len())];
        let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if target != expected.target.as_bytes() {
            return Some(format!("came as {}", String::from_utf8_lossy(line)));
        }
        if body == expected.body || (expected.as_json && body == self.approved) {
            return None;
        }
        let read = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
        if expected.as_json && read(body).is_some() && read(body) == read(&expected.body) {
            self.approved = body.to_vec();
            return None;
        }
        let start = &body[..body.len().min(500)];
        Some(format!(
            "body of {} bytes: {}",
            body.len(),
            String::from_utf8_lossy(start)
        ))
    }
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Option<Arc<[u8]>>,
    sent: usize,
}

/// Starts it on a thread of its own; `pin` is done there first.
pub fn start(pin: fn()) -> std::io::Result<(SocketAddr, Arc<Mutex<Seen>>)> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = seen.clone();
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    std::thread::spawn(move || {
        pin();
        serve(poll, &listener, &shared).expect("the portal's sockets");
    });
    Ok((address, seen))
}

fn serve(mut poll: Poll, listener: &TcpListener, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut connections: HashMap<Token, Connection> = HashMap::new();
    let mut events = Events::with_capacity(256);
    let mut buffer = vec![0; 256 << 10];
    let mut next = 1;
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            if error.kind() == ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(next);
                    next += 1;
                    poll.registry().register(
                        &mut stream,
                        token,
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    connections.insert(
                        token,
                        Connection {
                            stream,
                            request: Vec::new(),
                            answer: None,
                            sent: 0,
                        },
                    );
                }
                continue;
            }
            let Some(connection) = connections.get_mut(&event.token()) else {
                continue;
            };
            if !connection.advance(&mut buffer, seen) {
                connections.remove(&event.token());
            }
        }
    }
}

impl Connection {
    /// Does what can be done now; false when the connection has ended.
    fn advance(&mut self, buffer: &mut [u8], seen: &Mutex<Seen>) -> bool {
        loop {
            if let Some(answer) = &self.answer {
                match self.stream.write(&answer[self.sent..]) {
                    Ok(count) => self.sent += count,
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
                if self.sent < answer.len() {
                    continue;
                }
                self.answer = None;
            }
            let count = match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            self.request.extend_from_slice(&buffer[..count]);
            if let Some((end, length)) = head(&self.request)
                && self.request.len() >= end + length
            {
                let (head, body) = self.request.split_at(end);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.take(head, body);
                self.answer = Some(seen.answer.clone());
                self.sent = 0;
                self.request.clear();
            }
        }
    }
}

/// A portal's answer with this body.
fn answer(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx/1.26.2\r\nDate: Wed, 25 Nov 2026 02:00:00 GMT\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\
         Vary: Accept-Encoding\r\nX-Powered-By: PHP/8.2.28\r\nX-Content-Type-Options: nosniff\r\n\
         Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
