//! One client connection: parked while idle, driven by hyper while it has requests, lingering when it ends.
//!
//! A parked connection holds a socket and nothing else; hyper's buffers exist only while requests flow.

use crate::proxy::call::handle::{Client, handle};
use crate::proxy::call::reply::Reply;
use crate::proxy::call::span::SpannedBody;
use crate::proxy::client::tunnel;
use crate::proxy::client::wire::{Link, OutHead, Wire};
use crate::proxy::config::Timeouts;
use crate::proxy::net::fault::Fault;
use crate::proxy::net::scratch::with_scratch;
use crate::proxy::net::stream::Prefix;
use crate::proxy::net::stream::Stream;
use crate::proxy::net::watch::{Look, limit, watched};
use crate::proxy::worker::Worker;
use crate::telemetry::metrics::{LocalMetrics, Phase};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

/// How long an idle connection keeps hyper's buffers before it is parked.
const PARK_AFTER: Duration = Duration::from_millis(100);

/// How long a head may take that has begun to come, or is the first of a new connection, when the connection drains.
const HALF_HEAD_GRACE: Duration = Duration::from_secs(1);

/// How long an answer is waited for whose client has ended its sending side. It may have closed the connection, which
/// cannot be told apart before something is sent to it, or may only have nothing more to say (RFC 9112 §9.6).
const HALF_CLOSED: Duration = Duration::from_secs(3);

/// How long a closing connection reads what its client still sends, so that the client reads the answer and not a reset:
/// in all, and while nothing comes (nginx's `lingering_time` and `lingering_timeout`); and how much. It is read into the
/// thread's own buffer, and the connection counts towards the limits.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_IDLE: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 256 * 1024 * 1024;

/// What the connection's task and those who end it share.
#[derive(Default)]
pub struct Control {
    draining: Cell<bool>,
    cut: Cell<bool>,
    park: Cell<bool>,
    wake: tokio::sync::Notify,
}

impl Control {
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }
    /// Resolves when something was said.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// A connection that can be told to end.
pub struct Handle {
    control: Rc<Control>,
    link: Rc<Link>,
}

impl Handle {
    pub fn new(control: Rc<Control>, link: Rc<Link>) -> Self {
        Handle { control, link }
    }
    /// Finish what is in flight, then close.
    pub fn drain(&self) {
        self.control.draining.set(true);
        self.control.wake.notify_one();
        self.link.nudge();
    }
    /// Requests whose head was complete and whose answer is not written.
    pub fn in_flight(&self) -> u32 {
        self.link.in_flight()
    }
    /// End now.
    pub fn cut(&self) {
        self.control.cut.set(true);
        self.control.wake.notify_one();
        self.link.close(Fault::WriteTimeout);
    }
}

/// hyper's service: takes the head that the wire has read, and gives the wire the head to send.
struct Requests {
    worker: Rc<Worker>,
    client: Rc<Client>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<SpannedBody>;
    type Error = Infallible;
    type Future = impl_future::Answering;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let came = self.client.link.next_request();
        impl_future::answering(
            self.worker.clone(),
            self.client.clone(),
            came,
            request.into_body(),
        )
    }
}

mod impl_future {
    //! The service's future, boxed: its size would else be part of every connection.
    use super::*;
    use crate::proxy::client::wire::Came;

    pub type Answering = Pin<Box<dyn Future<Output = Result<Response<SpannedBody>, Infallible>>>>;

    pub fn answering(
        worker: Rc<Worker>,
        client: Rc<Client>,
        came: Option<Came>,
        body: Incoming,
    ) -> Answering {
        Box::pin(async move {
            let (reply, span) = handle(&worker, &client, came, body).await;
            let Reply {
                head,
                no_body,
                status,
                body,
                close,
                trailer,
            } = reply;
            client.link.send_head(OutHead {
                bytes: head,
                no_body,
            });
            let mut response = Response::new(SpannedBody::new(body, span));
            *response.status_mut() = status;
            if close || client.control.draining.get() {
                response.headers_mut().insert(
                    hyper::header::CONNECTION,
                    hyper::header::HeaderValue::from_static("close"),
                );
            }
            if let Some(trailer) = trailer {
                response
                    .headers_mut()
                    .insert(hyper::header::TRAILER, trailer);
            }
            Ok(response)
        })
    }
}

enum Ended {
    Park(Wire<Stream>),
    Done(Option<Wire<Stream>>),
}

type Hyper = http1::Connection<TokioIo<Wire<Stream>>, Requests>;

/// hyper's connection, which can be told to drain or to be parked.
struct Serving<'a> {
    connection: &'a mut Box<Hyper>,
    control: &'a Control,
    link: &'a Link,
    told: bool,
}

impl Future for Serving<'_> {
    /// True when the connection is to be parked.
    type Output = Result<bool, hyper::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(ended) = this.connection.poll_without_shutdown(cx) {
                return Poll::Ready(ended.map(|()| false));
            }
            if this.control.draining.get() && !this.told {
                this.told = true;
                Pin::new(&mut **this.connection).graceful_shutdown();
                continue;
            }
            if this.control.park.replace(false) && this.link.is_quiet() {
                return Poll::Ready(Ok(true));
            }
            return Poll::Pending;
        }
    }
}

/// Serves a connection to its end.
pub async fn serve(worker: Rc<Worker>, stream: Stream, prefix: Prefix, client: Client) {
    let link = client.link.clone();
    let control = client.control.clone();
    let registered = worker.register(Handle::new(control.clone(), link.clone()));
    let _open = worker.footprint.hold();
    let client = Rc::new(client);
    let mut wire = Wire::new(stream, link.clone());
    wire.begin_with(prefix);
    let timeouts = worker.config.timeouts;
    let interval = timeouts
        .header
        .min(timeouts.keep_alive)
        .min(timeouts.body)
        .max(Duration::from_millis(10));
    let mut first = true;
    loop {
        if !wait_for_head(&mut wire, &control, &link, &timeouts, interval, first).await {
            break;
        }
        first = false;
        match drive(&worker, &client, wire, interval).await {
            Ended::Park(parked) => wire = parked,
            Ended::Done(None) => return,
            Ended::Done(Some(done)) => {
                wire = done;
                if let Some(tunnel) = client.tunnel.take() {
                    tunnel::run(&worker, wire, tunnel).await;
                    return;
                }
                break;
            }
        }
    }
    drop(registered);
    linger(wire).await;
}

/// Waits, without hyper, until a head has come whole; false if the connection is to be closed.
async fn wait_for_head(
    wire: &mut Wire<Stream>,
    control: &Control,
    link: &Link,
    timeouts: &Timeouts,
    interval: Duration,
    first: bool,
) -> bool {
    let idle_limit = if first {
        timeouts.header
    } else {
        timeouts.keep_alive
    };
    let opened = Instant::now();
    let mut grace: Option<Pin<Box<tokio::time::Sleep>>> = None;
    let mut waiting = Box::pin(poll_fn(|cx| match wire.poll_head(cx) {
        Poll::Pending if control.draining.get() => {
            // Who has just connected may have sent a request that is still on its way.
            let new = first && opened.elapsed() < HALF_HEAD_GRACE;
            if link.is_quiet() && !new && grace.is_none() {
                return Poll::Ready(false);
            }
            let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(HALF_HEAD_GRACE)));
            std::task::ready!(grace.as_mut().poll(cx));
            if link.is_quiet() {
                return Poll::Ready(false);
            }
            link.expire_head();
            wire.poll_head(cx)
        }
        other => other,
    }));
    watched(&mut waiting, interval, |now| match link.partial_head() {
        Some(since) if since + timeouts.header <= now => {
            link.expire_head();
            Look::Acted
        }
        Some(since) => Look::Until(since + timeouts.header),
        None => match limit(link.read_wait(), idle_limit) {
            Some(at) if at <= now => Look::End,
            Some(at) => Look::Until(at),
            None => Look::Idle,
        },
    })
    .await
    .unwrap_or(false)
}

async fn drive(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    wire: Wire<Stream>,
    interval: Duration,
) -> Ended {
    let _driven = worker.footprint.hold();
    let service = Requests {
        worker: worker.clone(),
        client: client.clone(),
    };
    let mut connection = Box::new(worker.server.serve_connection(TokioIo::new(wire), service));
    let (link, control, timeouts) = (&client.link, &client.control, &worker.config.timeouts);
    let mut serving = Serving {
        connection: &mut connection,
        control,
        link,
        told: false,
    };
    let ended = watched(&mut serving, interval.min(PARK_AFTER), |now| {
        look(link, control, timeouts, &worker.local, now)
    })
    .await;
    match ended {
        Some(Ok(true)) => Ended::Park(connection.into_parts().io.into_inner()),
        Some(Ok(false)) => Ended::Done(Some(connection.into_parts().io.into_inner())),
        // The answer broke off, or the client's side did: what is left is to close, so that the client sees it cut.
        Some(Err(_)) => {
            let wire = connection.into_parts().io.into_inner();
            if link.fault().is_some() {
                Ended::Done(Some(wire))
            } else {
                Ended::Done(None)
            }
        }
        None => Ended::Done(None),
    }
}

/// The phases of a client's connection while hyper drives it.
fn look(
    link: &Link,
    control: &Control,
    timeouts: &Timeouts,
    local: &LocalMetrics,
    now: Instant,
) -> Look {
    if let Some(since) = link.write_wait() {
        // The client does not take its answer.
        let at = since + timeouts.body;
        if at > now {
            return Look::Until(at);
        }
        local.timeout(Phase::ClientWrite);
        link.close(Fault::WriteTimeout);
        return Look::Acted;
    }
    if let Some(since) = link.partial_head() {
        let at = since + timeouts.header;
        if at > now {
            return Look::Until(at);
        }
        link.expire_head();
        return Look::Acted;
    }
    if let Some(since) = link.half_closed()
        && link.message_done()
    {
        let at = since + HALF_CLOSED;
        return if at > now { Look::Until(at) } else { Look::End };
    }
    // Also behind an answer that came before the end of its request.
    if link.reads_body() {
        let Some(since) = link.read_wait() else {
            return Look::Idle;
        };
        let at = since + timeouts.body;
        if at > now {
            return Look::Until(at);
        }
        link.fail_read(Fault::ReadTimeout);
        return Look::Acted;
    }
    if link.in_flight() == 0 {
        let Some(since) = link.read_wait() else {
            return Look::Idle;
        };
        if since + timeouts.keep_alive <= now {
            local.timeout(Phase::KeepAlive);
            return Look::End;
        }
        if since + PARK_AFTER <= now {
            control.park.set(true);
            return Look::Acted;
        }
        return Look::Until(since + PARK_AFTER);
    }
    Look::Idle
}

/// Ends a connection so that the client can read the answer that came before the end.
async fn linger(wire: Wire<Stream>) {
    let unread = wire.has_unread();
    let (mut stream, _) = wire.into_inner();
    if unread || stream.says_its_end() {
        let _ = stream.shutdown().await;
    }
    if !unread {
        return;
    }
    let _ = tokio::time::timeout(LINGER, async {
        let mut total = 0;
        while total < LINGER_BYTES {
            let read = poll_fn(|cx| {
                with_scratch(|scratch| {
                    let mut buffer = ReadBuf::new(scratch);
                    let polled = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                    polled.map_ok(|()| buffer.filled().len())
                })
            });
            match tokio::time::timeout(LINGER_IDLE, read).await {
                Ok(Ok(read @ 1..)) => total += read,
                _ => break,
            }
        }
    })
    .await;
}
