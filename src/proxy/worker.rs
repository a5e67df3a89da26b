//! What one thread holds: the portal's side, the connections that it serves, and its part of the telemetry.

use super::config::Config;
use super::connection::Handle;
use super::upstream::Upstream;
use super::wire::head::Limits;
use hyper::server::conn::http1;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};

/// What all threads share.
pub struct Shared {
    pub config: Arc<Config>,
    pub catalogue: Arc<crate::catalogue::Catalogue>,
    /// Room for bodies that are being translated, in KiB.
    pub rewrite_room: Arc<Semaphore>,
}

/// One thread's state.
pub struct Worker {
    pub config: Arc<Config>,
    pub shared: Arc<Shared>,
    pub upstream: Rc<Upstream>,
    pub server: http1::Builder,
    pub limits: Limits,
    /// The `Host` for the portal; `None` keeps the client's.
    pub host: Option<Vec<u8>>,
    stopping: Notify,
    connections: RefCell<HashMap<u64, Handle>>,
    next: Cell<u64>,
    draining: Cell<bool>,
    tunnels: Cell<usize>,
    cut: Notify,
    /// Told when a connection has gone.
    pub gone: Notify,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, upstream: Rc<Upstream>) -> Rc<Self> {
        let config = shared.config.clone();
        let mut server = http1::Builder::new();
        server.auto_date_header(false).max_headers(16);
        Rc::new(Worker {
            limits: Limits {
                head: config.max_head,
                target: config.max_target,
                fields: config.max_fields,
            },
            host: super::run::upstream_host(&config),
            stopping: Notify::new(),
            config,
            shared,
            upstream,
            server,
            connections: RefCell::default(),
            next: Cell::new(0),
            draining: Cell::new(false),
            tunnels: Cell::new(0),
            cut: Notify::new(),
            gone: Notify::new(),
        })
    }

    /// Counts a connection in.
    pub fn register(&self, handle: Handle) -> u64 {
        let id = self.next.get();
        self.next.set(id + 1);
        if self.draining.get() {
            handle.drain();
        }
        self.connections.borrow_mut().insert(id, handle);
        id
    }

    /// Counts a connection out.
    pub fn forget(&self, id: u64) {
        self.connections.borrow_mut().remove(&id);
        self.gone.notify_waiters();
    }

    /// Connections of clients that are open.
    pub fn open(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Has the accept loops take what waits in their queues and end.
    pub fn stop_accepting(&self) {
        self.stopping.notify_waiters();
    }

    /// Resolves when accepting is to stop.
    pub async fn stopping(&self) {
        self.stopping.notified().await;
    }

    /// Has every connection end after what it has in flight.
    pub fn drain(&self) {
        self.draining.set(true);
        for handle in self.connections.borrow().values() {
            handle.drain();
        }
        self.upstream.close_idle();
    }

    /// Requests that were accepted and are not answered.
    pub fn in_flight(&self) -> usize {
        self.connections
            .borrow()
            .values()
            .map(|handle| handle.in_flight() as usize)
            .sum()
    }

    /// Ends everything now.
    pub fn cut(&self) {
        for handle in self.connections.borrow().values() {
            handle.cut();
        }
        self.cut.notify_waiters();
    }

    /// Resolves when tunnels are to be cut.
    pub async fn cut_tunnels(&self) {
        self.cut.notified().await;
    }

    /// Counts a tunnel for as long as what it gives is held.
    pub fn tunnel_opened(self: &Rc<Self>) -> impl Drop + use<> {
        self.tunnels.set(self.tunnels.get() + 1);
        struct Open(Rc<Worker>);
        impl Drop for Open {
            fn drop(&mut self) {
                self.0.tunnels.set(self.0.tunnels.get() - 1);
            }
        }
        Open(self.clone())
    }
}
