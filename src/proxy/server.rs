//! Starting and ending the data path: sockets, threads, drain.

use crate::proxy::call::context::Context;
use crate::proxy::client::listener;
use crate::proxy::client::registry::Registry;
#[cfg(feature = "rate-store")]
use crate::proxy::config::Portal;
use crate::proxy::net::listening::Listening;
#[cfg(feature = "rate-store")]
use crate::proxy::pacing::store;
use crate::proxy::portal::Upstream;
use crate::proxy::shared::Shared;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

#[derive(Clone, Copy, Debug)]
enum Command {
    LookAtPacing,
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
        start_store(&shared)?;
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

    /// Has the threads look whether there is a limit to pace calls by, after a reload.
    pub fn look_at_pacing(&self) {
        self.tell(Command::LookAtPacing);
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

/// Starts the thread that asks the store which replicas share, where there is one.
#[cfg(feature = "rate-store")]
fn start_store(shared: &Shared) -> io::Result<()> {
    let config = &shared.config;
    let Some(store) = config.rate_store.clone() else {
        return Ok(());
    };
    let portal = match &config.portal {
        Portal::Tcp { host, port, .. } => format!("{host}:{port}"),
        Portal::Unix(path) => config
            .upstream_host
            .clone()
            .unwrap_or_else(|| path.display().to_string()),
    };
    let sources: Vec<String> = config
        .upstream_sources
        .iter()
        .map(ToString::to_string)
        .collect();
    store::start(shared.pacing.clone(), store, &portal, &sources)
}

/// Built without it: `cli` refuses the option.
#[cfg(not(feature = "rate-store"))]
fn start_store(_: &Shared) -> io::Result<()> {
    Ok(())
}

/// One thread, from start to end; says what was cut off.
async fn thread(
    shared: Arc<Shared>,
    sockets: Vec<Listening>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    first: bool,
) -> Cut {
    let local = shared.telemetry.metrics.local();
    let upstream = Upstream::new(
        shared.upstream_tls.clone(),
        shared.own_ends.clone(),
        (shared.config.clone(), shared.telemetry.clone()),
        local.clone(),
    );
    let context = Context::new(shared.calls.clone(), upstream, local);
    let registry = Registry::new(context.clone(), shared.admission.clone());
    let mut accepting = Vec::new();
    for socket in sockets {
        accepting.push(tokio::task::spawn_local(listener::accept(
            registry.clone(),
            socket,
        )));
    }
    if first {
        let upstream = context.upstream.clone();
        tokio::task::spawn_local(async move {
            let _ = upstream.probe().await;
        });
    }
    let mut cut = Cut::default();
    let mut draining = false;
    loop {
        let gone = registry.gone.notified();
        if draining && registry.is_done() {
            return cut;
        }
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Drain) if !draining => {
                    draining = true;
                    registry.stop_accepting();
                    for accepting in accepting.drain(..) {
                        let _ = accepting.await;
                    }
                    registry.drain();
                }
                Some(Command::Drain) => {}
                Some(Command::LookAtPacing) => context.look_at_pacing(),
                Some(Command::Cut) | None => {
                    registry.answer_who_waits().await;
                    cut.requests += registry.in_flight();
                    cut.tunnels += registry.tunnels();
                    registry.cut();
                    registry.stop_accepting();
                    // Connections end as soon as their tasks have seen it.
                    let until = Instant::now() + Duration::from_secs(1);
                    while !registry.is_done() && Instant::now() < until {
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
