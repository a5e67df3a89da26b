//! The beginning of a connection: PROXY protocol, TLS, and which HTTP is spoken.

use crate::proxy::call::client::Client;
use crate::proxy::client::handshake::handshake;
use crate::proxy::client::http1;
use crate::proxy::client::http2;
use crate::proxy::client::refuse;
use crate::proxy::client::registry::Registry;
use crate::proxy::client::sniff::{read_preface, speaks_http2};
use crate::proxy::net::background::InWork;
use crate::proxy::net::link::Link;
use crate::proxy::net::stream::{Prefix, Stream};
use crate::telemetry::metrics::{ConnectionRefused, Open};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// How long a connection that is being greeted may take for it when the proxy drains.
const GREETING_GRACE: Duration = Duration::from_secs(1);

/// A connection that can be served.
struct Greeted {
    stream: Stream,
    prefix: Prefix,
    client: Client,
    link: Rc<Link>,
}

/// Takes a new connection to where it is served, and serves it to its end.
pub async fn greet(
    registry: Rc<Registry>,
    greeting: InWork,
    stream: Stream,
    peer_address: Option<SocketAddr>,
    tls: bool,
) {
    let greeted = {
        let begin = begin(&registry, stream, peer_address, tls);
        let too_late = async {
            registry.stopping().await;
            tokio::time::sleep(GREETING_GRACE).await;
        };
        tokio::select! {
            biased;
            greeted = begin => greeted,
            () = too_late => {
                registry.context.local.connection_refused(ConnectionRefused::Draining);
                None
            }
        }
    };
    drop(greeting);
    let Some(Greeted {
        stream,
        prefix,
        client,
        link,
    }) = greeted
    else {
        return;
    };
    let _open = registry.context.local.open(Open::Connection);
    if client.http2 {
        let peer = peer_address.map(|peer| peer.ip().to_canonical());
        http2::serve(registry, stream, prefix, client, link, peer).await
    } else {
        http1::serve(registry, stream, prefix, client, link).await
    }
}

/// All that comes before HTTP.
async fn begin(
    registry: &Registry,
    mut stream: Stream,
    peer_address: Option<SocketAddr>,
    tls: bool,
) -> Option<Greeted> {
    let is_trusted = |address: Option<IpAddr>| match address {
        Some(address) => registry
            .context
            .config
            .trusted_proxies
            .iter()
            .any(|n| n.contains(address)),
        None => registry.context.config.trusts_unix,
    };
    let mut address = peer_address.map(|a| a.ip().to_canonical());
    let mut trusted = is_trusted(address);
    let ends = stream.local_address().zip(peer_address);
    let header = registry.context.config.timeouts.header;
    if registry.context.config.accept_proxy_protocol && trusted {
        match tokio::time::timeout(header, read_preface(&mut stream)).await {
            Ok(Ok(Some(source))) => {
                // From here on the source speaks, and it is believed only if it is trusted itself.
                address = Some(source);
                trusted = is_trusted(address);
            }
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => {
                registry.context.local.head_error(400);
                return None;
            }
        }
    }
    let mut http2 = false;
    let mut prefix = Prefix::default();
    if tls {
        stream = handshake(registry, stream).await?;
        http2 = stream.chose_http2();
    } else if registry.context.config.http2 && matches!(stream, Stream::Tcp(_)) {
        let in_time = tokio::time::timeout(header, speaks_http2(&mut stream, &mut prefix)).await;
        if in_time.is_err() && prefix.bytes.is_empty() {
            return None;
        }
        prefix.late = in_time.is_err();
        http2 = matches!(in_time, Ok(Ok(true)));
    }
    let link = Rc::<Link>::default();
    let client = Client {
        fault: link.fault_cell(),
        received: link.received(),
        ends,
        checked: Cell::new(false),
        http2,
        address,
        trusted,
        scheme: if tls { "https" } else { "http" },
        unread: Cell::new(None),
    };
    Some(Greeted {
        stream,
        prefix,
        client,
        link,
    })
}

/// Tells a connection that it is one too many, and closes it.
pub async fn turn_away(registry: Rc<Registry>, mut stream: Stream, tls: bool) {
    let Some(_turn) = registry.refusing() else {
        return;
    };
    if tls {
        match handshake(&registry, stream).await {
            Some(behind_tls) => stream = behind_tls,
            None => return,
        }
    }
    refuse::busy(&registry, stream).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function with these arguments returns.
    fn size_of_task<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_connection_is_small() {
        // It is moved some five times for each connection, and an idle one keeps it.
        let size = size_of_task(greet);
        assert!(size < 4 * 1024, "{size} bytes");
    }
}
