//! The idle connections to the portal, of one thread. The one used last goes out first, so that the others grow old and
//! close.

use crate::proxy::portal::connection::Connection;
use crate::telemetry::metrics::{LocalMetrics, Open};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A thread's idle connections.
pub struct Pool {
    /// The one used last at the end.
    #[expect(
        clippy::vec_box,
        reason = "they go in and out with each call, and are large"
    )]
    idle: RefCell<Vec<Box<Connection>>>,
    /// How long a connection may be idle.
    limit: Duration,
    /// Whether a task closes what is idle for too long.
    swept: Cell<bool>,
    pub local: LocalMetrics,
}

impl Pool {
    pub fn new(limit: Duration, local: LocalMetrics) -> Rc<Self> {
        Rc::new(Pool {
            idle: RefCell::default(),
            limit,
            swept: Cell::new(false),
            local,
        })
    }

    /// Closes all of them.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    /// An idle connection that can be used.
    pub fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let mut pool = self.idle.borrow_mut();
        while let Some(mut connection) = pool.pop() {
            if now < connection.idle_until && connection.is_usable() {
                connection.counted = self.local.open(Open::PoolBusy);
                return Some(connection);
            }
        }
        None
    }
}

/// A connection in use; goes back to the pool when its answer has been read to the end.
pub struct Lease {
    pub connection: Box<Connection>,
    pub pool: Rc<Pool>,
}

impl Lease {
    /// The answer was read to its end.
    pub fn give_back(self, now: Instant) {
        let Lease {
            mut connection,
            pool,
        } = self;
        if connection.is_early() {
            // The client may read its answer only when it has sent all of its request.
            tokio::task::spawn_local(async move {
                if poll_fn(|cx| connection.poll_sent(cx)).await.is_ok() {
                    let lease = Lease { connection, pool };
                    lease.give_back(Instant::now());
                }
            });
            return;
        }
        if connection.is_reusable() {
            connection.rest(now, pool.limit);
            connection.counted = pool.local.open(Open::PoolIdle);
            pool.idle.borrow_mut().push(connection);
            if !pool.swept.replace(true) {
                tokio::task::spawn_local(sweep(pool));
            }
        }
    }
}

/// How often idle connections are looked at: one that the portal has closed is kept no longer.
const SWEEP: Duration = Duration::from_secs(1);

/// Closes connections that are idle for too long or that the portal has closed, while there are any.
async fn sweep(pool: Rc<Pool>) {
    loop {
        let next = {
            let mut idle = pool.idle.borrow_mut();
            let now = Instant::now();
            idle.retain_mut(|one| one.idle_until > now && one.is_usable());
            match idle.iter().map(|one| one.idle_until).min() {
                Some(first) => first.min(now + SWEEP),
                None => {
                    pool.swept.set(false);
                    return;
                }
            }
        };
        tokio::time::sleep_until(next.into()).await;
    }
}
