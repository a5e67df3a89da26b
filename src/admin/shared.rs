//! What all connections of the admin address share.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::access::Gate;
use super::feed::Feed;
use super::large::Large;
use crate::ladder::Policy;
use crate::telemetry::Telemetry;

/// Asks for the configuration to be read again. The answer names the options that wait for a restart, or says in the line
/// that `check` prints why nothing was applied.
pub type ReloadRequest = oneshot::Sender<Result<Vec<&'static str>, String>>;

/// Where the rules and modes that hold now are to be had: another [`Policy`] after each reload.
pub type PolicySource = Arc<dyn Fn() -> Arc<Policy> + Send + Sync>;

/// What all connections share.
pub(super) struct Admin {
    pub(super) access: Gate,
    pub(super) portal: Option<String>,
    pub(super) policy: PolicySource,
    pub(super) reload: Option<mpsc::Sender<ReloadRequest>>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) feed: Feed,
    pub(super) large: Large,
}

impl Admin {
    /// The rules and modes that hold now. An answer asks once, so that all of it is of one policy.
    pub(super) fn policy(&self) -> Arc<Policy> {
        (self.policy)()
    }
}
