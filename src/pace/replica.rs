//! What is said between this replica and the store that replicas share a budget through (pure).

use super::Limit;
use std::time::Duration;

/// What a store that replicas share the budget through is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The portal's limit.
    pub limit: Limit,
    /// Calls a second that are let go, after any correction.
    pub rate: f64,
    /// Callers that wait here.
    pub callers: usize,
    /// Grants that are wanted: calls that wait here.
    pub want: usize,
    /// Callers among them who were quiet, and may use the reserve.
    pub fresh: usize,
    /// The level to begin with where the store knows none.
    pub begin: f64,
    /// What to add to the level that it knows: what was let go without it.
    pub add: f64,
    /// The portal says that it is full.
    pub is_full: bool,
    /// Calls that the portal refused since the last question.
    pub refused: usize,
}

/// What the store answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    pub granted: usize,
    /// How long until there is room for more.
    pub wait: Duration,
    /// Callers that wait at other replicas.
    pub others: usize,
    /// Replicas that were heard of lately, this one too.
    pub replicas: usize,
    /// Calls in the shared bucket.
    pub level: f64,
    /// The same as our replicas alone explain it.
    pub own: f64,
}

/// The part in a budget that replicas share.
#[derive(Clone, Copy, Debug)]
pub struct Replica {
    /// Whether the store answers. If not, this replica has its own part.
    pub is_up: bool,
    pub replicas: usize,
    /// Callers that wait at other replicas.
    pub others: usize,
}
