//! Our ends of the connections to the portal: a client at one of them is the proxy itself.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Our end of a connection and the other one. Both count: the system gives a client the same address as one of ours where
/// their other ends differ.
pub type Ends = (SocketAddr, SocketAddr);

/// The ends of all open connections to the portal, of all threads.
#[derive(Debug, Default)]
pub struct OwnEnds(Mutex<HashSet<Ends>>);

impl OwnEnds {
    /// Remembers the ends of a connection for as long as the result is held.
    pub fn hold(self: &Arc<Self>, ends: Ends) -> OwnEnd {
        self.set().insert(ends);
        OwnEnd {
            all: self.clone(),
            ends,
        }
    }

    /// Whether a client's connection, by our end and its end, was opened by the proxy itself.
    pub fn has(&self, (local, peer): Ends) -> bool {
        self.set().contains(&(peer, local))
    }

    fn set(&self) -> MutexGuard<'_, HashSet<Ends>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's ends; forgotten when this is dropped.
pub struct OwnEnd {
    all: Arc<OwnEnds>,
    ends: Ends,
}

impl Drop for OwnEnd {
    fn drop(&mut self) {
        self.all.set().remove(&self.ends);
    }
}
