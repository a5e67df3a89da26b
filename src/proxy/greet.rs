//! The beginning of a connection: PROXY protocol, TLS, and which HTTP is spoken.

use super::connection::{self, Control};
use super::handle::Client;
use super::http2;
use super::peer::{Preface, preface};
use super::stream::Stream;
use super::wire::{Link, Side};
use super::worker::Worker;
use crate::telemetry::metrics::{Handshake, Open, Phase};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The first bytes of HTTP/2 (RFC 9113 §3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Takes a new connection to where it is served.
pub async fn greet(
    worker: Rc<Worker>,
    stream: Stream,
    peer_address: Option<SocketAddr>,
    tls: bool,
) {
    let peer = peer_address.map(|a| a.ip().to_canonical());
    let mut trusted = peer.is_some_and(|peer| {
        worker
            .config
            .trusted_proxies
            .iter()
            .any(|n| n.contains(peer))
    });
    let mut address = peer;
    let ends = stream.ends();
    let mut stream = stream;
    if worker.config.accept_proxy_protocol
        && trusted
        && let Stream::Tcp(tcp) = &mut stream
    {
        match tokio::time::timeout(worker.config.timeouts.header, read_preface(tcp)).await {
            Ok(Ok(Some(source))) => {
                // From here on the source speaks, and it is believed only if it is trusted itself.
                address = Some(source);
                trusted = worker
                    .config
                    .trusted_proxies
                    .iter()
                    .any(|n| n.contains(source));
            }
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => {
                worker.local.head_error(400);
                return;
            }
        }
    }
    let mut h2 = false;
    if tls {
        let (Stream::Tcp(tcp), Some(acceptor)) = (stream, worker.shared.acceptor.as_ref()) else {
            return;
        };
        match tokio::time::timeout(worker.config.timeouts.tls_handshake, acceptor.accept(tcp)).await
        {
            Ok(Ok(accepted)) => {
                worker.local.handshake(Handshake::Ok);
                h2 = accepted.get_ref().1.alpn_protocol() == Some(b"h2");
                stream = Stream::Tls(Box::new(accepted.into()));
            }
            Ok(Err(_)) => {
                worker.local.handshake(Handshake::Failed);
                return;
            }
            Err(_) => {
                worker.local.handshake(Handshake::TimedOut);
                worker.local.timeout(Phase::TlsHandshake);
                return;
            }
        }
    } else if worker.config.http2
        && let Stream::Tcp(tcp) = &stream
    {
        h2 = matches!(
            tokio::time::timeout(worker.config.timeouts.header, speaks_http2(tcp)).await,
            Ok(Ok(true))
        );
    }
    let client = Client {
        link: Link::new(Side::Server, worker.limits),
        control: Rc::new(Control::default()),
        ends,
        checked: Cell::new(false),
        http2: h2,
        address,
        trusted,
        scheme: if tls { "https" } else { "http" },
        last: RefCell::default(),
        tunnel: Cell::new(None),
    };
    let _open = worker.local.open(Open::Connection);
    if h2 {
        http2::serve(worker, stream, client).await
    } else {
        connection::serve(worker, stream, client).await
    }
}

/// Reads a PROXY header and not one byte more.
async fn read_preface(tcp: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut bytes = [0u8; 4112];
    let mut seen = 0;
    loop {
        let n = tcp.peek(&mut bytes).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match preface(&bytes[..n]) {
            Preface::Proxied { length, source } => {
                tcp.read_exact(&mut bytes[..length]).await?;
                return Ok(source);
            }
            Preface::Bad => return Err(io::ErrorKind::InvalidData.into()),
            Preface::More if n == seen => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await
            }
            Preface::More => seen = n,
        }
    }
}

/// Whether the first bytes are HTTP/2's.
async fn speaks_http2(tcp: &TcpStream) -> io::Result<bool> {
    let mut bytes = [0u8; HTTP2.len()];
    let mut seen = 0;
    loop {
        let n = tcp.peek(&mut bytes).await?;
        if n == HTTP2.len() || n == 0 || !HTTP2.starts_with(&bytes[..n]) {
            return Ok(bytes == *HTTP2);
        }
        if n == seen {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        seen = n;
    }
}
