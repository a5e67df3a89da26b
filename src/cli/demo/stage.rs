//! The portals and proxies of the demo, from their start to their end.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::assemble::{self, Running};
use crate::cli::failure::Failure;
use crate::cli::settings::Settings;
use crate::cli::text::reason;
use crate::proxy::Server;
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::telemetry::health::Stage;

/// How long open calls may take.
const PATIENCE: Duration = Duration::from_secs(2);

pub async fn portal(config: SandboxConfig) -> Result<Sandbox, Failure> {
    Sandbox::start(config).await.map_err(|error| {
        let why = reason(&error);
        Failure::found(format!("the sandbox portal cannot listen: {why}"))
    })
}

/// A proxy that serves, and its address.
pub fn proxy(settings: &Settings) -> Result<(Running, SocketAddr), Failure> {
    let proxy = assemble::start(settings)?;
    proxy.shared.telemetry.health.enter(Stage::Serving);
    let address = proxy
        .address
        .ok_or_else(|| Failure::found("the proxy has no address"))?;
    Ok((proxy, address))
}

pub async fn end(mut server: Server) {
    server.drain();
    let _ = tokio::time::timeout(PATIENCE, server.ended()).await;
    server.cut();
    server.join();
}
