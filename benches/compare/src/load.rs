//! The clients: keeps connections busy, or a rate of requests, on one thread, and checks every answer to the byte.
use crate::tls::{Wire, client};
use crate::traffic::{Traffic, head};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const TIMER: Token = Token(usize::MAX);

/// How to send.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Open connections.
    pub connections: usize,
    /// Calls at once: with fewer than connections, these take turns.
    pub in_flight: usize,
    /// Requests a second; without it, each answer is followed by the next request.
    pub rate: Option<f64>,
    /// A connection for each request.
    pub reconnect: bool,
    /// Over TLS.
    pub tls: bool,
    /// Streams of each connection at once, over HTTP/2.
    pub streams: Option<usize>,
    /// For how long.
    pub time: Duration,
    /// After how many requests to stop before that.
    pub limit: usize,
}

/// What was measured.
pub struct Ran {
    /// Requests that were answered.
    pub requests: usize,
    /// How long it took.
    pub time: Duration,
    /// From when each was due to its answer's last byte, in ascending order.
    pub latencies: Vec<Duration>,
}

impl Ran {
    /// This quantile of the latencies in milliseconds.
    pub fn quantile(&self, part: f64) -> f64 {
        let at = ((self.latencies.len() - 1) as f64 * part) as usize;
        self.latencies[at].as_secs_f64() * 1000.0
    }
}

struct Connection {
    wire: Wire<mio::net::TcpStream>,
    /// When its request was due; `None` while it is idle.
    due: Option<Instant>,
    sent: usize,
    head: Vec<u8>,
    /// How much of the body came, once the head has come.
    body: Option<usize>,
}

/// Clients that are connected.
pub struct Load<'t> {
    address: SocketAddr,
    traffic: &'t Traffic,
    pace: Pace,
    poll: Poll,
    connections: Vec<Connection>,
    latencies: Vec<Duration>,
    buffer: Vec<u8>,
}

impl<'t> Load<'t> {
    /// Opens the connections over which this is sent at that pace.
    pub fn connect(address: SocketAddr, traffic: &'t Traffic, pace: Pace) -> Result<Self> {
        let mut load = Load {
            address,
            traffic,
            pace,
            poll: Poll::new()?,
            connections: Vec::new(),
            latencies: Vec::new(),
            buffer: vec![0; 256 << 10],
        };
        for at in 0..pace.connections {
            let connection = load.open(at)?;
            load.connections.push(connection);
            if at % 512 == 511 {
                // No more at once than stand in a listener's queue.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(load)
    }

    fn open(&self, at: usize) -> Result<Connection> {
        let mut stream = mio::net::TcpStream::connect(self.address)?;
        self.poll.registry().register(
            &mut stream,
            Token(at),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Connection {
            wire: Wire::new(stream, self.pace.tls),
            due: None,
            sent: 0,
            head: Vec::new(),
            body: None,
        })
    }

    /// Calls for this time, or until so many calls are made; ends when each is answered.
    pub fn run(&mut self, time: Duration, limit: usize) -> Result<Ran> {
        (self.pace.time, self.pace.limit) = (time, limit);
        let begun = Instant::now();
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let mut idle: VecDeque<usize> = (0..self.pace.connections).collect();
        if let Some(rate) = self.pace.rate {
            self.tick(&timer, rate)?;
        } else {
            let first = self.pace.in_flight.min(idle.len());
            for at in idle.drain(..first).collect::<Vec<_>>() {
                if self.pace.reconnect {
                    self.connections[at] = self.open(at)?;
                }
                self.start(at, begun)?;
            }
        }
        let mut events = Events::with_capacity(256);
        let mut sent_by_rate = 0_u64;
        loop {
            let over = begun.elapsed() >= self.pace.time || self.latencies.len() >= self.pace.limit;
            if over && self.connections.iter().all(|c| c.due.is_none()) {
                break;
            }
            if begun.elapsed() > self.pace.time + Duration::from_secs(20) {
                return Err(Error::other("requests are not answered"));
            }
            match self.poll.poll(&mut events, Some(Duration::from_millis(50))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token() == TIMER {
                    // A timer that is not read does not become ready again.
                    let mut ticks = [0; 8];
                    let _ = rustix::io::read(&timer, &mut ticks);
                    let rate = self.pace.rate.unwrap_or_default();
                    while !over && (sent_by_rate as f64) < begun.elapsed().as_secs_f64() * rate {
                        let Some(at) = idle.pop_front() else { break };
                        let due = Duration::from_secs_f64(sent_by_rate as f64 / rate);
                        self.start(at, begun + due)?;
                        sent_by_rate += 1;
                    }
                    continue;
                }
                let at = event.token().0;
                if !self.advance(at)? {
                    continue;
                }
                idle.push_back(at);
                if self.pace.rate.is_none()
                    && !over
                    && let Some(next) = idle.pop_front()
                {
                    if self.pace.reconnect {
                        self.connections[next] = self.open(next)?;
                    }
                    self.start(next, Instant::now())?;
                }
            }
        }
        let time = begun.elapsed();
        let mut latencies = std::mem::take(&mut self.latencies);
        latencies.sort_unstable();
        Ok(Ran {
            requests: latencies.len(),
            time,
            latencies,
        })
    }

    /// Lets the timer ring at this rate.
    fn tick(&self, timer: &OwnedFd, rate: f64) -> Result<()> {
        let period = Timespec {
            tv_sec: 0,
            tv_nsec: (1e9 / rate) as _,
        };
        let every = Itimerspec {
            it_interval: period,
            it_value: period,
        };
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &every)?;
        self.poll.registry().register(
            &mut SourceFd(&timer.as_raw_fd()),
            TIMER,
            Interest::READABLE,
        )?;
        Ok(())
    }

    fn start(&mut self, at: usize, due: Instant) -> Result<()> {
        let connection = &mut self.connections[at];
        connection.due = Some(due);
        connection.sent = 0;
        connection.body = None;
        self.advance(at).map(drop)
    }

    /// Sends and takes what can be now; true when an answer has become whole.
    fn advance(&mut self, at: usize) -> Result<bool> {
        let connection = &mut self.connections[at];
        let Some(due) = connection.due else {
            return Ok(false);
        };
        while connection.sent < self.traffic.request.len() {
            match connection
                .wire
                .write(&self.traffic.request[connection.sent..])
            {
                Ok(count) => connection.sent += count,
                Err(error) if is_early(&error) => break,
                Err(error) => return Err(error),
            }
        }
        connection.wire.flush_early()?;
        loop {
            let count = match connection.wire.read(&mut self.buffer) {
                Ok(0) => return Err(Error::other("closed in the middle of a call")),
                Ok(count) => count,
                Err(error) if is_early(&error) => {
                    connection.wire.flush_early()?;
                    break;
                }
                Err(error) => return Err(error),
            };
            if connection.take(&self.buffer[..count], &self.traffic.answer)? {
                self.latencies.push(due.elapsed());
                return Ok(true);
            }
        }
        // A handshake that has just ended lets the request be sent.
        if connection.sent < self.traffic.request.len() && connection.wire.can_write() {
            return self.advance(at);
        }
        Ok(false)
    }
}

impl Connection {
    fn take(&mut self, got: &[u8], expected: &[u8]) -> Result<bool> {
        let joined;
        let bytes;
        let come = match self.body {
            Some(come) => {
                bytes = got;
                come
            }
            None => {
                self.head.extend_from_slice(got);
                let Some((end, length)) = head(&self.head) else {
                    return Ok(false);
                };
                joined = std::mem::take(&mut self.head);
                if !joined.starts_with(b"HTTP/1.1 200") || length != expected.len() {
                    let text = String::from_utf8_lossy(&joined[..joined.len().min(1500)]);
                    return Err(Error::other(format!("a wrong answer: {text}")));
                }
                bytes = &joined[end..];
                0
            }
        };
        if expected.get(come..come + bytes.len()) != Some(bytes) {
            return Err(Error::other("an answer's body came changed"));
        }
        self.body = Some(come + bytes.len());
        let is_whole = come + bytes.len() == expected.len();
        if is_whole {
            self.due = None;
        }
        Ok(is_whole)
    }
}

/// Whether there is only nothing to be done yet.
fn is_early(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}

/// Opens this many connections, makes one request on each and keeps them.
pub fn hold(
    address: SocketAddr,
    traffic: &Traffic,
    tls: bool,
    count: usize,
) -> Result<Vec<Box<dyn Read>>> {
    let mut buffer = vec![0; 64 << 10];
    (0..count)
        .map(|_| {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let mut held: Box<dyn ReadWrite> = if tls {
                Box::new(rustls::StreamOwned::new(client(), stream))
            } else {
                stream.set_nodelay(true)?;
                Box::new(stream)
            };
            held.write_all(&traffic.request)?;
            held.flush()?;
            let mut come = Vec::new();
            while head(&come).is_none_or(|(end, length)| come.len() < end + length) {
                let got = held.read(&mut buffer)?;
                if got == 0 {
                    return Err(Error::other("closed in the middle of a call"));
                }
                come.extend_from_slice(&buffer[..got]);
            }
            if !come.ends_with(&traffic.answer) {
                return Err(Error::other("an answer's body came changed"));
            }
            Ok(held as Box<dyn Read>)
        })
        .collect()
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}
