//! Starting and ending the data path: sockets, threads, drain.

use crate::proxy::client::listener;
use crate::proxy::config::{Config, Listen, Portal};
use crate::proxy::portal::Upstream;
use crate::proxy::worker::{Shared, Worker};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub enum Listening {
    Tcp {
        socket: TcpListener,
        plain: bool,
    },
    Unix {
        socket: UnixListener,
        path: Option<PathBuf>,
    },
}

impl Listening {
    /// Opens the socket. A Unix socket's file is replaced when nobody listens on it.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` where somebody listens there.
    pub fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp { address, plain } => {
                let socket = socket2::Socket::new(
                    socket2::Domain::for_address(*address),
                    socket2::Type::STREAM,
                    None,
                )?;
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                Ok(Listening::Tcp {
                    socket: socket.into(),
                    plain: *plain,
                })
            }
            Listen::Unix(path) => {
                if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
                    && std::os::unix::net::UnixStream::connect(path)
                        .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
                {
                    std::fs::remove_file(path)?;
                }
                let socket = UnixListener::bind(path)?;
                socket.set_nonblocking(true)?;
                Ok(Listening::Unix {
                    socket,
                    path: Some(path.clone()),
                })
            }
        }
    }

    /// The address, for the log.
    pub fn address(&self) -> String {
        match self {
            Listening::Tcp { socket, .. } => socket
                .local_addr()
                .map_or_else(|_| "?".into(), |a| a.to_string()),
            Listening::Unix { socket, .. } => socket
                .local_addr()
                .ok()
                .and_then(|a| a.as_pathname().map(|p| format!("unix:{}", p.display())))
                .unwrap_or_else(|| "unix:?".into()),
        }
    }

    /// Whether it speaks no TLS whatever the certificates.
    pub fn is_plain(&self) -> bool {
        match self {
            Listening::Tcp { plain, .. } => *plain,
            Listening::Unix { .. } => true,
        }
    }

    /// The TCP address, if it has one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Listening::Tcp { socket, .. } => socket.local_addr().ok(),
            Listening::Unix { .. } => None,
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Listening::Tcp { socket, plain } => Listening::Tcp {
                socket: socket.try_clone()?,
                plain: *plain,
            },
            Listening::Unix { socket, .. } => Listening::Unix {
                socket: socket.try_clone()?,
                path: None,
            },
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Command {
    Drain,
    Cut,
}

/// What the end of a drain cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Requests whose head was complete and whose answer was not.
    pub requests: usize,
    pub tunnels: usize,
}

/// A running data path.
pub struct Server {
    threads: Vec<JoinHandle<Cut>>,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    /// Dropped by each thread when it ends.
    ended: mpsc::Receiver<()>,
    unix_paths: Vec<PathBuf>,
}

impl Server {
    /// Starts `config.threads` threads that serve on these sockets.
    ///
    /// # Errors
    /// A socket that cannot be shared, a thread or runtime that cannot be started, TLS files that cannot be used.
    pub fn start(sockets: Vec<Listening>, shared: Arc<Shared>) -> io::Result<Server> {
        let (alive, ended) = mpsc::channel(1);
        let mut server = Server {
            threads: Vec::new(),
            commands: Vec::new(),
            ended,
            unix_paths: Vec::new(),
        };
        for socket in &sockets {
            if let Listening::Unix {
                path: Some(path), ..
            } = socket
            {
                server.unix_paths.push(path.clone());
            }
        }
        for number in 0..shared.config.threads.max(1) {
            let sockets = sockets
                .iter()
                .map(Listening::try_clone)
                .collect::<io::Result<Vec<_>>>()?;
            let (command, commands) = mpsc::unbounded_channel();
            let (shared, alive) = (shared.clone(), alive.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let thread = std::thread::Builder::new()
                .name(format!("proxy-{number}"))
                .spawn(move || {
                    let cut = tokio::task::LocalSet::new()
                        .block_on(&runtime, thread(shared, sockets, commands, number == 0));
                    drop(alive);
                    cut
                })?;
            server.threads.push(thread);
            server.commands.push(command);
        }
        Ok(server)
    }

    fn tell(&self, command: Command) {
        for thread in &self.commands {
            let _ = thread.send(command);
        }
    }

    /// Closes the listeners, after taking what waits in their queues, and ends each connection after what it has in flight.
    pub fn drain(&self) {
        self.tell(Command::Drain);
    }

    /// Ends what is left.
    pub fn cut(&self) {
        self.tell(Command::Cut);
    }

    /// Resolves when all threads have ended.
    pub async fn ended(&mut self) {
        while self.ended.recv().await.is_some() {}
    }

    /// Waits for the threads; says what was cut off.
    pub fn join(self) -> Cut {
        let mut cut = Cut::default();
        for thread in self.threads {
            // A thread that panicked had at least one request that was not answered.
            let its = thread.join().unwrap_or(Cut {
                requests: 1,
                tunnels: 0,
            });
            cut.requests += its.requests;
            cut.tunnels += its.tunnels;
        }
        for path in self.unix_paths {
            let _ = std::fs::remove_file(path);
        }
        cut
    }
}

/// One thread, from start to end; says what was cut off.
async fn thread(
    shared: Arc<Shared>,
    sockets: Vec<Listening>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    first: bool,
) -> Cut {
    let local = shared.telemetry.metrics.local();
    let upstream = Upstream::new(shared.clone(), local.clone());
    let worker = Worker::new(shared, upstream, local);
    let mut accepting = Vec::new();
    for socket in sockets {
        accepting.push(tokio::task::spawn_local(listener::accept(
            worker.clone(),
            socket,
        )));
    }
    if first {
        let upstream = worker.upstream.clone();
        tokio::task::spawn_local(async move {
            let _ = upstream.probe().await;
        });
    }
    let mut cut = Cut::default();
    let mut draining = false;
    loop {
        let gone = worker.gone.notified();
        if draining && worker.is_done() {
            return cut;
        }
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Drain) if !draining => {
                    draining = true;
                    worker.stop_accepting();
                    for accepting in accepting.drain(..) {
                        let _ = accepting.await;
                    }
                    worker.drain();
                }
                Some(Command::Drain) => {}
                Some(Command::Cut) | None => {
                    cut.requests += worker.in_flight();
                    cut.tunnels += worker.tunnels();
                    worker.cut();
                    worker.stop_accepting();
                    // Connections end as soon as their tasks have seen it.
                    let until = Instant::now() + Duration::from_secs(1);
                    while !worker.is_done() && Instant::now() < until {
                        tokio::task::yield_now().await;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    return cut;
                }
            },
            () = gone => {}
        }
    }
}

/// The `Host` that goes to the portal; `None` keeps the client's.
pub fn upstream_host(config: &Config) -> Option<Vec<u8>> {
    if config.preserve_host {
        return None;
    }
    if let Some(host) = &config.upstream_host {
        return Some(host.clone().into_bytes());
    }
    match &config.portal {
        Portal::Unix(_) => None,
        Portal::Tcp { tls, host, port } => {
            let default = if *tls { 443 } else { 80 };
            Some(
                if *port == default {
                    host.clone()
                } else {
                    format!("{host}:{port}")
                }
                .into_bytes(),
            )
        }
    }
}
