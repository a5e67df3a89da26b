//! The admin address as `serve` was told to have it: its socket, its token.

use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::failure::Failure;
use super::inputs;
use super::settings::Settings;
use super::sockets::cannot_listen;
use super::text::reason;

use crate::admin::{self, AdminConfig, Handle, ReloadRequest};
use crate::protocol::Secret;
use crate::proxy::Shared;
use crate::proxy::config::Portal;

/// Opens the admin address; nothing with `--admin-listen off`.
pub fn socket(settings: &Settings) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = settings.admin_listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .map_err(|error| cannot_listen(&address.to_string(), "--admin-listen", &error))?;
    Ok(Some(listener))
}

/// Serves it.
pub fn serve(
    listener: TcpListener,
    settings: &Settings,
    shared: &Arc<Shared>,
    reload: mpsc::Sender<ReloadRequest>,
) -> Result<Handle, Failure> {
    let token = token_of(settings)?;
    let open = settings
        .admin_listen
        .is_some_and(|address| !address.ip().is_loopback());
    if open && token.is_none() {
        tracing::warn!(
            "the status page is closed on this admin address, which is not loopback: it needs --admin-token-file"
        );
    }
    let config = AdminConfig {
        token,
        protect_metrics: settings.protect_metrics,
        portal: portal(settings),
        policy: {
            let shared = Arc::clone(shared);
            Arc::new(move || shared.policy.load_full())
        },
        reload: Some(reload),
    };
    admin::spawn(listener, config, Arc::clone(&shared.telemetry)).map_err(|error| {
        Failure::found(format!(
            "cannot serve the admin address: {}",
            reason(&error)
        ))
    })
}

/// The token that the status page asks for, where one is set.
pub fn token_of(settings: &Settings) -> Result<Option<Secret<'static>>, Failure> {
    settings
        .admin_token_file
        .as_deref()
        .map(inputs::token)
        .transpose()
}

/// The portal's origin, as its integrations would write it.
fn portal(settings: &Settings) -> Option<String> {
    let host = settings
        .upstream_host
        .clone()
        .or_else(|| settings.upstream.host_field())?;
    let scheme = match &settings.upstream {
        Portal::Tcp { tls: false, .. } => "http",
        _ => "https",
    };
    Some(format!("{scheme}://{host}"))
}
