//! The beginning of a connection: PROXY protocol, TLS, and which HTTP is spoken.

use crate::proxy::call::handle::Client;
use crate::proxy::client::http1;
use crate::proxy::client::http2;
use crate::proxy::client::refuse;
use crate::proxy::http::peer::{Preface, preface};
use crate::proxy::net::background::InWork;
use crate::proxy::net::link::Control;
use crate::proxy::net::stream::{Prefix, Stream};
use crate::proxy::worker::Worker;
use crate::telemetry::metrics::{ConnectionRefused, Handshake, Open, Phase};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of HTTP/2 (RFC 9113 §3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection that is being greeted may take for it when the proxy drains.
const GREETING_GRACE: Duration = Duration::from_secs(1);

/// A connection that can be served.
struct Greeted {
    stream: Stream,
    prefix: Prefix,
    client: Client,
}

/// Takes a new connection to where it is served, and serves it to its end.
pub async fn greet(
    worker: Rc<Worker>,
    greeting: InWork,
    stream: Stream,
    peer_address: Option<SocketAddr>,
    tls: bool,
) {
    let greeted = {
        let begin = begin(&worker, stream, peer_address, tls);
        let too_late = async {
            worker.stopping().await;
            tokio::time::sleep(GREETING_GRACE).await;
        };
        tokio::select! {
            biased;
            greeted = begin => greeted,
            () = too_late => {
                worker.local.connection_refused(ConnectionRefused::Draining);
                None
            }
        }
    };
    drop(greeting);
    let Some(Greeted {
        stream,
        prefix,
        client,
    }) = greeted
    else {
        return;
    };
    let _open = worker.local.open(Open::Connection);
    if client.http2 {
        let peer = peer_address.map(|peer| peer.ip().to_canonical());
        http2::serve(worker, stream, prefix, client, peer).await
    } else {
        http1::serve(worker, stream, prefix, client).await
    }
}

/// All that comes before HTTP.
async fn begin(
    worker: &Worker,
    mut stream: Stream,
    peer_address: Option<SocketAddr>,
    tls: bool,
) -> Option<Greeted> {
    let is_trusted = |address: Option<IpAddr>| match address {
        Some(address) => worker
            .config
            .trusted_proxies
            .iter()
            .any(|n| n.contains(address)),
        None => worker.config.trusts_unix,
    };
    let mut address = peer_address.map(|a| a.ip().to_canonical());
    let mut trusted = is_trusted(address);
    let ends = stream.local_address().zip(peer_address);
    let header = worker.config.timeouts.header;
    if worker.config.accept_proxy_protocol && trusted {
        match tokio::time::timeout(header, read_preface(&mut stream)).await {
            Ok(Ok(Some(source))) => {
                // From here on the source speaks, and it is believed only if it is trusted itself.
                address = Some(source);
                trusted = is_trusted(address);
            }
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => {
                worker.local.head_error(400);
                return None;
            }
        }
    }
    let mut http2 = false;
    let mut prefix = Prefix::default();
    if tls {
        stream = handshake(worker, stream).await?;
        http2 = stream.chose_http2();
    } else if worker.config.http2 && matches!(stream, Stream::Tcp(_)) {
        let in_time = tokio::time::timeout(header, speaks_http2(&mut stream, &mut prefix)).await;
        if in_time.is_err() && prefix.bytes.is_empty() {
            return None;
        }
        prefix.late = in_time.is_err();
        http2 = matches!(in_time, Ok(Ok(true)));
    }
    let client = Client {
        link: Rc::default(),
        control: Rc::new(Control::default()),
        ends,
        checked: Cell::new(false),
        http2,
        address,
        trusted,
        scheme: if tls { "https" } else { "http" },
        last: RefCell::default(),
        unread: Cell::new(None),
        tunnel: Cell::new(None),
    };
    Some(Greeted {
        stream,
        prefix,
        client,
    })
}

/// The connection behind its TLS handshake.
pub async fn handshake(worker: &Worker, stream: Stream) -> Option<Stream> {
    let (Stream::Tcp(tcp), Some(acceptor)) = (stream, worker.shared.acceptor.as_ref()) else {
        return None;
    };
    let limit = worker.config.timeouts.tls_handshake;
    let accepted = tokio::time::timeout(limit, async {
        let mut first = [0];
        if tcp.peek(&mut first).await.is_ok_and(|n| n == 1) && begins_http(first[0]) {
            return Err(tcp);
        }
        Ok(acceptor.accept(tcp).await)
    });
    let (result, why) = match accepted.await {
        Ok(Ok(Ok(accepted))) => {
            worker.local.handshake(Handshake::Ok);
            return Some(Stream::Tls(Box::new(accepted.into())));
        }
        Ok(Ok(Err(error))) => (Handshake::Failed, failure_of_client(&error)),
        Ok(Err(tcp)) => {
            refuse::plain_http(worker, Stream::Tcp(tcp)).await;
            (
                Handshake::Failed,
                "plain HTTP came to a port that speaks TLS",
            )
        }
        Err(_) => {
            worker.local.timeout(Phase::TlsHandshake);
            (Handshake::TimedOut, "they took too long")
        }
    };
    worker.local.handshake(result);
    worker.local.connection_refused(ConnectionRefused::Tls);
    worker.shared.telemetry.health.handshake_failed(why);
    None
}

/// Whether a connection that begins so speaks HTTP and not TLS: methods are letters, TLS begins with 22.
fn begins_http(first: u8) -> bool {
    first.is_ascii_alphabetic()
}

/// Why a client's handshake failed, in one of few ways to say it.
fn failure_of_client(error: &io::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, Error, PeerIncompatible as Lacks, PeerMisbehaved};
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match tls {
        None => "the client broke off",
        Some(Error::PeerIncompatible(lacks)) => match lacks {
            Lacks::Tls12NotOffered
            | Lacks::Tls12NotOfferedOrEnabled
            | Lacks::SupportedVersionsExtensionRequired => "the client speaks no TLS 1.2 or 1.3",
            Lacks::NoCipherSuitesInCommon => "no cipher in common",
            Lacks::NoKxGroupsInCommon
            | Lacks::NamedGroupsExtensionRequired
            | Lacks::KeyShareExtensionRequired => "no key exchange in common",
            Lacks::NoSignatureSchemesInCommon => {
                "the client takes no signature of the certificate's key"
            }
            _ => "the client lacks what TLS needs",
        },
        Some(Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::UnsupportedCertificate,
        )) => "the client does not trust the certificate",
        Some(Error::AlertReceived(_)) => "the client refused by an alert",
        Some(Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)) => {
            "the name asked for (SNI) is no DNS name"
        }
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => {
            "what came is no TLS"
        }
        Some(Error::NoApplicationProtocol) => "no protocol in common (ALPN)",
        Some(_) => "the client broke the rules of TLS",
    }
}

/// Reads a PROXY header and not one byte more.
async fn read_preface(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    // Shorter than this is neither version's, so reading it takes nothing of what follows.
    let mut bytes = vec![0; 12];
    stream.read_exact(&mut bytes).await?;
    loop {
        match preface(&bytes) {
            Preface::Proxied { source, .. } => return Ok(source),
            Preface::Bad => return Err(io::ErrorKind::InvalidData.into()),
            Preface::More { wanted } => {
                let have = bytes.len();
                bytes.resize(have + wanted, 0);
                stream.read_exact(&mut bytes[have..]).await?;
            }
        }
    }
}

/// Whether the first bytes are HTTP/2's; they are left in `prefix`, with what came behind them.
pub async fn speaks_http2(
    stream: &mut (impl AsyncRead + Unpin),
    prefix: &mut Prefix,
) -> io::Result<bool> {
    loop {
        let compared = prefix.bytes.len().min(HTTP2.len());
        if prefix.bytes[..compared] != HTTP2[..compared] {
            return Ok(false);
        }
        if compared == HTTP2.len() {
            return Ok(true);
        }
        if stream.read_buf(&mut prefix.bytes).await? == 0 {
            return Ok(false);
        }
        prefix.since.get_or_insert_with(Instant::now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (io::Result<Option<IpAddr>>, Vec<u8>) {
        let mut rest = bytes;
        let read = read_preface(&mut rest).await;
        (read, rest.to_vec())
    }

    #[tokio::test]
    async fn a_proxy_header_is_read_and_not_one_byte_of_what_follows() {
        for (header, source) in [
            (
                &b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n"[..],
                Some("192.0.2.7".parse().unwrap()),
            ),
            (b"PROXY UNKNOWN\r\n", None),
            (
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\xc6\x33\x64\x01\0\x50\x01\xbb",
                Some("192.0.2.9".parse().unwrap()),
            ),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", None),
        ] {
            let (read, rest) = read(&[header, b"GET / HTTP/1.1\r\n"].concat()).await;
            assert_eq!(read.unwrap(), source);
            assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        }
        assert!(read(b"GET / HTTP/1.1\r\n\r\n").await.0.is_err());
        assert!(read(b"PROXY TCP4").await.0.is_err());
    }
}
