//! The connections that a thread serves: accepted, refused, drained, cut.

use crate::proxy::call::context::Context;
use crate::proxy::client::admission::Admission;
use crate::proxy::http::head::Limits;
use crate::proxy::net::background::{self, InWork};
use crate::proxy::net::footprint::Footprint;
use crate::proxy::net::link::Handle;
use crate::telemetry::metrics::Phase;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How many connections a thread refuses at once with an answer; more are closed without a word.
const REFUSED_AT_ONCE: usize = 64;

/// How long answers to who waited for the portal's limit may take at the end of a drain.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// A connection that can be told to end, and that a drain waits for.
pub struct Registered {
    registry: Rc<Registry>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.connections.borrow_mut().remove(&self.id);
        self.registry.gone.notify_waiters();
    }
}

/// One thread's connections.
pub struct Registry {
    pub context: Rc<Context>,
    pub admission: Arc<Admission>,
    pub limits: Limits,
    stopping: Notify,
    stopped: Cell<bool>,
    connections: RefCell<HashMap<u64, Handle>>,
    next: Cell<u64>,
    draining: Cell<bool>,
    /// Counts who holds memory.
    pub footprint: Rc<Footprint>,
    /// Connections that are accepted and not served yet.
    greeting: Rc<Cell<usize>>,
    refusing: Rc<Cell<usize>>,
    tunnels: Rc<Cell<usize>>,
    /// Notified when a connection has gone, or work without one has ended.
    pub gone: Rc<Notify>,
}

impl Registry {
    pub fn new(context: Rc<Context>, admission: Arc<Admission>) -> Rc<Self> {
        let config = &context.config;
        Rc::new(Registry {
            limits: Limits {
                head: config.max_head,
                target: config.max_target,
                fields: config.max_fields,
            },
            stopping: Notify::new(),
            stopped: Cell::new(false),
            context,
            admission,
            connections: RefCell::default(),
            next: Cell::new(0),
            draining: Cell::new(false),
            footprint: Rc::default(),
            greeting: Rc::default(),
            refusing: Rc::default(),
            tunnels: Rc::default(),
            gone: background::gone(),
        })
    }

    /// Counts a connection in, for as long as the result is held.
    pub fn register(self: &Rc<Self>, handle: Handle) -> Registered {
        let id = self.next.get();
        self.next.set(id + 1);
        if self.draining.get() {
            handle.drain();
        }
        self.connections.borrow_mut().insert(id, handle);
        Registered {
            registry: self.clone(),
            id,
        }
    }

    /// Counts a connection that is accepted, until it is served.
    pub fn greeting(&self) -> InWork {
        InWork::new(&self.greeting)
    }

    /// The turn to tell a connection that it is one too many; none where too many are being told.
    pub fn refusing(&self) -> Option<InWork> {
        (self.refusing.get() < REFUSED_AT_ONCE).then(|| InWork::new(&self.refusing))
    }

    /// Whether nothing is left to do: no connection, and no work without one.
    pub fn is_done(&self) -> bool {
        self.connections.borrow().is_empty()
            && self.greeting.get() == 0
            && background::unfinished() == 0
    }

    /// Has the accept loops take what waits in their queues and end.
    pub fn stop_accepting(&self) {
        self.stopped.set(true);
        self.stopping.notify_waiters();
    }

    /// Whether accepting is to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopped.get()
    }

    /// Resolves when accepting is to stop.
    pub async fn stopping(&self) {
        if !self.stopped.get() {
            self.stopping.notified().await;
        }
    }

    /// Has every connection end after what it has in flight.
    pub fn drain(&self) {
        self.draining.set(true);
        for handle in self.connections.borrow().values() {
            handle.drain();
        }
        self.context.upstream.close_idle();
    }

    /// Requests that were accepted and are not answered.
    pub fn in_flight(&self) -> usize {
        self.connections
            .borrow()
            .values()
            .map(|handle| handle.in_flight() as usize)
            .sum()
    }

    /// Counts a tunnel among what a cut ends.
    pub fn tunnel(&self) -> InWork {
        InWork::new(&self.tunnels)
    }

    /// Tunnels that are open.
    pub fn tunnels(&self) -> usize {
        self.tunnels.get()
    }

    /// Has the calls that wait for the portal's limit answered: they were not executed.
    pub async fn answer_who_waits(&self) {
        if self.context.local.pace_waiting() == 0 {
            return;
        }
        self.context.calls.pacing.close();
        let until = Instant::now() + LAST_ANSWERS;
        let before = self.in_flight();
        let waiting = usize::try_from(self.context.local.pace_waiting()).unwrap_or(0);
        while self.in_flight() > before.saturating_sub(waiting) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends everything now.
    pub fn cut(&self) {
        for handle in self.connections.borrow().values() {
            for _ in 0..handle.in_flight() {
                self.context.local.cut();
                self.context.local.timeout(Phase::Drain);
            }
            handle.cut();
        }
        self.context.cut.cut();
    }
}
