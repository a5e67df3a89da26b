//! The portal's side: connect, pool, TLS, and what may be sent once more.
//!
//! The pool is this thread's own and hands out the connection used last. A call is sent once more only when not one byte
//! of it was written to a socket; that is known exactly, because a [`Connection`] is driven by the call itself.
//! hyper-util's pooled client repeats only what came back unsent, but cannot tell for what its connection had taken, and
//! costs a mutex, a boxed future and a task more for each request.

mod answer_in;
pub mod body;
mod connection;
mod dial;
pub mod failure;
mod http2;
mod pool;
pub mod probe;
mod request_out;

use crate::proxy::body::RequestBody;
use crate::proxy::config::Config;
use crate::proxy::error::Failure;
use crate::proxy::http::head::{Framing, Limits, ResponseHead};
use crate::proxy::net::own_ends::OwnEnds;
use crate::proxy::net::stream::Switched;
use crate::proxy::net::tls::offering_http2;
use crate::proxy::portal::body::PortalBody;
use crate::proxy::portal::connection::{Connection, Patience};
use crate::proxy::portal::dial::dial;
use crate::proxy::portal::failure::{sent_and_failed, unsent, unusable};
use crate::proxy::portal::http2::Failed;
use crate::proxy::portal::pool::{Lease, Pool};
use crate::proxy::portal::request_out::Asked;
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::{LocalMetrics, Open};
use bytes::Bytes;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::TlsConnector;

/// The portal, as one thread sees it.
pub struct Upstream {
    config: Arc<Config>,
    tls: Option<TlsConnector>,
    tls_http2: Option<TlsConnector>,
    limits: Limits,
    /// One for each source address; at least one.
    lanes: Box<[Lane]>,
    own_ends: Arc<OwnEnds>,
    telemetry: Arc<Telemetry>,
    local: LocalMetrics,
}

/// Connections to the portal from one source address.
struct Lane {
    pool: Rc<Pool>,
    /// The HTTP/2 connection, where the portal offers it.
    http2: RefCell<Option<http2::Sender>>,
}

/// A new connection, in the language that the portal chose.
enum Made {
    Http1(Box<Connection>),
    Http2(http2::Sender),
}

/// An answer of the portal.
pub struct Answer {
    pub head: ResponseHead,
    pub body: PortalBody,
    /// When its head came.
    pub came: Instant,
    /// From the last byte sent to the portal to then.
    pub after: Duration,
    /// How long the body may stall, where the connection does not watch that itself.
    pub stall: Option<Duration>,
    /// The request's body, where it is held and the answer may mean that nothing was executed (503).
    pub again: Option<RequestBody>,
    /// The portal switched protocols: its socket, and what has come on it behind the head.
    pub switched: Option<Switched>,
}

impl Answer {
    /// The body, where all of it is at hand: as it came with its head, or as it was `read`, which tells whether that is all.
    pub fn whole<'a>(&'a self, read: Option<&'a (Bytes, bool)>) -> Option<&'a Bytes> {
        match (read, &self.body) {
            (Some((read, whole)), _) => whole.then_some(read),
            (None, PortalBody::Whole(body)) => body.as_ref(),
            (None, _) => None,
        }
    }
}

/// A request as it is sent: the head is made anew for each attempt.
pub struct Sending<'a> {
    /// From which of the source addresses, by number.
    pub source: usize,
    /// When it began to be sent.
    pub since: Instant,
    pub head: &'a dyn Fn(&mut Vec<u8>),
    pub to_head: bool,
    pub upgrade: bool,
    /// How the body goes out.
    pub framing: Framing,
    /// The value of `Trailer`, so that trailers are passed on.
    pub trailer: Option<&'a [u8]>,
    /// Hold a body that is whole until the answer's head: it may have to be sent again.
    pub keep: bool,
}

impl Upstream {
    pub fn new(
        tls: Option<Arc<rustls::ClientConfig>>,
        own_ends: Arc<OwnEnds>,
        (config, telemetry): (Arc<Config>, Arc<Telemetry>),
        local: LocalMetrics,
    ) -> Rc<Self> {
        Rc::new(Upstream {
            limits: Limits {
                head: 256 * 1024,
                target: 0,
                fields: 512,
            },
            tls_http2: tls.as_deref().map(|tls| offering_http2(tls).into()),
            tls: tls.map(TlsConnector::from),
            lanes: (0..config.upstream_sources.len().max(1))
                .map(|_| Lane {
                    pool: Pool::new(config.timeouts.pool_idle, local.clone()),
                    http2: RefCell::default(),
                })
                .collect(),
            config,
            own_ends,
            telemetry,
            local,
        })
    }

    /// Closes what is idle.
    pub fn close_idle(&self) {
        for lane in &self.lanes {
            lane.pool.clear();
            lane.http2.borrow_mut().take();
        }
    }

    /// Tries once to connect, for readiness.
    ///
    /// # Errors
    /// Says why the portal cannot be reached.
    pub async fn probe(&self) -> Result<(), String> {
        let from = self.config.upstream_sources.first().copied();
        match dial(&self.config, self.tls.as_ref(), from).await {
            Ok(_) => {
                self.reached();
                Ok(())
            }
            Err(e) => {
                self.not_reached(&e);
                Err(e.cause().to_owned())
            }
        }
    }

    fn reached(&self) {
        self.local.upstream_connected();
        self.telemetry.health.upstream_reached();
    }

    fn not_reached(&self, failure: &Failure) {
        if let Some(step) = failure.row().connect {
            self.local.connect_error(step);
        }
        self.telemetry.health.upstream_failed(failure.cause());
    }

    /// Sends one request and waits for the head of its answer.
    ///
    /// # Errors
    /// By whether the portal may have executed the call.
    pub async fn send(
        self: &Rc<Self>,
        sending: &Sending<'_>,
        mut body: RequestBody,
    ) -> Result<Answer, Failure> {
        let mut fresh_attempts = 0;
        let source = sending.source.min(self.lanes.len() - 1);
        loop {
            let shared = if sending.upgrade {
                None
            } else {
                self.stream(source)
            };
            if let Some(sender) = shared {
                let held = sending.keep.then(|| body.held()).flatten();
                match Box::pin(self.send_http2(sender, sending, body)).await {
                    Ok(mut answer) => {
                        answer.again = held.filter(|_| answer.head.status == 503);
                        return Ok(answer);
                    }
                    Err(Failed::Sent(error)) => return Err(error),
                    Err(Failed::Unsent(_)) if fresh_attempts == 2 => return Err(unsent()),
                    Err(Failed::Unsent(again)) => {
                        self.lanes[source].http2.borrow_mut().take();
                        self.local.retry();
                        body = again;
                        continue;
                    }
                }
            }
            let pooled = if sending.upgrade {
                None
            } else {
                self.lanes[source].pool.take(sending.since)
            };
            let mut connection = match pooled {
                Some(connection) => connection,
                None if fresh_attempts == 2 => return Err(unsent()),
                None => {
                    fresh_attempts += 1;
                    // Boxed: what is rare must not make every call's future larger.
                    match Box::pin(self.connect(sending.upgrade, source)).await? {
                        Made::Http1(connection) => connection,
                        Made::Http2(sender) => {
                            *self.lanes[source].http2.borrow_mut() = Some(sender);
                            continue;
                        }
                    }
                }
            };
            let asked = Asked {
                framing: sending.framing,
                to_head: sending.to_head,
                upgrade: sending.upgrade,
                trailer: sending.trailer,
                keep: sending.keep,
            };
            connection.begin(&asked, body, sending.head);
            match poll_fn(|cx| connection.poll_answer(cx)).await {
                Ok(head) => return Ok(self.answered(connection, source, head)),
                Err(fault) if connection.wrote() => return Err(sent_and_failed(fault)),
                // Not one byte was written: the call was surely not executed.
                Err(_) => match connection.take_back() {
                    Some(again) if fresh_attempts < 2 => {
                        self.local.retry();
                        body = again;
                    }
                    _ => return Err(unsent()),
                },
            }
        }
    }

    fn answered(
        self: &Rc<Self>,
        mut connection: Box<Connection>,
        source: usize,
        head: ResponseHead,
    ) -> Answer {
        let came = Instant::now();
        let after = came - connection.last_write();
        let mut switched = None;
        let again = if head.status == 503 {
            connection.body_again()
        } else {
            connection.forget_body();
            None
        };
        let body = if head.status == 101 {
            switched = Some(connection.into_tunnel());
            PortalBody::Whole(None)
        } else {
            let whole = connection.take_whole();
            let lease = Lease {
                connection,
                pool: self.lanes[source].pool.clone(),
            };
            match whole {
                Some(whole) => {
                    lease.give_back(came);
                    PortalBody::Whole(Some(whole).filter(|whole| !whole.is_empty()))
                }
                None => PortalBody::Http1(lease),
            }
        };
        Answer {
            head,
            body,
            came,
            after,
            stall: None,
            switched,
            again,
        }
    }

    /// The HTTP/2 connection, while it is open.
    fn stream(&self, source: usize) -> Option<http2::Sender> {
        let sender = self.lanes[source].http2.borrow();
        sender.clone().filter(|sender| !sender.is_closed())
    }

    /// Sends one request on a stream.
    async fn send_http2(
        &self,
        mut sender: http2::Sender,
        sending: &Sending<'_>,
        body: RequestBody,
    ) -> Result<Answer, Failed> {
        let mut head = Vec::with_capacity(1024);
        (sending.head)(&mut head);
        let began = Instant::now();
        let wait = self.config.timeouts.response;
        let (head, body) =
            http2::send(&mut sender, head, body, &self.limits, sending.to_head, wait).await?;
        Ok(Answer {
            came: Instant::now(),
            after: began.elapsed(),
            head,
            body: PortalBody::Http2(body),
            switched: None,
            stall: Some(self.config.timeouts.upstream_body),
            again: None,
        })
    }

    /// A new connection. Whether it speaks HTTP/2, where that is wanted, the portal chooses each time.
    async fn connect(self: &Rc<Self>, upgrade: bool, source: usize) -> Result<Made, Failure> {
        let tls = match &self.tls_http2 {
            Some(offering) if self.config.upstream_http2 && !upgrade => Some(offering),
            _ => self.tls.as_ref(),
        };
        let from = self.config.upstream_sources.get(source).copied();
        let stream = match dial(&self.config, tls, from).await {
            Ok(stream) => {
                self.reached();
                stream
            }
            Err(e) => {
                self.not_reached(&e);
                return Err(e);
            }
        };
        if stream.chose_http2() {
            let sender = http2::begin(stream, self.config.timeouts.response).await;
            return sender.map(Made::Http2).map_err(|()| unusable());
        }
        let ends = stream
            .local_address()
            .zip(stream.peer_address())
            .map(|ends| self.own_ends.hold(ends));
        let patience = Patience {
            response: self.config.timeouts.response,
            body: self.config.timeouts.upstream_body,
        };
        let counted = self.local.open(Open::PoolBusy);
        let connection = Connection::new(stream, self.limits, patience, counted, ends);
        Ok(Made::Http1(connection))
    }
}
