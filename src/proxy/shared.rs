//! What all threads share, made once at the start.

use crate::ladder::Policy;
use crate::proxy::call::calls::Calls;
use crate::proxy::client::admission::Admission;
use crate::proxy::config::Config;
use crate::proxy::net::own_ends::OwnEnds;
use crate::proxy::net::tls::{self, Certificates};
use crate::proxy::pacing::Pacing;
use crate::telemetry::Telemetry;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What all threads share.
pub struct Shared {
    pub config: Arc<Config>,
    pub telemetry: Arc<Telemetry>,
    /// The rules, their modes, and how calls are named and logged; a reload swaps them as one.
    pub policy: Arc<ArcSwap<Policy>>,
    /// The portal's request limit.
    pub pacing: Arc<Pacing>,
    pub certificates: Option<Arc<Certificates>>,
    pub(super) upstream_tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) own_ends: Arc<OwnEnds>,
    pub(super) calls: Arc<Calls>,
    pub(super) admission: Arc<Admission>,
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
            Some(certificates) => Some(tls::server(certificates.clone(), config.http2)?.into()),
            None => None,
        };
        let upstream_tls = tls::client(&config)?;
        let config = Arc::new(config);
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let own_ends = Arc::<OwnEnds>::default();
        let calls = Calls::new(
            config.clone(),
            telemetry.clone(),
            policy.clone(),
            own_ends.clone(),
        );
        Ok(Arc::new(Shared {
            pacing: calls.pacing.clone(),
            calls,
            admission: Admission::new(&config, acceptor),
            config,
            telemetry,
            policy,
            certificates,
            upstream_tls,
            own_ends,
        }))
    }
}
