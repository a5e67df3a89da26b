//! What the threads of the data path count: each its own cells, without locks, summed when somebody asks.
//!
//! A shard's cells are written by one thread only, so an addition is a plain load and store (`Relaxed`): no locked
//! instruction, no cache line that two threads fight for. The reader may be a few nanoseconds behind, never wrong.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::labels::*;
use crate::translate::Reason;

/// A number that one thread changes and any thread reads. As a gauge it wraps around zero: the sum over the shards is right.
#[derive(Debug, Default)]
pub(super) struct Cell(AtomicU64);

impl Cell {
    fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A cell for each value of a label.
#[derive(Debug)]
pub(super) struct Cells<L>(Box<[Cell]>, PhantomData<fn(L)>);

impl<L: Label> Default for Cells<L> {
    fn default() -> Self {
        Self(
            L::ALL.iter().map(|_| Cell::default()).collect(),
            PhantomData,
        )
    }
}

impl<L: Label> Cells<L> {
    fn at(&self, label: L) -> &Cell {
        &self.0[label.index()]
    }

    pub(super) fn get(&self, label: L) -> u64 {
        self.at(label).get()
    }
}

/// Upper bounds of a whole request and of the portal's part: a portal call may take 60 s (PROTOCOL §6). In nanoseconds.
pub(super) const REQUEST_BOUNDS: &[u64] = &[
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// Upper bounds of the proxy's own share, in nanoseconds.
pub(super) const OVERHEAD_BOUNDS: &[u64] = &[
    20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
    20_000_000,
];

/// A histogram with fixed upper bounds; its last bucket is that of everything above them.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64],
    buckets: Box<[Cell]>,
    nanoseconds: Cell,
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| Cell::default()).collect(),
            nanoseconds: Cell::default(),
        }
    }

    fn observe(&self, value: Duration) {
        let nanoseconds = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self
            .bounds
            .iter()
            .position(|&bound| nanoseconds <= bound)
            .unwrap_or(self.bounds.len());
        self.buckets[bucket].add(1);
        self.nanoseconds.add(nanoseconds);
    }
}

/// Several shards' histogram, summed.
pub(super) struct HistogramSum {
    /// Upper bound in seconds, and how many fell between it and the one below it.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) seconds: f64,
    pub(super) count: u64,
}

impl HistogramSum {
    pub(super) fn of<'a>(histograms: impl Iterator<Item = &'a Histogram>, bounds: &[u64]) -> Self {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let upper = bounds
            .iter()
            .map(|&bound| seconds(bound))
            .chain([f64::INFINITY]);
        let mut sum = Self {
            buckets: upper.map(|bound| (bound, 0)).collect(),
            seconds: 0.0,
            count: 0,
        };
        for histogram in histograms {
            for (bucket, cell) in sum.buckets.iter_mut().zip(&histogram.buckets) {
                let seen = cell.get();
                bucket.1 += seen;
                sum.count += seen;
            }
            sum.seconds += seconds(histogram.nanoseconds.get());
        }
        sum
    }
}

/// One thread's cells. Aligned so that no two shards share a cache line (or a pair that is fetched together).
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    /// By outcome, kind and fault.
    pub(super) requests: Box<[Cell]>,
    pub(super) responses: Cells<StatusClass>,
    pub(super) total: Histogram,
    pub(super) overhead: Histogram,
    pub(super) upstream: Histogram,
    pub(super) bytes_in: Cell,
    pub(super) bytes_out: Cell,
    pub(super) in_flight: Cell,
    pub(super) connections_open: Cell,
    pub(super) connections: Cell,
    pub(super) connections_refused: Cells<ConnectionRefused>,
    pub(super) tunnels_open: Cell,
    pub(super) tunnels: Cell,
    pub(super) pool: Cells<PoolState>,
    pub(super) upstream_connections: Cell,
    pub(super) connect_errors: Cells<ConnectError>,
    pub(super) portal_errors: Cells<PortalError>,
    pub(super) own_errors: Cells<ErrorCode>,
    pub(super) refusals: Cells<Reason>,
    pub(super) retries: Cell,
    pub(super) head_errors: Cells<HeadError>,
    pub(super) usage: Cells<Usage>,
    pub(super) timeouts: Cells<Phase>,
    pub(super) handshakes: Cells<Handshake>,
    pub(super) accept_paused: Cell,
    pub(super) accept_pauses: Cell,
    pub(super) rewrite_bytes: Cell,
    pub(super) rewrite_waiting: Cell,
    pub(super) pace_waiting: Cell,
    pub(super) pace_granted: Cell,
    pub(super) pace_wait: Histogram,
    pub(super) cut: Cell,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            requests: (0..REQUEST_SERIES).map(|_| Cell::default()).collect(),
            responses: Cells::default(),
            total: Histogram::new(REQUEST_BOUNDS),
            overhead: Histogram::new(OVERHEAD_BOUNDS),
            upstream: Histogram::new(REQUEST_BOUNDS),
            bytes_in: Cell::default(),
            bytes_out: Cell::default(),
            in_flight: Cell::default(),
            connections_open: Cell::default(),
            connections: Cell::default(),
            connections_refused: Cells::default(),
            tunnels_open: Cell::default(),
            tunnels: Cell::default(),
            pool: Cells::default(),
            upstream_connections: Cell::default(),
            connect_errors: Cells::default(),
            portal_errors: Cells::default(),
            own_errors: Cells::default(),
            refusals: Cells::default(),
            retries: Cell::default(),
            head_errors: Cells::default(),
            usage: Cells::default(),
            timeouts: Cells::default(),
            handshakes: Cells::default(),
            accept_paused: Cell::default(),
            accept_pauses: Cell::default(),
            rewrite_bytes: Cell::default(),
            rewrite_waiting: Cell::default(),
            pace_waiting: Cell::default(),
            pace_granted: Cell::default(),
            pace_wait: Histogram::new(REQUEST_BOUNDS),
            cut: Cell::default(),
        }
    }
}

impl Shard {
    /// Requests of one kind, whatever became of them.
    pub(super) fn requests_of(&self, kind: Kind) -> u64 {
        let series = Outcome::ALL.iter().flat_map(|&outcome| {
            Fault::ALL
                .iter()
                .map(move |&fault| request_series(outcome, kind, fault))
        });
        series.map(|at| self.requests[at].get()).sum()
    }
}

const REQUEST_SERIES: usize = Outcome::ALL.len() * Kind::ALL.len() * Fault::ALL.len();

/// Where the counter of a request of these labels stands.
pub(super) fn request_series(outcome: Outcome, kind: Kind, fault: Fault) -> usize {
    (outcome.index() * Kind::ALL.len() + kind.index()) * Fault::ALL.len() + fault.index()
}

/// A request that has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct RequestSeen {
    pub outcome: Outcome,
    pub kind: Kind,
    pub fault: Fault,
    /// What the client got; 0 for a client that got nothing.
    pub status: u16,
    /// From the first byte of the head to the last byte of the answer.
    pub total: Duration,
    /// The part of it that was spent neither waiting for the client nor for the portal.
    pub own: Duration,
    /// From the request's last byte sent to the portal to the answer's head, where the portal was asked and answered.
    pub upstream: Option<Duration>,
    /// Bytes of the request's head and body, as they came.
    pub bytes_in: u64,
    /// Bytes of the answer's head and body, as they went.
    pub bytes_out: u64,
}

/// What is open for a while; counted by [`LocalMetrics::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// A request from its head to the end of its answer.
    Request,
    /// A client's connection.
    Connection,
    /// An upgraded connection.
    Tunnel,
    /// A connection to the portal that waits for its next request.
    PoolIdle,
    /// A connection to the portal with a request on it.
    PoolBusy,
    /// A listener that cannot accept for lack of descriptors.
    AcceptPaused,
    /// A request that waits for room to be rewritten.
    RewriteWaiting,
    /// A request that waits for its turn before the portal's limit.
    PaceWaiting,
}

/// Something open: counted until it is dropped.
#[must_use = "what is open is counted until this is dropped"]
#[derive(Debug)]
pub struct Held {
    metrics: LocalMetrics,
    what: Open,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.metrics.gauge(self.what).add(u64::MAX);
    }
}

/// The cells of the current thread. Cheap to clone; never leaves its thread.
#[derive(Clone, Debug)]
pub struct LocalMetrics(Rc<Owned>);

/// One thread's hold on its cells; [`super::Metrics`] has the other.
#[derive(Debug)]
struct Owned(Arc<Shard>);

impl LocalMetrics {
    pub(super) fn new(shard: Arc<Shard>) -> Self {
        Self(Rc::new(Owned(shard)))
    }

    fn cells(&self) -> &Shard {
        &self.0.0
    }

    /// A request has come to its end.
    pub fn request(&self, seen: &RequestSeen) {
        let shard = self.cells();
        shard.requests[request_series(seen.outcome, seen.kind, seen.fault)].add(1);
        if seen.status != 0 {
            shard.responses.at(StatusClass::of(seen.status)).add(1);
        }
        shard.total.observe(seen.total);
        shard.overhead.observe(seen.own);
        if let Some(upstream) = seen.upstream {
            shard.upstream.observe(upstream);
        }
        shard.bytes_in.add(seen.bytes_in);
        shard.bytes_out.add(seen.bytes_out);
    }

    /// Something opens; it is counted as open until the result is dropped.
    pub fn open(&self, what: Open) -> Held {
        self.gauge(what).add(1);
        match what {
            Open::Connection => self.cells().connections.add(1),
            Open::Tunnel => self.cells().tunnels.add(1),
            Open::AcceptPaused => self.cells().accept_pauses.add(1),
            Open::Request
            | Open::PoolIdle
            | Open::PoolBusy
            | Open::RewriteWaiting
            | Open::PaceWaiting => {}
        }
        Held {
            metrics: self.clone(),
            what,
        }
    }

    fn gauge(&self, what: Open) -> &Cell {
        match what {
            Open::Request => &self.cells().in_flight,
            Open::Connection => &self.cells().connections_open,
            Open::Tunnel => &self.cells().tunnels_open,
            Open::PoolIdle => self.cells().pool.at(PoolState::Idle),
            Open::PoolBusy => self.cells().pool.at(PoolState::Busy),
            Open::AcceptPaused => &self.cells().accept_paused,
            Open::RewriteWaiting => &self.cells().rewrite_waiting,
            Open::PaceWaiting => &self.cells().pace_waiting,
        }
    }

    /// Room for bodies to be rewritten was reserved (more than 0) or given back (less), in bytes.
    pub fn rewrite_memory(&self, change: i64) {
        self.cells().rewrite_bytes.add(change as u64);
    }

    /// A call was let go before the portal's limit.
    pub fn pace_granted(&self) {
        self.cells().pace_granted.add(1);
    }

    /// A call has waited so long for that, or in vain.
    pub fn pace_waited(&self, time: Duration) {
        self.cells().pace_wait.observe(time);
    }

    /// Whether a call's answer told the portal's time that its method has used.
    pub fn usage(&self, told: Usage) {
        self.cells().usage.at(told).add(1);
    }

    /// Calls of this thread that wait for that now.
    pub fn pace_waiting(&self) -> u64 {
        self.cells().pace_waiting.get()
    }

    /// A connection was closed unserved.
    pub fn connection_refused(&self, reason: ConnectionRefused) {
        self.cells().connections_refused.at(reason).add(1);
    }

    /// A connection to the portal was made.
    pub fn upstream_connected(&self) {
        self.cells().upstream_connections.add(1);
    }

    /// A connection to the portal could not be made.
    pub fn connect_error(&self, cause: ConnectError) {
        self.cells().connect_errors.at(cause).add(1);
    }

    /// The portal answered with this error code.
    pub fn portal_error(&self, code: &str) {
        self.cells()
            .portal_errors
            .at(named(code, PortalError::Other))
            .add(1);
    }

    /// The proxy answered with this error code of its own.
    pub fn own_error(&self, code: ErrorCode) {
        self.cells().own_errors.at(code).add(1);
    }

    /// A deprecated call was refused.
    pub fn refused(&self, reason: Reason) {
        self.cells().refusals.at(reason).add(1);
    }

    /// A request that surely was not executed was sent once more.
    pub fn retry(&self) {
        self.cells().retries.add(1);
    }

    /// A malformed head was refused with this status.
    pub fn head_error(&self, status: u16) {
        self.cells().head_errors.at(HeadError::of(status)).add(1);
    }

    /// A time limit ended something.
    pub fn timeout(&self, phase: Phase) {
        self.cells().timeouts.at(phase).add(1);
    }

    /// A client's TLS handshake has ended.
    pub fn handshake(&self, result: Handshake) {
        self.cells().handshakes.at(result).add(1);
    }

    /// A request whose head was complete was cut by the end of the drain.
    pub fn cut(&self) {
        self.cells().cut.add(1);
    }
}
