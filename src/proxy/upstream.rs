//! The portal's side: connect, pool, TLS, and what may be sent once more.
//!
//! The pool is this thread's own and hands out the connection used last. A call is sent once more only when not one byte
//! of it was written to a socket; that is known exactly, because the heads are written by our own
//! [`Wire`](super::wire::Wire). hyper-util's pooled client repeats only what came back unsent, but cannot tell for what
//! its connection had taken, and costs a mutex, a boxed future and a task more for each request.

use super::body::RequestBody;
use super::config::{Config, Portal};
use super::error::ProxyError;
use super::stream::Stream;
use super::tls::offering_http2;
use super::upstream_http2::{self, Failed};
use super::watch::{Look, limit, watched};
use super::wire::head::{Limits, ResponseHead};
use super::wire::{Awaited, Fault, Link, OutHead, Side, Wire};
use super::worker::Shared;
use crate::telemetry::metrics::{ConnectError as Cause, Held, LocalMetrics, Open, Phase};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HeaderValue, TRAILER, UPGRADE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// A connection to the portal that no call is using, or that one has just begun to use.
struct Connection {
    sender: http1::SendRequest<RequestBody>,
    link: Rc<Link>,
    /// Since when it is in the pool.
    idle: Rc<Cell<Option<Instant>>>,
    counted: Held,
}

/// The portal, as one thread sees it.
pub struct Upstream {
    config: Arc<Config>,
    tls: Option<TlsConnector>,
    tls_http2: Option<TlsConnector>,
    limits: Limits,
    pool: RefCell<Vec<Connection>>,
    /// The HTTP/2 connection, where the portal offers it.
    http2: RefCell<Option<upstream_http2::Sender>>,
    shared: Arc<Shared>,
    local: LocalMetrics,
}

/// A new connection, in the language that the portal chose.
enum Made {
    /// Behind a switch of protocols its socket is given.
    Http1(
        Connection,
        Option<tokio::sync::oneshot::Receiver<(Stream, Vec<u8>)>>,
    ),
    Http2(upstream_http2::Sender),
}

/// A connection in use; goes back to the pool when its answer has been read to the end.
pub struct Lease {
    connection: Connection,
    upstream: Rc<Upstream>,
    reusable: bool,
}

impl Lease {
    /// The answer was read to its end.
    pub fn give_back(mut self) {
        if self.reusable
            && self.connection.link.message_done()
            && !self.connection.sender.is_closed()
        {
            self.connection.idle.set(Some(Instant::now()));
            self.connection.counted = self.upstream.local.open(Open::PoolIdle);
            self.upstream.pool.borrow_mut().push(self.connection);
        }
    }

    /// The answer broke off.
    pub fn broken(self) {
        if self.connection.link.fault() == Some(Fault::ReadTimeout) {
            self.upstream.local.timeout(Phase::UpstreamBody);
        }
    }
}

/// Where and why connecting failed.
#[derive(Debug)]
struct ConnectError {
    proxy_status: &'static str,
    what: String,
}

/// An answer of the portal.
pub struct Answer {
    pub head: ResponseHead,
    pub body: Incoming,
    pub lease: Option<Lease>,
    /// From the last byte sent to the portal to the head of its answer.
    pub after: Duration,
    /// How long the body may stall, where the connection does not watch that itself.
    pub stall: Option<Duration>,
    /// The portal switched protocols: its socket, when the answer's head is done.
    pub switched: Option<tokio::sync::oneshot::Receiver<(Stream, Vec<u8>)>>,
}

impl Answer {
    /// The body was read, or there is none: the connection can serve the next call.
    pub fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

/// A request as it is sent: the head is made anew for each attempt.
pub struct Sending<'a> {
    pub head: &'a dyn Fn(&mut Vec<u8>),
    pub to_head: bool,
    pub upgrade: bool,
    /// The value of `Trailer`, so that trailers are passed on.
    pub trailer: Option<&'a [u8]>,
}

impl Upstream {
    pub fn new(shared: Arc<Shared>, local: LocalMetrics) -> Rc<Self> {
        Rc::new(Upstream {
            limits: Limits {
                head: 256 * 1024,
                target: 0,
                fields: 512,
            },
            tls: shared.upstream_tls.clone().map(TlsConnector::from),
            tls_http2: shared
                .upstream_tls
                .as_deref()
                .map(|tls| offering_http2(tls).into()),
            config: shared.config.clone(),
            pool: RefCell::default(),
            http2: RefCell::default(),
            shared,
            local,
        })
    }

    /// Closes what is idle.
    pub fn close_idle(&self) {
        self.pool.borrow_mut().clear();
        self.http2.borrow_mut().take();
    }

    fn idle(&self) -> Option<Connection> {
        let mut pool = self.pool.borrow_mut();
        while let Some(mut connection) = pool.pop() {
            if connection.sender.is_ready() && !connection.sender.is_closed() {
                connection.idle.set(None);
                connection.counted = self.local.open(Open::PoolBusy);
                return Some(connection);
            }
        }
        None
    }

    /// Tries once to connect, for readiness.
    ///
    /// # Errors
    /// Says why the portal cannot be reached.
    pub async fn probe(&self) -> Result<(), String> {
        match self.dial(self.tls.as_ref()).await {
            Ok(_) => {
                self.reached();
                Ok(())
            }
            Err(e) => {
                self.not_reached(&e);
                Err(e.what)
            }
        }
    }

    fn reached(&self) {
        self.local.upstream_connected();
        self.shared.telemetry.health.upstream_reached();
    }

    fn not_reached(&self, error: &ConnectError) {
        self.local.connect_error(match error.proxy_status {
            "dns_error" => Cause::Resolve,
            "connection_timeout" => Cause::Timeout,
            "tls_certificate_error" => Cause::Certificate,
            "tls_protocol_error" => Cause::Tls,
            _ => Cause::Connect,
        });
        self.shared
            .telemetry
            .health
            .upstream_failed(error.what.as_str());
    }

    /// Sends one request and waits for the head of its answer.
    ///
    /// # Errors
    /// By whether the portal may have executed the call.
    pub async fn send(
        self: &Rc<Self>,
        sending: &Sending<'_>,
        mut body: RequestBody,
    ) -> Result<Answer, ProxyError> {
        let whole = match &body {
            RequestBody::Whole(bytes) => Some(bytes.clone()),
            RequestBody::Empty => Some(None),
            RequestBody::Stream(_) => None,
        };
        let mut fresh_attempts = 0;
        loop {
            let shared = if sending.upgrade { None } else { self.stream() };
            if let Some(sender) = shared {
                match Box::pin(self.send_http2(sender, sending, body)).await {
                    Ok(answer) => return Ok(answer),
                    Err(Failed::Sent(error)) => return Err(error),
                    Err(Failed::Unsent(_)) if fresh_attempts == 2 => return Err(unsent()),
                    Err(Failed::Unsent(again)) => {
                        self.http2.borrow_mut().take();
                        self.local.retry();
                        body = again;
                        continue;
                    }
                }
            }
            let pooled = if sending.upgrade { None } else { self.idle() };
            let (mut connection, switched) = match pooled {
                Some(connection) => (connection, None),
                None if fresh_attempts == 2 => return Err(unsent()),
                None => {
                    fresh_attempts += 1;
                    // Boxed: what is rare must not make every call's future larger.
                    match Box::pin(self.connect(sending.upgrade)).await? {
                        Made::Http1(connection, switched) => (connection, switched),
                        Made::Http2(sender) => {
                            *self.http2.borrow_mut() = Some(sender);
                            continue;
                        }
                    }
                }
            };
            let link = connection.link.clone();
            let mut bytes = Vec::with_capacity(1024);
            (sending.head)(&mut bytes);
            link.begin(
                OutHead {
                    bytes,
                    no_body: false,
                },
                Awaited {
                    to_head: sending.to_head,
                    upgrade: sending.upgrade,
                },
            );
            match connection
                .sender
                .try_send_request(for_hyper(sending, body))
                .await
            {
                Ok(response) => {
                    let Some(head) = link.take_response() else {
                        return Err(ProxyError::internal("the answer's head was lost"));
                    };
                    let reusable = head.keeps_alive && !sending.upgrade;
                    let lease = Lease {
                        connection,
                        upstream: self.clone(),
                        reusable,
                    };
                    let after = link.last_write().elapsed();
                    return Ok(Answer {
                        after,
                        head,
                        body: response.into_body(),
                        lease: Some(lease),
                        switched,
                        stall: None,
                    });
                }
                Err(mut error) => {
                    if link.wrote() {
                        return Err(sent_and_failed(link.fault()));
                    }
                    // Not one byte was written: the call was surely not executed.
                    let again = match (error.take_message(), &whole) {
                        (Some(request), _) => Some(request.into_body()),
                        (None, Some(Some(bytes))) => Some(RequestBody::Whole(Some(bytes.clone()))),
                        (None, Some(None)) => Some(RequestBody::Empty),
                        (None, None) => None,
                    };
                    match again {
                        Some(again) if fresh_attempts < 2 => {
                            self.local.retry();
                            body = again;
                        }
                        _ => return Err(unsent()),
                    }
                }
            }
        }
    }

    /// The HTTP/2 connection, while it is open.
    fn stream(&self) -> Option<upstream_http2::Sender> {
        let sender = self.http2.borrow();
        sender.clone().filter(|sender| !sender.is_closed())
    }

    /// Sends one request on a stream.
    async fn send_http2(
        &self,
        mut sender: upstream_http2::Sender,
        sending: &Sending<'_>,
        body: RequestBody,
    ) -> Result<Answer, Failed> {
        let mut head = Vec::with_capacity(1024);
        (sending.head)(&mut head);
        let began = Instant::now();
        let wait = self.config.timeouts.response;
        let (head, body) =
            upstream_http2::send(&mut sender, head, body, &self.limits, sending.to_head, wait)
                .await?;
        Ok(Answer {
            after: began.elapsed(),
            head,
            body,
            lease: None,
            switched: None,
            stall: Some(self.config.timeouts.upstream_body),
        })
    }

    /// A new connection. Whether it speaks HTTP/2, where that is wanted, the portal chooses each time.
    async fn connect(self: &Rc<Self>, upgrade: bool) -> Result<Made, ProxyError> {
        let tls = match &self.tls_http2 {
            Some(offering) if self.config.upstream_http2 && !upgrade => Some(offering),
            _ => self.tls.as_ref(),
        };
        let stream = match self.dial(tls).await {
            Ok(stream) => {
                self.reached();
                stream
            }
            Err(e) => {
                self.not_reached(&e);
                return Err(ProxyError::unreachable(e.proxy_status, &e.what));
            }
        };
        let unusable =
            || ProxyError::unreachable("connection_terminated", "the connection could not be used");
        if stream.chose_http2() {
            let sender = upstream_http2::begin(stream, self.config.timeouts.response).await;
            return sender.map(Made::Http2).map_err(|()| unusable());
        }
        let ends = stream.ends();
        if let Some(ends) = ends {
            self.shared.own_ends(ends, true);
        }
        let link = Link::new(Side::Client, self.limits);
        let wire = Wire::new(stream, link.clone());
        let (sender, mut driven) = http1::Builder::new()
            .handshake::<_, RequestBody>(TokioIo::new(wire))
            .await
            .map_err(|_| unusable())?;
        let idle = Rc::new(Cell::new(None));
        let shared = self.shared.clone();
        let limits = self.config.timeouts;
        let (facts, since) = (link.clone(), idle.clone());
        let interval = limits
            .pool_idle
            .min(limits.response)
            .min(limits.upstream_body)
            .max(Duration::from_millis(10));
        let look = move |now: Instant| look(&facts, &since, &limits, now);
        let mut switched = None;
        if upgrade {
            let (give, take) = tokio::sync::oneshot::channel();
            switched = Some(take);
            tokio::task::spawn_local(async move {
                let mut ended = Box::pin(driven.without_shutdown());
                if let Some(Ok(parts)) = watched(&mut ended, interval, look).await {
                    let (stream, mut rest) = parts.io.into_inner().into_inner();
                    let mut first = parts.read_buf.to_vec();
                    first.append(&mut rest);
                    let _ = give.send((stream, first));
                }
                if let Some(ends) = ends {
                    shared.own_ends(ends, false);
                }
            });
        } else {
            tokio::task::spawn_local(async move {
                let _ = watched(&mut driven, interval, look).await;
                if let Some(ends) = ends {
                    shared.own_ends(ends, false);
                }
            });
        }
        let connection = Connection {
            sender,
            link,
            idle,
            counted: self.local.open(Open::PoolBusy),
        };
        Ok(Made::Http1(connection, switched))
    }

    async fn dial(&self, tls_connector: Option<&TlsConnector>) -> Result<Stream, ConnectError> {
        let limit = self.config.timeouts.connect;
        let (tls, host, port) = match &self.config.portal {
            Portal::Unix(path) => {
                return match tokio::time::timeout(limit, UnixStream::connect(path)).await {
                    Ok(Ok(stream)) => Ok(Stream::Unix(stream)),
                    Ok(Err(e)) => Err(refused(&e)),
                    Err(_) => Err(timed_out("connecting")),
                };
            }
            Portal::Tcp { tls, host, port } => (*tls, host, *port),
        };
        let (dial_host, dial_port) = match &self.config.upstream_connect {
            Some((host, port)) => (host, *port),
            None => (host, port),
        };
        let tcp = tokio::time::timeout(limit, connect_any(dial_host, dial_port, limit))
            .await
            .unwrap_or_else(|_| Err(timed_out("connecting")))?;
        let _ = tcp.set_nodelay(true);
        if !tls {
            return Ok(Stream::Tcp(tcp));
        }
        let Some(connector) = tls_connector else {
            return Err(ConnectError {
                proxy_status: "tls_protocol_error",
                what: "no certificate authorities could be loaded".into(),
            });
        };
        let name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| {
                ConnectError {
                    proxy_status: "tls_protocol_error",
                    what: "its name cannot stand in a certificate".into(),
                }
            })?;
        match tokio::time::timeout(
            self.config.timeouts.tls_handshake,
            connector.connect(name, tcp),
        )
        .await
        {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream.into()))),
            Ok(Err(e)) => Err(tls_failed(&e)),
            Err(_) => Err(timed_out("the TLS handshake")),
        }
    }
}

/// A request as hyper has to see it to frame its body; the wire writes the head.
fn for_hyper(sending: &Sending<'_>, body: RequestBody) -> Request<RequestBody> {
    let method = match &body {
        // hyper drops the body of a HEAD; the wire knows that its answer has none.
        RequestBody::Empty if sending.to_head => Method::HEAD,
        RequestBody::Empty => Method::GET,
        _ => Method::POST,
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    let fields = request.headers_mut();
    if let Some(value) = sending.trailer
        && let Ok(value) = HeaderValue::from_bytes(value)
    {
        fields.insert(TRAILER, value);
    }
    if sending.upgrade {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, HeaderValue::from_static("x"));
    }
    request
}

/// Looks the name up and dials each of its addresses in turn.
async fn connect_any(host: &str, port: u16, limit: Duration) -> Result<TcpStream, ConnectError> {
    let host = host.trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> = match host.parse() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((host, port))
            .await
            .map_err(|_| ConnectError {
                proxy_status: "dns_error",
                what: "its name cannot be resolved".into(),
            })?
            .collect(),
    };
    connect_in_turn(&addresses, limit).await
}

/// The first of the addresses that takes a connection; each gets its share of the time.
async fn connect_in_turn(
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<TcpStream, ConnectError> {
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = ConnectError {
        proxy_status: "dns_error",
        what: "its name has no address".into(),
    };
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = refused(&e),
            Err(_) => last = timed_out("connecting"),
        }
    }
    Err(last)
}

fn refused(e: &io::Error) -> ConnectError {
    let (proxy_status, what) = match e.kind() {
        io::ErrorKind::ConnectionRefused => ("connection_refused", "it refused the connection"),
        io::ErrorKind::NotFound => ("connection_refused", "its socket does not exist"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ("destination_ip_unroutable", "there is no route to it")
        }
        io::ErrorKind::TimedOut => ("connection_timeout", "connecting took too long"),
        _ => ("connection_refused", "connecting failed"),
    };
    ConnectError {
        proxy_status,
        what: what.into(),
    }
}

fn timed_out(what: &str) -> ConnectError {
    ConnectError {
        proxy_status: "connection_timeout",
        what: format!("{what} took too long"),
    }
}

fn tls_failed(e: &io::Error) -> ConnectError {
    let tls = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => ConnectError {
            proxy_status: "tls_certificate_error",
            what: format!("its certificate is not valid ({})", certificate_error(why)),
        },
        Some(_) => ConnectError {
            proxy_status: "tls_protocol_error",
            what: "the TLS handshake failed".into(),
        },
        None => ConnectError {
            proxy_status: "tls_protocol_error",
            what: "it broke off the TLS handshake".into(),
        },
    }
}

fn certificate_error(e: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as E;
    match e {
        E::Expired | E::ExpiredContext { .. } => "expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "not valid yet",
        E::UnknownIssuer => "unknown issuer",
        E::NotValidForName | E::NotValidForNameContext { .. } => "for another name",
        E::Revoked => "revoked",
        _ => "not trusted",
    }
}

/// A call of which nothing was sent, on a connection that was closed before, and on another.
fn unsent() -> ProxyError {
    ProxyError::unreachable(
        "connection_terminated",
        "it closed the connection before the call was sent",
    )
}

fn sent_and_failed(fault: Option<Fault>) -> ProxyError {
    match fault {
        Some(Fault::ReadTimeout | Fault::WriteTimeout) => ProxyError::no_answer(),
        Some(Fault::BadHead(_) | Fault::Surplus | Fault::UnaskedUpgrade | Fault::BadChunk(_)) => {
            ProxyError::broken_answer("http_protocol_error", "the portal's answer cannot be read")
        }
        _ => ProxyError::broken_answer(
            "connection_terminated",
            "the portal closed the connection without an answer",
        ),
    }
}

/// The phases of a connection to the portal.
fn look(
    link: &Link,
    idle: &Cell<Option<Instant>>,
    limits: &super::config::Timeouts,
    now: Instant,
) -> Look {
    if let Some(since) = idle.get() {
        let at = since + limits.pool_idle;
        return if at <= now {
            Look::End
        } else {
            Look::Until(at)
        };
    }
    let (at, fault) = if let Some(at) = limit(link.write_wait(), limits.response) {
        (at, Fault::WriteTimeout)
    } else if link.awaits_head() {
        if !link.message_done() {
            return Look::Idle;
        }
        (link.last_write() + limits.response, Fault::ReadTimeout)
    } else if let Some(at) = limit(link.read_wait(), limits.upstream_body) {
        (at, Fault::ReadTimeout)
    } else {
        return Look::Idle;
    };
    if at > now {
        return Look::Until(at);
    }
    link.close(fault);
    Look::Acted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses of this machine: one that refuses, one that does not answer, one that takes connections; and what
    /// holds them.
    fn addresses() -> ([SocketAddr; 3], impl Sized) {
        use socket2::{Domain, Socket, Type};
        let bound = |backlog: Option<i32>| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            socket.bind(&any.into()).expect("a free port");
            if let Some(backlog) = backlog {
                socket.listen(backlog).expect("it listens");
            }
            let address = socket.local_addr().expect("an address");
            (address.as_socket().expect("an IP address"), socket)
        };
        let (refusing, deaf, open) = (bound(None), bound(Some(0)), bound(Some(9)));
        // The queue is full with these.
        let mut filling = Vec::new();
        while let Ok(one) =
            std::net::TcpStream::connect_timeout(&deaf.0, Duration::from_millis(100))
        {
            filling.push(one);
        }
        (
            [refusing.0, deaf.0, open.0],
            (refusing.1, deaf.1, open.1, filling),
        )
    }

    #[tokio::test]
    async fn the_next_address_is_dialled_when_one_does_not_answer() {
        let ([refusing, deaf, open], _held) = addresses();
        let limit = Duration::from_millis(900);
        let begun = Instant::now();
        let reached = connect_in_turn(&[refusing, deaf, open], limit).await;
        assert_eq!(reached.expect("the last").peer_addr().unwrap(), open);
        assert!(begun.elapsed() >= limit / 3 && begun.elapsed() < limit);
        let error = connect_in_turn(&[refusing, deaf], limit).await;
        assert_eq!(
            error.expect_err("neither").proxy_status,
            "connection_timeout"
        );
        let error = connect_in_turn(&[deaf, refusing], limit).await;
        assert_eq!(
            error.expect_err("neither").proxy_status,
            "connection_refused"
        );
    }
}
