//! Tunnels: what is left of a connection when both sides have switched protocols (RFC 9110 §7.8).

use crate::proxy::client::registry::Registry;
use crate::proxy::net::stream::{Stream, Switched};
use crate::telemetry::metrics::{Open, Phase};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Copies both ways until both have ended, or nothing has moved for the limit.
pub async fn run(registry: &Rc<Registry>, client: Stream, from_client: Vec<u8>, tunnel: Switched) {
    let (upstream, from_portal) = tunnel;
    let _open = (registry.tunnel(), registry.context.local.open(Open::Tunnel));
    let idle = registry.context.config.timeouts.tunnel_idle;
    let moved = std::cell::Cell::new(Instant::now());
    let (client_in, client_out) = tokio::io::split(client);
    let (portal_in, portal_out) = tokio::io::split(upstream);
    let both = async {
        tokio::join!(
            copy(client_in, portal_out, from_client, &moved),
            copy(portal_in, client_out, from_portal, &moved)
        )
    };
    let stalled = async {
        loop {
            let ends = moved.get() + idle;
            if ends <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(ends.into()).await;
        }
    };
    tokio::select! {
        _ = both => {}
        () = stalled => registry.context.local.timeout(Phase::TunnelIdle),
        () = registry.context.cut.cut_off() => {}
    }
}

/// One direction: its end is passed on as a half-close.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    first: Vec<u8>,
    moved: &std::cell::Cell<Instant>,
) {
    if !first.is_empty() && to.write_all(&first).await.is_err() {
        return;
    }
    drop(first);
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => {
                moved.set(Instant::now());
                if to.write_all(&buffer[..n]).await.is_err() {
                    break;
                }
            }
        }
    }
    // The other direction may go on for as long as its idle limit allows.
    let _ = tokio::time::timeout(Duration::from_secs(5), to.shutdown()).await;
}
