//! How many connections of clients are open, in all threads, and whether one more may come.

use crate::proxy::config::Config;
use crate::telemetry::metrics::ConnectionRefused;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    admission: Arc<Admission>,
    client: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.admission.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client {
            let mut by_client = self
                .admission
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

/// The connections of all threads, counted.
pub struct Admission {
    pub acceptor: Option<tokio_rustls::TlsAcceptor>,
    most: usize,
    most_per_client: usize,
    open: AtomicUsize,
    open_by_client: Mutex<HashMap<IpAddr, usize>>,
    /// When it was last logged that no connection can be accepted.
    exhausted: Mutex<Option<Instant>>,
}

impl Admission {
    pub fn new(config: &Config, acceptor: Option<tokio_rustls::TlsAcceptor>) -> Arc<Self> {
        Arc::new(Admission {
            acceptor,
            most: config.max_connections,
            most_per_client: config.max_connections_per_client,
            open: AtomicUsize::new(0),
            open_by_client: Mutex::default(),
            exhausted: Mutex::default(),
        })
    }

    /// Counts a connection in.
    ///
    /// # Errors
    /// There are as many as may be.
    pub fn count_in(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Counted, Full> {
        let mut counted = Counted {
            admission: self.clone(),
            client: None,
        };
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err(Full::Total);
        }
        if let Some(client) = client.filter(|_| self.most_per_client != usize::MAX) {
            let mut by_client = self
                .open_by_client
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let open = by_client.entry(client).or_insert(0);
            if *open >= self.most_per_client {
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

/// How long nothing more is said of connections that cannot be accepted.
const EXHAUSTED_QUIET: Duration = Duration::from_secs(60);
