//! Accepting connections.

use super::connection::{self, Control};
use super::handle::Client;
use super::run::Listening;
use super::stream::Stream;
use super::wire::{Link, Side};
use super::worker::Worker;
use std::cell::Cell;
use std::io;
use std::net::IpAddr;
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
    fn poll_accept(
        &self,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<io::Result<(Stream, Option<IpAddr>)>> {
        match self {
            Socket::Tcp(socket) => socket.poll_accept(cx).map_ok(|(stream, peer)| {
                let _ = stream.set_nodelay(true);
                (Stream::Tcp(stream), Some(peer.ip().to_canonical()))
            }),
            Socket::Unix(socket) => socket
                .poll_accept(cx)
                .map_ok(|(stream, _)| (Stream::Unix(stream), None)),
        }
    }
}

/// Accepts until told to stop; then takes what waits in the queue and closes the socket.
pub async fn accept(worker: Rc<Worker>, listening: Listening) {
    let socket = match listening {
        Listening::Tcp { socket, .. } => TcpListener::from_std(socket).map(Socket::Tcp),
        Listening::Unix { socket, .. } => UnixListener::from_std(socket).map(Socket::Unix),
    };
    let Ok(socket) = socket else { return };
    let mut stopping = pin!(worker.stopping());
    let mut stop = false;
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
            Some(Ok((stream, address))) => {
                let client = Client {
                    link: Link::new(Side::Server, worker.limits),
                    control: Rc::new(Control::default()),
                    worker_id: 0,
                    address,
                    trusted: false,
                    scheme: "http",
                    tunnel: Cell::new(None),
                };
                tokio::task::spawn_local(connection::serve(worker.clone(), stream, client));
            }
            Some(Err(_)) => tokio::time::sleep(PAUSE).await,
        }
    }
}
