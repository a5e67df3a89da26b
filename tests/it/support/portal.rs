//! A portal on a raw socket that does what a test scripts, connection by connection, and keeps every byte it got.
//!
//! What arrives is read by the strict reader, so that a message that the proxy should never have sent shows at once.

use std::io::Write;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::strict::Message;
use super::wire::{self, Inbox, Lost, PATIENCE, Stream};

/// What one connection brought.
#[derive(Clone, Default)]
pub struct Connection {
    /// Every byte, in the order of arrival.
    pub bytes: Vec<u8>,
    /// The whole requests among them.
    pub requests: Vec<Message>,
    /// What was no whole, strictly valid request.
    pub oddity: Option<Lost>,
    /// Whether a request has begun whose end has not come.
    pub partial: bool,
    /// Whether it is still open.
    pub open: bool,
    /// What the script noted.
    pub notes: Vec<String>,
}

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    /// Requests in order of arrival, as (connection, index in it).
    order: Vec<(usize, usize)>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
    forgetful: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A scripted upstream; it stops when dropped.
pub struct Portal {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Portal {
    /// Listens on a free port and runs `script` for each connection, on a thread of its own.
    pub fn start(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Self {
        Self::start_with(listener([127, 0, 0, 1].into()), None, script)
    }

    /// As [`Portal::start`], on the IPv6 address of this machine; `None` where it has none.
    pub fn start_on_ipv6(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Option<Self> {
        let address = std::net::Ipv6Addr::LOCALHOST;
        if TcpListener::bind((address, 0)).is_err() {
            eprintln!("skipped: this machine has no IPv6");
            return None;
        }
        Some(Self::start_with(listener(address.into()), None, script))
    }

    /// As [`Portal::start`], over TLS.
    pub fn start_tls(
        config: Arc<rustls::ServerConfig>,
        script: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(listener([127, 0, 0, 1].into()), Some(config), script)
    }

    /// A portal that answers every request with 200 and a small JSON body.
    pub fn plain() -> Self {
        Self::start(|visit| {
            while let Some(request) = visit.request() {
                visit.answer_to(&request, 200, "", b"{\"result\":true}");
            }
        })
    }

    fn start_with(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        script: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            forgetful: AtomicBool::new(false),
        });
        let script = Arc::new(script);
        let all = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if all.stopping.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(socket) = socket else { continue };
                let (shared, script, tls) = (all.clone(), script.clone(), tls.clone());
                let number = open(&shared, &socket);
                std::thread::spawn(move || {
                    let mut visit = Visit::new(number, shared.clone(), socket, tls);
                    script(&mut visit);
                    drop(visit);
                    shared.change(|state| state.connections[number].open = false);
                });
            }
        });
        Self { address, shared }
    }

    /// Keeps nothing of what comes, for long runs.
    pub fn forget_all(&self) {
        self.shared.forgetful.store(true, Ordering::SeqCst);
    }

    /// Its address as `--upstream` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The whole requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Message> {
        let state = self.shared.lock();
        state
            .order
            .iter()
            .map(|(connection, index)| state.connections[*connection].requests[*index].clone())
            .collect()
    }

    /// The whole requests behind the first `count`.
    pub fn requests_since(&self, count: usize) -> Vec<Message> {
        let state = self.shared.lock();
        state.order[count.min(state.order.len())..]
            .iter()
            .map(|(connection, index)| state.connections[*connection].requests[*index].clone())
            .collect()
    }

    /// How many whole requests have come.
    pub fn request_count(&self) -> usize {
        self.shared.lock().order.len()
    }

    /// What each connection brought.
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.lock().connections.clone()
    }

    /// How many connections have been made.
    pub fn connection_count(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Waits until what the connections brought is as wanted; false when it does not become so.
    pub fn wait_until(&self, wanted: impl Fn(&[Connection]) -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            if wanted(&state.connections) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for so many whole requests in all.
    pub fn wait_for_requests(&self, count: usize) -> bool {
        self.wait_until(|all| all.iter().map(|one| one.requests.len()).sum::<usize>() >= count)
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A free port with a queue as web servers have it: in the 128 places of the standard library's, a crowd of callers waits
/// for its connections for seconds.
fn listener(address: IpAddr) -> TcpListener {
    let any = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(any), Type::STREAM, None).expect("a socket");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(511).expect("it listens");
    socket.into()
}

fn open(shared: &Shared, socket: &TcpStream) -> usize {
    let _ = socket.set_nodelay(true);
    let mut number = 0;
    shared.change(|state| {
        number = state.connections.len();
        state.connections.push(Connection {
            open: true,
            ..Connection::default()
        });
    });
    number
}

/// One connection, from the script's side. It is closed when the script ends.
pub struct Visit {
    /// Counted from 0 in the order of acceptance.
    pub number: usize,
    pub stream: Option<Stream>,
    inbox: Inbox,
    shared: Arc<Shared>,
}

impl Visit {
    fn new(
        number: usize,
        shared: Arc<Shared>,
        socket: TcpStream,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let connection = rustls::ServerConnection::new(config).expect("a TLS server");
                Stream::Server(Box::new(rustls::StreamOwned::new(connection, socket)))
            }
        };
        Self {
            number,
            stream: Some(stream),
            inbox: Inbox::default(),
            shared,
        }
    }

    /// The next whole request; `None` when the connection ends or brings what is none.
    pub fn request(&mut self) -> Option<Message> {
        self.request_within(Duration::from_secs(600))
    }

    /// How many whole requests this connection has brought.
    pub fn number_of_requests(&self) -> usize {
        self.shared.lock().connections[self.number].requests.len()
    }

    /// As [`Visit::request`], for as long.
    pub fn request_within(&mut self, wait: Duration) -> Option<Message> {
        let until = Instant::now() + wait;
        loop {
            // Short waits, so that what has arrived is recorded while the rest is awaited.
            match self.read(Duration::from_millis(50)) {
                Err(Lost::Timeout(_)) if Instant::now() < until && !self.stopping() => {}
                Ok(message) => return Some(message),
                Err(_) => return None,
            }
        }
    }

    fn stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    fn read(&mut self, wait: Duration) -> Result<Message, Lost> {
        let stream = self.stream.as_mut().ok_or(Lost::Closed)?;
        let read = self.inbox.message(stream, wait, wire::as_request);
        let fresh = std::mem::take(&mut self.inbox.fresh);
        let partial = !self.inbox.bytes.is_empty();
        if self.shared.forgetful.load(Ordering::Relaxed) {
            return read;
        }
        let number = self.number;
        let outcome = read.clone();
        self.shared.change(|state| {
            let connection = &mut state.connections[number];
            connection.bytes.extend_from_slice(&fresh);
            connection.partial = partial;
            match outcome {
                Ok(message) => {
                    connection.requests.push(message);
                    let index = connection.requests.len() - 1;
                    state.order.push((number, index));
                }
                Err(Lost::Timeout(_) | Lost::Closed) => {}
                Err(lost) => connection.oddity = Some(lost),
            }
        });
        read
    }

    /// Waits for the head of a request and leaves it unread; its bytes.
    pub fn head(&mut self) -> Option<Vec<u8>> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = wire::find(&self.inbox.bytes, b"\r\n\r\n") {
                return Some(self.inbox.bytes[..at + 4].to_vec());
            }
            let left = until.saturating_duration_since(Instant::now());
            let stream = self.stream.as_mut()?;
            if self.inbox.ended || !self.inbox.fill(stream, left) {
                return None;
            }
        }
    }

    /// The next bytes, whatever they are; `None` at the end.
    pub fn raw(&mut self, wait: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + wait;
        while self.inbox.bytes.is_empty() && !self.inbox.ended {
            let left = until.saturating_duration_since(Instant::now());
            let stream = self.stream.as_mut()?;
            if !self.inbox.fill(stream, left) {
                return None;
            }
        }
        let bytes = std::mem::take(&mut self.inbox.bytes);
        self.inbox.fresh.clear();
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Leaves a word for the test.
    pub fn note(&self, word: &str) {
        let number = self.number;
        self.shared
            .change(|state| state.connections[number].notes.push(word.to_owned()));
    }

    /// Reads and forgets up to `count` bytes, without keeping them; how many came before the end.
    pub fn swallow(&mut self, count: u64) -> u64 {
        let mut got = self.inbox.bytes.len() as u64;
        self.inbox.forget();
        while got < count && !self.inbox.ended {
            let Some(stream) = self.stream.as_mut() else {
                break;
            };
            if !self.inbox.fill(stream, PATIENCE) {
                break;
            }
            got += self.inbox.bytes.len() as u64;
            self.inbox.forget();
        }
        got
    }

    /// Sends these bytes; false when the other side is gone.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.as_mut().is_some_and(|stream| {
            stream
                .write_all(bytes.as_ref())
                .and_then(|()| stream.flush())
                .is_ok()
        })
    }

    /// An answer with its length. `fields` are whole lines, each with its CRLF.
    pub fn answer(&mut self, status: u16, fields: &str, body: &[u8]) -> bool {
        let mut bytes = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.write(bytes)
    }

    /// As [`Visit::answer`], without a body where the request wants none.
    pub fn answer_to(&mut self, request: &Message, status: u16, fields: &str, body: &[u8]) -> bool {
        if request.method() == b"HEAD" {
            return self.write(format!(
                "HTTP/1.1 {status} Said\r\n{fields}Content-Length: {}\r\n\r\n",
                body.len()
            ));
        }
        self.answer(status, fields, body)
    }

    /// Closes now.
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Closes now, with a reset.
    pub fn reset(&mut self) {
        if let Some(stream) = &self.stream {
            stream.reset_on_close();
        }
        self.stream = None;
    }

    /// Waits until the other side closes; false when it does not in time.
    pub fn wait_closed(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while !self.inbox.ended {
            let Some(stream) = self.stream.as_mut() else {
                return true;
            };
            let left = until.saturating_duration_since(Instant::now());
            if !self.inbox.fill(stream, left) {
                return false;
            }
        }
        true
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream
            && !self.inbox.ended
        {
            let _ = stream.socket().shutdown(Shutdown::Write);
        }
    }
}
