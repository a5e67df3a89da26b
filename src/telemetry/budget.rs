//! What is to be seen of the portal's budget: the data path keeps it, metrics and the status page show it.

use std::sync::Arc;

use crate::pace::desk::State;

/// Someone who knows the budget's state.
pub trait Budget: Send + Sync {
    /// As it is now.
    fn state(&self) -> State;

    /// Who waits, by name or key, with how many calls, most first.
    fn waiting(&self) -> Vec<(Arc<str>, usize)>;

    /// Whether the store that replicas share answers; `None` without one.
    fn store_up(&self) -> Option<bool>;
}

impl std::fmt::Debug for dyn Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Budget")
    }
}
