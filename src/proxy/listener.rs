//! Accepting connections.

use super::greet::greet;
use super::refuse::refuse;
use super::run::Listening;
use super::stream::Stream;
use super::worker::Worker;
use crate::telemetry::metrics::{Held, Open};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// How long accepting pauses when the process has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    fn new(listening: Listening) -> io::Result<Self> {
        match listening {
            Listening::Tcp { socket, .. } => TcpListener::from_std(socket).map(Socket::Tcp),
            Listening::Unix { socket, .. } => UnixListener::from_std(socket).map(Socket::Unix),
        }
    }

    fn poll_accept(
        &self,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<(Stream, Option<SocketAddr>)>> {
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
}

/// Accepts until told to stop; then takes what waits in the queue and closes the socket.
pub async fn accept(worker: Rc<Worker>, listening: Listening) {
    let tls = worker.shared.acceptor.is_some() && !listening.is_plain();
    let Ok(socket) = Socket::new(listening) else {
        return;
    };
    let mut stopping = pin!(worker.stopping());
    let mut stop = false;
    let mut paused: Option<Held> = None;
    loop {
        let accepted = std::future::poll_fn(|cx| {
            stop |= !stop && stopping.as_mut().poll(cx).is_ready();
            match socket.poll_accept(cx) {
                Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
                Poll::Pending if stop => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        match accepted {
            None => return,
            Some(Ok((stream, peer))) => {
                paused = None;
                match worker.shared.count_in(peer.map(|p| p.ip().to_canonical())) {
                    Ok(counted) => {
                        let worker = worker.clone();
                        let greeting = worker.greeting();
                        tokio::task::spawn_local(async move {
                            greet(worker, greeting, stream, peer, tls).await;
                            drop(counted);
                        });
                    }
                    Err(full) => {
                        worker.local.connection_refused(full.into());
                        tokio::task::spawn_local(refuse(worker.clone(), stream, tls));
                    }
                }
            }
            Some(Err(error)) if is_exhaustion(&error) => {
                if paused.is_none() {
                    if worker.shared.may_say_exhausted() {
                        tracing::error!(%error, "no connection can be accepted: raise the limit of open files (ulimit -n, LimitNOFILE); accepting goes on by itself");
                    }
                    paused = Some(worker.local.open(Open::AcceptPaused));
                }
                tokio::time::sleep(PAUSE).await;
            }
            // The connection was gone before it was accepted.
            Some(Err(_)) => {}
        }
    }
}

/// EMFILE, ENFILE, ENOBUFS, ENOMEM: what goes away when something is closed.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12))
}
