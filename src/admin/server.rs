//! Accepting and limiting visitors of the admin address. Whoever is slow, or many, gives way to whoever comes next: a probe
//! is answered even while somebody holds all the connections that there may be.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::shared::Admin;
use super::{events, routes};

/// The most connections at a time; with one more, the oldest is closed.
const MOST_CONNECTIONS: usize = 128;

/// For a request's whole head, and for a connection without a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may last. Live views come back by themselves.
const MOST_AGE: Duration = Duration::from_secs(60 * 60);

/// What was sent and not acknowledged for so long ends the connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A request's head.
const MOST_HEAD: usize = 32 << 10;

/// After a failed accept (no descriptors) there is this pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The running admin address.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// The address that is served, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the address and all its connections, and waits for its thread.
    pub fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn spawn(
    listener: TcpListener,
    address: SocketAddr,
    admin: Arc<Admin>,
) -> io::Result<Handle> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = watch::channel(false);
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(serve(listener, admin, stopped));
            // Whoever is connected is not waited for: nothing here is worth a client's wait at the end.
            runtime.shutdown_background();
        })?;
    Ok(Handle {
        address,
        stop,
        thread: Some(thread),
    })
}

async fn serve(
    listener: tokio::net::TcpListener,
    admin: Arc<Admin>,
    mut stopped: watch::Receiver<bool>,
) {
    tokio::spawn(events::keep_fresh(Arc::clone(&admin)));
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The handle was dropped without `stop`: the address lives as long as the process.
            Ok(()) = stopped.changed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "the admin address cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MOST_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(connection(stream, Arc::clone(&admin)));
        open.push_back(connection.abort_handle());
    }
}

async fn connection(stream: TcpStream, admin: Arc<Admin>) {
    let socket = socket2::SockRef::from(&stream);
    let _ = socket.set_tcp_user_timeout(Some(SEND_TIMEOUT));
    let _ = socket.set_tcp_nodelay(true);
    let visitor = admin.large.visitor();
    let service = service_fn(|request| async {
        let answer = routes::answer(&admin, &visitor, request).await;
        Ok::<_, std::convert::Infallible>(answer)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong on a connection of the admin address is its visitor's affair.
    let served = tokio::time::timeout(MOST_AGE, served);
    tokio::select! {
        _ = served => {}
        () = visitor.has_to_go() => {}
    }
}
