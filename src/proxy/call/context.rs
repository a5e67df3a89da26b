//! What a thread's calls share: configuration, rules and modes, the portal, counts. It knows no connection.

use crate::catalogue::{Mode, Rule};
use crate::ladder::{Because, CallerView, Decision};
use crate::protocol::address::Address;
use crate::protocol::credentials;
use crate::protocol::target::{self, Access, Place};
use crate::proxy::call::calls::Calls;
use crate::proxy::call::client::Client;
use crate::proxy::call::known_callers::KnownCallers;
use crate::proxy::call::notice;
use crate::proxy::call::request_id::RequestId;
use crate::proxy::config::Config;
use crate::proxy::http::fields::Name;
use crate::proxy::http::head::RequestHead;
use crate::proxy::http::origin;
use crate::proxy::http::peer;
use crate::proxy::net::background::CutOff;
use crate::proxy::portal::Upstream;
use crate::telemetry::caller::Caller;
use crate::telemetry::event::{DeprecationEvent, UnreadCall};
use crate::telemetry::log::LogUnavailable;
use crate::telemetry::metrics::LocalMetrics;
use bytes::Bytes;
use memchr::memmem::find as memmem;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// A rule, and the lines that answers to its calls carry.
type Told = (Arc<Rule>, Bytes);

/// One thread's part of the calls.
pub struct Context {
    pub config: Arc<Config>,
    pub calls: Arc<Calls>,
    pub upstream: Rc<Upstream>,
    pub local: LocalMetrics,
    /// The `Host` for the portal; `None` keeps the client's.
    pub host: Option<Vec<u8>>,
    /// The names by which the portal is known.
    own: Vec<origin::Own>,
    /// Ends what is in flight.
    pub cut: CutOff,
    ids: Cell<u64>,
    /// Whether REST calls have to do with the portal's limit: with `--portal-rate off` they do not look.
    paces: Cell<bool>,
    /// Deprecation headers by rule id, built once.
    told: RefCell<Vec<Option<Told>>>,
    known_callers: KnownCallers,
}

impl Context {
    pub fn new(calls: Arc<Calls>, upstream: Rc<Upstream>, local: LocalMetrics) -> Rc<Self> {
        let seed = {
            use std::hash::{BuildHasher, Hasher};
            std::collections::hash_map::RandomState::new()
                .build_hasher()
                .finish()
        };
        Rc::new(Context {
            paces: Cell::new(!calls.pacing.is_off()),
            host: calls.config.host_for_portal(),
            own: origin::own(&calls.config),
            config: calls.config.clone(),
            calls,
            upstream,
            local,
            cut: CutOff::default(),
            ids: Cell::new(seed),
            told: RefCell::default(),
            known_callers: KnownCallers::default(),
        })
    }

    /// A new request id, from a random start (splitmix64).
    pub fn next_id(&self) -> RequestId {
        let state = self.ids.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.ids.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId::of(z ^ (z >> 31))
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
                let lines = Bytes::from(notice::lines(std::iter::once(&**rule)));
                told[rule.id] = Some((rule.clone(), lines.clone()));
                lines
            }
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
        let policy = self.calls.policy.load();
        policy.refuses_whoever_calls(rule, caller, jiff::Timestamp::now())
    }

    /// What is done to a rule's calls of this caller now, with its reason and its end.
    pub fn decision(&self, rule: &Rule, caller: &Caller) -> Decision {
        let policy = self.calls.policy.load();
        let view = CallerView {
            caller,
            name: policy.logging().callers.name_of(caller),
        };
        policy.mode(rule, &view, jiff::Timestamp::now())
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
        self.calls.policy.load().fixed(rule)
    }

    /// Whether to look into this call of a caller for the names of its parameters.
    pub fn looks_for_names(&self, rule: &Rule, caller: &Caller) -> bool {
        let sampler = &self.calls.telemetry.sampler;
        self.config.parameter_names && sampler.takes(rule.id, &caller.key)
    }

    /// Tells the guard of brownouts with which status the portal answered a caller's call.
    pub fn guard(&self, caller: &Caller, status: u16) {
        let policy = self.calls.policy.load();
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
        let address = self.client_address(client, head);
        // A webhook's address says who calls, unless a token does; and an SDK may name itself in the query.
        let shown = match place {
            Place::Call {
                access: Access::Webhook { .. },
                name,
                ..
            } if memmem(&target[target::query(target)], b"bx24_sdk").is_none()
                && !credentials::has_token(&head.fields, target, body) =>
            {
                let user_agent = head.fields.first(Name::UserAgent).unwrap_or_default();
                let access = &target[..name.start];
                Some(self.known_callers.shown(access, user_agent, address))
            }
            _ => None,
        };
        if let Some(caller) = shown.and_then(|shown| self.known_callers.get(shown)) {
            return caller;
        }
        let credentials = credentials::read(place, &head.fields, target, body);
        let fingerprints = &self.calls.telemetry.fingerprints;
        let mut caller = Caller::of(&credentials, &head.fields, target, address, fingerprints);
        if self.asks_for_applications() {
            self.calls.applications.complete(&mut caller);
        }
        let caller = Arc::new(caller);
        if let Some(shown) = shown {
            self.known_callers.keep(shown, &caller);
        }
        caller
    }

    /// Whether a mode may depend on which application calls.
    pub fn asks_for_applications(&self) -> bool {
        self.calls.policy.load().asks_for_applications()
    }

    /// Logs the uses of one request, before anything of its answer goes on.
    ///
    /// # Errors
    /// Only with `--on-log-failure refuse`: a changed call's event is not in the log.
    pub fn record(&self, events: &[DeprecationEvent<'_>]) -> Result<(), LogUnavailable> {
        let policy = self.calls.policy.load();
        self.calls
            .telemetry
            .record(&self.local, policy.logging(), events)
    }

    /// Logs a call of which nobody knows what it calls: it may be a deprecated one, or hold some.
    pub fn unread(&self, call: &UnreadCall<'_>) {
        let policy = self.calls.policy.load();
        let _ = self.calls.telemetry.unread(policy.logging(), call);
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
        self.paces.set(!self.calls.pacing.is_off());
    }

    /// Whether the request comes from ourselves: the portal's address leads back here.
    pub fn is_loop(&self, client: &Client) -> bool {
        !client.checked.replace(true)
            && client
                .ends
                .is_some_and(|ends| self.calls.own_ends.has(ends))
    }
}
