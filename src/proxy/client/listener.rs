//! Accepting connections.

use crate::proxy::client::greet::{greet, turn_away};
use crate::proxy::client::registry::Registry;
use crate::proxy::net::descriptors;
use crate::proxy::net::descriptors::is_kept_back;
use crate::proxy::net::listening::Listening;
use crate::proxy::net::stream::Stream;
use crate::telemetry::metrics::{Held, Open};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// How long accepting pauses after an error that is the listener's or the process's own.
const PAUSE: Duration = Duration::from_millis(100);

/// How often what waits in the queue is tried again at such errors when accepting is to stop.
const LAST_TRIES: usize = 10;

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A new connection, and its peer's address.
type Accepted = (Stream, Option<SocketAddr>);

impl Socket {
    fn new(listening: Listening) -> io::Result<Self> {
        match listening {
            Listening::Tcp { socket, .. } => TcpListener::from_std(socket).map(Socket::Tcp),
            Listening::Unix { socket, .. } => UnixListener::from_std(socket).map(Socket::Unix),
        }
    }

    fn poll_accept(&self, cx: &mut std::task::Context<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Socket::Tcp(socket) => socket.poll_accept(cx).map_ok(|(stream, peer)| {
                let _ = stream.set_nodelay(true);
                (Stream::Tcp(stream), Some(peer))
            }),
            Socket::Unix(socket) => socket
                .poll_accept(cx)
                .map_ok(|(stream, _)| (Stream::Unix(stream), None)),
        }
    }

    /// The socket for [`accept_now`].
    fn into_std(self) -> io::Result<Listening> {
        Ok(match self {
            Socket::Tcp(socket) => Listening::Tcp {
                socket: socket.into_std()?,
                plain: false,
            },
            Socket::Unix(socket) => Listening::Unix {
                socket: socket.into_std()?,
                path: None,
            },
        })
    }

    fn are_descriptors_left(&self) -> bool {
        match self {
            Socket::Tcp(socket) => descriptors::are_left(socket),
            Socket::Unix(socket) => descriptors::are_left(socket),
        }
    }
}

/// Takes what waits in the queue; `WouldBlock` where nothing does. The runtime must not be asked: it learns that something
/// waits only when it next looks, and what came since then would be lost with the socket.
fn accept_now(listening: &Listening) -> io::Result<Accepted> {
    match listening {
        Listening::Tcp { socket, .. } => {
            let (stream, peer) = socket.accept()?;
            stream.set_nonblocking(true)?;
            let _ = stream.set_nodelay(true);
            Ok((Stream::Tcp(TcpStream::from_std(stream)?), Some(peer)))
        }
        Listening::Unix { socket, .. } => {
            let (stream, _) = socket.accept()?;
            stream.set_nonblocking(true)?;
            Ok((Stream::Unix(UnixStream::from_std(stream)?), None))
        }
    }
}

/// Accepts until told to stop; then takes what waits in the queue and closes the socket.
pub async fn accept(registry: Rc<Registry>, listening: Listening) {
    let tls = registry.admission.acceptor.is_some() && !listening.is_plain();
    let Ok(socket) = Socket::new(listening) else {
        return;
    };
    let mut stopping = pin!(registry.stopping());
    let mut paused: Option<Held> = None;
    loop {
        let accepted = std::future::poll_fn(|cx| {
            if stopping.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            socket.poll_accept(cx).map(Some)
        });
        match accepted.await {
            None => break,
            Some(Ok(accepted)) => {
                let is_last = is_kept_back(&accepted.0);
                begin(&registry, accepted, tls);
                if !is_last {
                    paused = None;
                    continue;
                }
                let error = io::Error::from_raw_os_error(EMFILE);
                pause(&registry, &mut paused, &error);
                while !registry.is_stopping() && !socket.are_descriptors_left() {
                    tokio::time::sleep(PAUSE).await;
                }
                paused = None;
            }
            Some(Err(error)) if is_of_the_connection(&error) => {}
            Some(Err(error)) => {
                pause(&registry, &mut paused, &error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    let Ok(socket) = socket.into_std() else {
        return;
    };
    let mut failed = 0;
    while failed < LAST_TRIES {
        match accept_now(&socket) {
            Ok(accepted) => begin(&registry, accepted, tls),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                failed += 1;
                pause(&registry, &mut paused, &error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Has a connection served, or told that it is one too many.
fn begin(registry: &Rc<Registry>, (stream, peer): Accepted, tls: bool) {
    match registry
        .admission
        .count_in(peer.map(|p| p.ip().to_canonical()))
    {
        Ok(counted) => {
            let registry = registry.clone();
            let greeting = registry.greeting();
            tokio::task::spawn_local(async move {
                greet(registry, greeting, stream, peer, tls).await;
                drop(counted);
            });
        }
        Err(full) => {
            registry.context.local.connection_refused(full.into());
            tokio::task::spawn_local(turn_away(registry.clone(), stream, tls));
        }
    }
}

/// Says and counts that accepting pauses, unless it does already.
fn pause(registry: &Registry, paused: &mut Option<Held>, error: &io::Error) {
    if paused.is_some() {
        return;
    }
    if registry.admission.may_say_exhausted() {
        if is_exhaustion(error) {
            tracing::error!(%error, "no connection can be accepted: raise the limit of open files (ulimit -n, LimitNOFILE); accepting goes on by itself");
        } else {
            tracing::error!(%error, "no connection can be accepted: the listening socket fails; it is tried again every 100 ms, and a restart opens it anew");
        }
    }
    *paused = Some(registry.context.local.open(Open::AcceptPaused));
}

const EMFILE: i32 = 24;

/// EMFILE, ENFILE, ENOBUFS, ENOMEM: what goes away when something is closed.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | 23 | 105 | 12))
}

/// Errors that are those of the connection that would have been accepted (accept(2)): EINTR, EPERM (a firewall), ENONET,
/// EPROTO, ENOPROTOOPT, ENETDOWN, ENETUNREACH, ECONNABORTED, ECONNRESET, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(4 | 1 | 64 | 71 | 92 | 100 | 101 | 103 | 104 | 110 | 112 | 113)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_errors_of_a_connection_pass_without_a_pause() {
        let of_the_connection =
            |number| is_of_the_connection(&io::Error::from_raw_os_error(number));
        // ECONNABORTED, EHOSTUNREACH.
        assert!(of_the_connection(103) && of_the_connection(113));
        // EBADF, EINVAL (it does not listen), ENOTSOCK, EMFILE.
        for number in [9, 22, 88, EMFILE] {
            assert!(!of_the_connection(number), "{number}");
        }
    }
}
