//! What the calls of all threads share.

use crate::ladder::Policy;
use crate::proxy::call::applications::Applications;
use crate::proxy::call::room::Room;
use crate::proxy::call::turns::Turns;
use crate::proxy::config::Config;
use crate::proxy::net::own_ends::OwnEnds;
use crate::proxy::pacing::Pacing;
use crate::telemetry::Telemetry;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What the calls of all threads share.
pub struct Calls {
    pub config: Arc<Config>,
    pub telemetry: Arc<Telemetry>,
    /// The rules, their modes, and how calls are named and logged; a reload swaps them as one.
    pub policy: Arc<ArcSwap<Policy>>,
    /// The applications that answers have named.
    pub applications: Applications,
    /// The turns of comparisons.
    pub comparing: Turns,
    /// The portal's request limit.
    pub pacing: Arc<Pacing>,
    /// Room for bodies that are being translated.
    pub rewrite_room: Arc<Room>,
    /// Our ends of the connections to the portal: a client at one of them is the proxy itself.
    pub own_ends: Arc<OwnEnds>,
}

impl Calls {
    pub fn new(
        config: Arc<Config>,
        telemetry: Arc<Telemetry>,
        policy: Arc<ArcSwap<Policy>>,
        own_ends: Arc<OwnEnds>,
    ) -> Arc<Self> {
        let replicas = config.rate_store.as_ref().map(|store| store.replicas);
        let pacing = Pacing::new(config.pace, config.upstream_sources.len(), replicas);
        telemetry.watch_budget(pacing.clone());
        Arc::new(Calls {
            pacing,
            applications: Applications::default(),
            comparing: Turns::default(),
            rewrite_room: Room::new(config.rewrite_memory),
            config,
            telemetry,
            policy,
            own_ends,
        })
    }
}
