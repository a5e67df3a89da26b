//! The admin address: health, metrics, the status page and its data, for ops and never for clients of the portal.
//!
//! It has a thread and a runtime of its own, so that no look at it costs a client anything, and a slow or hostile visitor
//! of it can hurt nobody. Who may see what is decided in [`access`], what a page says in [`page`]; what an owner is told to
//! change comes from [`crate::advice`].

pub mod access;
mod answer;
mod api;
mod clock;
mod events;
mod feed;
mod large;
pub mod overview;
mod page;
mod routes;
mod selection;
mod server;
mod shared;

pub use api::seen;
pub use overview::{MethodUse, Overview};
pub use server::Handle;
pub use shared::{PolicySource, ReloadRequest};

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::mpsc;

use access::Gate;
use feed::Feed;
use large::Large;
use shared::Admin;

use crate::protocol::Secret;
use crate::telemetry::Telemetry;

/// How the admin address behaves.
#[derive(Clone)]
pub struct AdminConfig {
    /// The token of `--admin-token-file`. Without one nothing but health and metrics is answered on other addresses than
    /// loopback, and nothing can be changed anywhere.
    pub token: Option<Secret<'static>>,
    /// Whether `/metrics` asks for the token too.
    pub protect_metrics: bool,
    /// The portal's origin (`https://example.bitrix24.com`), which the instructions for owners name.
    pub portal: Option<String>,
    /// Gives the rules and modes that hold now, for the page to show and for a brownout to be stopped.
    pub policy: PolicySource,
    /// Takes what `POST /-/reload` asks for.
    pub reload: Option<mpsc::Sender<ReloadRequest>>,
}

/// Serves the admin address on a thread of its own until the process ends or the handle is told to stop.
///
/// `listener` is bound and listening; whether it is a loopback address decides what is asked of visitors.
///
/// # Errors
/// The thread, its runtime or the listener's registration with it cannot be had.
pub fn spawn(
    listener: TcpListener,
    config: AdminConfig,
    telemetry: Arc<Telemetry>,
) -> io::Result<Handle> {
    let address = listener.local_addr()?;
    let admin = Arc::new(Admin {
        access: Gate::new(
            address.ip().to_canonical().is_loopback(),
            config.token,
            config.protect_metrics,
        ),
        portal: config.portal,
        policy: config.policy,
        reload: config.reload,
        feed: Feed::new(),
        large: Large::new(),
        telemetry,
    });
    server::spawn(listener, address, admin)
}
