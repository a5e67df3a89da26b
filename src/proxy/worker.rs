//! What one thread holds: the portal's side, the connections that it serves, and its part of the telemetry.

use crate::catalogue::{Mode, Rule};
use crate::ladder::{Because, CallerView, Decision, Policy};
use crate::protocol::address::Address;
use crate::protocol::credentials;
use crate::protocol::target::{Access, Place};
use crate::proxy::call::applications::Applications;
use crate::proxy::call::compare::Turns;
use crate::proxy::call::handle::{Client, LastCaller};
use crate::proxy::call::reply;
use crate::proxy::call::room::Room;
use crate::proxy::call::span::Span;
use crate::proxy::config::Config;
use crate::proxy::http::head::{Limits, Name, RequestHead};
use crate::proxy::http::origin;
use crate::proxy::http::peer;
use crate::proxy::net::background;
use crate::proxy::net::background::InWork;
use crate::proxy::net::footprint::Footprint;
use crate::proxy::net::link::Handle;
use crate::proxy::net::own_ends::OwnEnds;
use crate::proxy::net::tls::Certificates;
use crate::proxy::pacing::Pacing;
use crate::proxy::portal::Upstream;
use crate::telemetry::Telemetry;
use crate::telemetry::caller::Caller;
use crate::telemetry::event::{DeprecationEvent, UnreadCall};
use crate::telemetry::log::LogUnavailable;
use crate::telemetry::metrics::{ConnectionRefused, LocalMetrics, Open, Phase};
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What all threads share.
pub struct Shared {
    pub config: Arc<Config>,
    /// The rules and their modes; swapped at a reload.
    pub telemetry: Arc<Telemetry>,
    /// In which mode each rule is, for whom and when; swapped by a reload.
    pub policy: ArcSwap<Policy>,
    /// What answers have told of applications.
    pub applications: Applications,
    /// Whose turn it is to compare.
    pub comparing: Turns,
    /// The portal's request limit.
    pub pacing: Arc<Pacing>,
    /// Room for bodies that are being translated.
    pub rewrite_room: Arc<Room>,
    pub certificates: Option<Arc<Certificates>>,
    pub acceptor: Option<tokio_rustls::TlsAcceptor>,
    pub upstream_tls: Option<Arc<rustls::ClientConfig>>,
    /// Connections of clients, in all and by address.
    open: AtomicUsize,
    open_by_client: Mutex<HashMap<IpAddr, usize>>,
    /// When it was last said that no connection can be accepted.
    exhausted: Mutex<Option<Instant>>,
    /// Our ends of the connections to the portal: who connects to us from one of them is ourselves.
    pub own_ends: Arc<OwnEnds>,
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Total,
    PerClient,
}

impl From<Full> for ConnectionRefused {
    fn from(full: Full) -> Self {
        match full {
            Full::Total => ConnectionRefused::Total,
            Full::PerClient => ConnectionRefused::PerClient,
        }
    }
}

/// A connection that is counted for as long as this is held.
pub struct Counted {
    shared: Arc<Shared>,
    client: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client {
            let mut by_client = self
                .shared
                .open_by_client
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = by_client.get_mut(&client) {
                *open -= 1;
                if *open == 0 {
                    by_client.remove(&client);
                }
            }
        }
    }
}

impl Shared {
    /// # Errors
    /// TLS files that cannot be used: which and why.
    pub fn new(
        config: Config,
        telemetry: Arc<Telemetry>,
        policy: Policy,
    ) -> Result<Arc<Self>, String> {
        let certificates = if config.certificates.is_empty() {
            None
        } else {
            Some(Certificates::load(&config.certificates)?)
        };
        if let Some(certificates) = &certificates {
            telemetry.metrics.set_certificates(certificates.ends());
        }
        let acceptor = match &certificates {
            Some(certificates) => {
                Some(crate::proxy::net::tls::server(certificates.clone(), config.http2)?.into())
            }
            None => None,
        };
        let replicas = config.rate_store.as_ref().map(|store| store.replicas);
        let pacing = Pacing::new(config.pace, config.upstream_sources.len(), replicas);
        telemetry.watch_budget(pacing.clone());
        Ok(Arc::new(Shared {
            pacing,
            applications: Applications::default(),
            comparing: Turns::default(),
            rewrite_room: Room::new(config.rewrite_memory),
            telemetry,
            policy: ArcSwap::from_pointee(policy),
            certificates,
            acceptor,
            upstream_tls: crate::proxy::net::tls::client(&config)?,
            config: Arc::new(config),
            open: AtomicUsize::new(0),
            open_by_client: Mutex::default(),
            exhausted: Mutex::default(),
            own_ends: Arc::default(),
        }))
    }

    /// Counts a connection in.
    ///
    /// # Errors
    /// There are as many as may be.
    pub fn count_in(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Counted, Full> {
        let mut counted = Counted {
            shared: self.clone(),
            client: None,
        };
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.config.max_connections {
            return Err(Full::Total);
        }
        if let Some(client) =
            client.filter(|_| self.config.max_connections_per_client != usize::MAX)
        {
            let mut by_client = self
                .open_by_client
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let open = by_client.entry(client).or_insert(0);
            if *open >= self.config.max_connections_per_client {
                return Err(Full::PerClient);
            }
            *open += 1;
            counted.client = Some(client);
        }
        Ok(counted)
    }

    /// Whether it is to be said now that no connection can be accepted: all threads meet it, again and again.
    pub fn may_say_exhausted(&self) -> bool {
        let mut said = self
            .exhausted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let may = said.is_none_or(|said| said.elapsed() > EXHAUSTED_QUIET);
        if may {
            *said = Some(Instant::now());
        }
        may
    }
}

/// How long answers to who waited for the portal's limit may take at the end of a drain.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// How long nothing more is said of connections that cannot be accepted.
const EXHAUSTED_QUIET: Duration = Duration::from_secs(60);

/// A connection that the worker can tell to end, and waits for when it drains.
pub struct Registered {
    worker: Rc<Worker>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(&self.id);
        self.worker.gone.notify_waiters();
    }
}

/// A rule, and the lines that answers to its calls carry.
type Told = (Arc<Rule>, Bytes);

/// One thread's state.
pub struct Worker {
    pub config: Arc<Config>,
    pub shared: Arc<Shared>,
    pub upstream: Rc<Upstream>,
    pub local: LocalMetrics,
    pub limits: Limits,
    /// The `Host` for the portal; `None` keeps the client's.
    pub host: Option<Vec<u8>>,
    /// The names by which the portal is known.
    own: Vec<origin::Own>,
    stopping: Notify,
    stopped: Cell<bool>,
    connections: RefCell<HashMap<u64, Handle>>,
    next: Cell<u64>,
    ids: Cell<u64>,
    /// By a rule's number: what answers to its calls tell of it.
    told: RefCell<Vec<Option<Told>>>,
    draining: Cell<bool>,
    /// Whether REST calls have to do with the portal's limit: with `--portal-rate off` they do not look.
    paces: Cell<bool>,
    cut: Notify,
    /// Who holds memory.
    pub footprint: Rc<Footprint>,
    /// Connections that are accepted and not served yet; and those that are told that they are too many.
    greeting: Rc<Cell<usize>>,
    refusing: Rc<Cell<usize>>,
    tunnels: Rc<Cell<usize>>,
    /// Told when a connection has gone, or work without one has ended.
    pub gone: Rc<Notify>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, upstream: Rc<Upstream>, local: LocalMetrics) -> Rc<Self> {
        let config = shared.config.clone();
        let seed = {
            use std::hash::{BuildHasher, Hasher};
            std::collections::hash_map::RandomState::new()
                .build_hasher()
                .finish()
        };
        Rc::new(Worker {
            limits: Limits {
                head: config.max_head,
                target: config.max_target,
                fields: config.max_fields,
            },
            paces: Cell::new(!shared.pacing.is_off()),
            host: config.host_for_portal(),
            own: origin::own(&config),
            stopping: Notify::new(),
            stopped: Cell::new(false),
            config,
            shared,
            upstream,
            local,
            connections: RefCell::default(),
            next: Cell::new(0),
            ids: Cell::new(seed),
            told: RefCell::default(),
            draining: Cell::new(false),
            cut: Notify::new(),
            footprint: Rc::default(),
            greeting: Rc::default(),
            refusing: Rc::default(),
            tunnels: Rc::default(),
            gone: background::gone(),
        })
    }

    /// A new request id: 16 hexadecimal digits, from a random start (splitmix64).
    pub fn next_id(&self) -> Arc<str> {
        let state = self.ids.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.ids.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mut id = [0; 16];
        let z = z ^ (z >> 31);
        for (at, digit) in id.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(z >> (60 - 4 * at)) as usize & 15];
        }
        std::str::from_utf8(&id).unwrap_or_default().into()
    }

    /// The lines that tell of a rule's deprecation: the same for each of its calls.
    pub fn deprecation_lines(&self, rule: &Arc<Rule>) -> Bytes {
        let mut told = self.told.borrow_mut();
        if told.len() <= rule.id {
            told.resize(rule.id + 1, None);
        }
        match &told[rule.id] {
            // Another policy's rule of that number is another rule.
            Some((of, lines)) if Arc::ptr_eq(of, rule) => lines.clone(),
            _ => {
                let lines = Bytes::from(reply::deprecation_lines(std::iter::once(&**rule)));
                told[rule.id] = Some((rule.clone(), lines.clone()));
                lines
            }
        }
    }

    /// The line that tells our id of the request, where ops ask for one.
    pub fn id_line(&self, span: &Span) -> String {
        if self.config.request_id_header {
            span.id_line()
        } else {
            String::new()
        }
    }

    /// What is done to a rule's calls of this caller, now.
    pub fn mode(&self, rule: &Rule, caller: &Caller) -> Mode {
        self.decision(rule, caller).mode
    }

    /// What is done to a rule's calls of this caller, looked up no further than needed.
    pub fn mode_of(&self, rule: &Rule, caller: &Caller) -> Mode {
        self.fixed_mode(rule)
            .unwrap_or_else(|| self.mode(rule, caller))
    }

    /// Whether a rule's call is refused now, whoever may have made it according to a body that is not read.
    pub fn refuses_whoever_calls(&self, rule: &Rule, caller: &Caller) -> bool {
        let policy = self.shared.policy.load();
        policy.refuses_whoever_calls(rule, caller, jiff::Timestamp::now())
    }

    /// What is done to a rule's calls of this caller now, with its reason and its end.
    pub fn decision(&self, rule: &Rule, caller: &Caller) -> Decision {
        let callers = self.shared.telemetry.callers.load();
        let view = CallerView {
            caller,
            name: callers.name_of(caller),
        };
        self.shared
            .policy
            .load()
            .mode(rule, &view, jiff::Timestamp::now())
    }

    /// When a rule's mode of this caller ends by itself, where it does.
    pub fn until(&self, rule: &Rule, caller: &Caller) -> Option<jiff::Timestamp> {
        match self.fixed_mode(rule) {
            Some(_) => None,
            None => self.decision(rule, caller).until,
        }
    }

    /// What is done to a rule's calls, where that does not depend on who calls or when.
    pub fn fixed_mode(&self, rule: &Rule) -> Option<Mode> {
        self.shared.policy.load().fixed(rule)
    }

    /// Whether to look into this call of a caller for the names of its parameters.
    pub fn looks_for_names(&self, rule: &Rule, caller: &Caller) -> bool {
        let sampler = &self.shared.telemetry.sampler;
        self.config.parameter_names && sampler.takes(rule.id, &caller.key)
    }

    /// Tells the guard of brownouts with which status the portal answered a caller's call.
    pub fn guard(&self, caller: &Caller, status: u16) {
        let policy = self.shared.policy.load();
        for (entry, harm) in policy.answered(&caller.key, status, jiff::Timestamp::now()) {
            tracing::warn!(
                brownout = policy.origin(Because::Entry(entry)),
                failed = harm.failed,
                calls = harm.calls,
                failed_before = harm.failed_before,
                calls_before = harm.calls_before,
                "a brownout was ended: its callers' other calls fail"
            );
        }
    }

    /// The client's address: behind trusted proxies the one that they name.
    pub fn client_address(&self, client: &Client, head: &RequestHead) -> Option<IpAddr> {
        let forwarded = head.fields.known(Name::XForwardedFor);
        peer::client_address(
            client.address,
            client.trusted,
            forwarded,
            &self.config.trusted_proxies,
        )
    }

    /// Who calls.
    pub fn caller(
        &self,
        client: &Client,
        at: &Address<'_>,
        head: &RequestHead,
        body: Option<(&[u8], &[u8])>,
    ) -> Arc<Caller> {
        let Address { target, place, .. } = at;
        let user_agent = crate::protocol::Fields::get(&head.fields, "user-agent").unwrap_or(b"");
        // A webhook's address says who calls, unless a token does; behind a trusted proxy each request may come from another
        // client, and an SDK may name itself in the query.
        let access = match place {
            Place::Call {
                access: Access::Webhook { .. },
                name,
                ..
            } if !client.trusted
                && memchr::memmem::find(target, b"bx24_sdk").is_none()
                && !credentials::has_token(&head.fields, target, body) =>
            {
                Some(&target[..name.start])
            }
            _ => None,
        };
        if let (Some(access), Some(last)) = (access, &*client.last.borrow())
            && last.access == access
            && last.user_agent == user_agent
        {
            return last.caller.clone();
        }
        let credentials = credentials::read(place, &head.fields, target, body);
        let address = self.client_address(client, head);
        let fingerprints = &self.shared.telemetry.fingerprints;
        let mut caller = Caller::of(&credentials, &head.fields, target, address, fingerprints);
        if self.asks_for_applications() {
            self.shared.applications.complete(&mut caller);
        }
        let caller = Arc::new(caller);
        if let Some(access) = access {
            *client.last.borrow_mut() = Some(LastCaller {
                access: access.to_vec(),
                user_agent: user_agent.to_vec(),
                caller: caller.clone(),
            });
        }
        caller
    }

    /// Whether a mode may depend on which application calls.
    pub fn asks_for_applications(&self) -> bool {
        self.shared.policy.load().asks_for_applications()
    }

    /// Logs the uses of one request, before anything of its answer goes on.
    ///
    /// # Errors
    /// Only with `--on-log-failure refuse`: a changed call's event is not in the log.
    pub fn record(&self, events: &[DeprecationEvent]) -> Result<(), LogUnavailable> {
        self.shared.telemetry.record(&self.local, events)
    }

    /// Logs a call whose body goes on unread although it may hold deprecated calls.
    pub fn unread(&self, call: &UnreadCall) {
        let _ = self.shared.telemetry.unread(call);
    }

    /// The portal's own origin in a field of its answer, as the proxy's.
    pub fn turn_origin(
        &self,
        client: &Client,
        head: &RequestHead,
        name: Name,
        value: &[u8],
    ) -> Option<Vec<u8>> {
        if !self.config.rewrite_origin || self.own.is_empty() {
            return None;
        }
        let forwarded = |name: Name| head.fields.first(name).filter(|_| client.trusted);
        let scheme = forwarded(Name::XForwardedProto)
            .and_then(|v| std::str::from_utf8(v).ok())
            .unwrap_or(client.scheme);
        let authority = forwarded(Name::XForwardedHost)
            .or(head.fields.first(Name::Host))
            .unwrap_or(b"");
        origin::turn(name, value, &self.own, &origin::Seen { scheme, authority })
    }

    /// Whether a request counts for the portal's limit.
    pub fn is_paced(&self, place: &Place<'_>) -> bool {
        self.paces.get() && !matches!(place, Place::Elsewhere)
    }

    /// Whether there is a limit to pace calls by, or to learn one from refusals.
    pub fn paces(&self) -> bool {
        self.paces.get()
    }

    /// Looks anew whether there is a limit, after a reload.
    pub fn look_at_pacing(&self) {
        self.paces.set(!self.shared.pacing.is_off());
    }

    /// Whether the request comes from ourselves: the portal's address leads back here.
    pub fn is_loop(&self, client: &Client) -> bool {
        !client.checked.replace(true)
            && client
                .ends
                .is_some_and(|ends| self.shared.own_ends.has(ends))
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
            worker: self.clone(),
            id,
        }
    }

    /// Counts a connection that is accepted, until it is served.
    pub fn greeting(&self) -> InWork {
        InWork::new(&self.greeting)
    }

    /// The turn to tell a connection that it is one too many; none where too many are being told.
    pub fn refusing(&self) -> Option<InWork> {
        (self.refusing.get() < crate::proxy::client::refuse::AT_ONCE)
            .then(|| InWork::new(&self.refusing))
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
        if self.local.pace_waiting() == 0 {
            return;
        }
        self.shared.pacing.close();
        let until = Instant::now() + LAST_ANSWERS;
        let before = self.in_flight();
        let waiting = usize::try_from(self.local.pace_waiting()).unwrap_or(0);
        while self.in_flight() > before.saturating_sub(waiting) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends everything now.
    pub fn cut(&self) {
        for handle in self.connections.borrow().values() {
            for _ in 0..handle.in_flight() {
                self.local.cut();
                self.local.timeout(Phase::Drain);
            }
            handle.cut();
        }
        self.cut.notify_waiters();
    }

    /// Resolves when what is in flight is cut.
    pub async fn cut_off(&self) {
        self.cut.notified().await;
    }

    /// What comes of the work; `None` if it is cut before. By reference, as a future that takes another in holds it twice.
    pub async fn unless_cut<T>(
        &self,
        work: std::pin::Pin<&mut impl std::future::Future<Output = T>>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.cut_off() => None,
        }
    }

    /// Counts a tunnel for as long as what it gives is held.
    pub fn tunnel_opened(&self) -> crate::telemetry::metrics::Held {
        self.local.open(Open::Tunnel)
    }
}
