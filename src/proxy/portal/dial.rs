//! Reaching the portal: its name, its addresses in turn, TLS.

use crate::proxy::config::{Config, Portal};
use crate::proxy::error::{Failure, Kind};
use crate::proxy::net::descriptors::is_kept_back;
use crate::proxy::net::stream::Stream;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// A new connection, with its TLS handshake done, from this address of ours where one is given.
///
/// # Errors
/// Where and why it failed.
pub async fn dial(
    config: &Config,
    tls_connector: Option<&TlsConnector>,
    from: Option<IpAddr>,
) -> Result<Stream, Failure> {
    let limit = config.timeouts.connect;
    let (tls, host, port) = match &config.portal {
        Portal::Unix(path) => {
            return match tokio::time::timeout(limit, UnixStream::connect(path)).await {
                Ok(Ok(stream)) if is_kept_back(&stream) => Err(refused(&no_descriptor())),
                Ok(Ok(stream)) => Ok(Stream::Unix(stream)),
                Ok(Err(e)) => Err(refused(&e)),
                Err(_) => Err(timed_out("connecting")),
            };
        }
        Portal::Tcp { tls, host, port } => (*tls, host, *port),
    };
    let (dial_host, dial_port) = match &config.upstream_connect {
        Some((host, port)) => (host, *port),
        None => (host, port),
    };
    let tcp = tokio::time::timeout(limit, connect_any(dial_host, dial_port, from, limit))
        .await
        .unwrap_or_else(|_| Err(timed_out("connecting")))?;
    let _ = tcp.set_nodelay(true);
    if !tls {
        return Ok(Stream::Tcp(tcp));
    }
    let Some(connector) = tls_connector else {
        return Err(Failure::new(
            Kind::Handshake,
            "no certificate authorities could be loaded",
        ));
    };
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| Failure::new(Kind::Handshake, "its name cannot stand in a certificate"))?;
    match tokio::time::timeout(config.timeouts.tls_handshake, connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream.into()))),
        Ok(Err(e)) => Err(tls_failed(&e)),
        Err(_) => Err(timed_out("the TLS handshake")),
    }
}

/// Looks the name up and dials each of its addresses in turn.
async fn connect_any(
    host: &str,
    port: u16,
    from: Option<IpAddr>,
    limit: Duration,
) -> Result<TcpStream, Failure> {
    let host = host.trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> = match host.parse() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((host, port))
            .await
            .map_err(|_| Failure::new(Kind::NameUnresolved, "its name cannot be resolved"))?
            .collect(),
    };
    connect_in_turn(&addresses, from, limit).await
}

/// The first of the addresses that takes a connection; each gets its share of the time.
async fn connect_in_turn(
    addresses: &[SocketAddr],
    from: Option<IpAddr>,
    limit: Duration,
) -> Result<TcpStream, Failure> {
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = Failure::new(
        Kind::NameUnresolved,
        match from {
            None => "its name has no address",
            Some(_) => "its name has no address of the family of --upstream-source",
        },
    );
    let is_reachable =
        |address: &&SocketAddr| from.is_none_or(|from| from.is_ipv4() == address.is_ipv4());
    for address in addresses.iter().filter(is_reachable) {
        match tokio::time::timeout(share, connect(from, *address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = refused(&e),
            Err(_) => last = timed_out("connecting"),
        }
    }
    Err(last)
}

async fn connect(from: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if is_kept_back(&socket) {
        return Err(no_descriptor());
    }
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(address).await
}

fn no_descriptor() -> io::Error {
    io::Error::from_raw_os_error(24)
}

fn refused(e: &io::Error) -> Failure {
    let (kind, what) = match e.kind() {
        // EMFILE, ENFILE.
        _ if matches!(e.raw_os_error(), Some(23 | 24)) => (
            Kind::NoSocket,
            "the proxy has no descriptor left for a connection",
        ),
        io::ErrorKind::AddrNotAvailable => (
            Kind::NoSocket,
            "the proxy has no port left for a connection",
        ),
        io::ErrorKind::ConnectionRefused => (Kind::ConnectRefused, "it refused the connection"),
        io::ErrorKind::NotFound => (Kind::ConnectRefused, "its socket does not exist"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            (Kind::NoRoute, "there is no route to it")
        }
        io::ErrorKind::TimedOut => (Kind::ConnectTimeout, "connecting took too long"),
        _ => (Kind::ConnectRefused, "connecting failed"),
    };
    Failure::new(kind, what)
}

fn timed_out(what: &str) -> Failure {
    Failure::new(Kind::ConnectTimeout, format!("{what} took too long"))
}

fn tls_failed(e: &io::Error) -> Failure {
    let tls = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => Failure::new(
            Kind::Certificate,
            format!("its certificate is not valid ({})", certificate_error(why)),
        ),
        Some(error) => Failure::new(
            Kind::Handshake,
            format!("the TLS handshake failed: {}", disagreement(error)),
        ),
        None => Failure::new(Kind::Handshake, "it broke off the TLS handshake"),
    }
}

/// The part of the handshake on which both sides did not agree.
fn disagreement(error: &rustls::Error) -> String {
    use rustls::PeerMisbehaved as Broke;
    use rustls::{AlertDescription as Alert, Error as E, PeerIncompatible as Lacks};
    const VERSION: &str = "no version in common (the proxy speaks TLS 1.2 and 1.3)";
    const CIPHER: &str = "no cipher in common (the proxy speaks AES-GCM and ChaCha20-Poly1305, in TLS 1.2 with ECDHE)";
    const EXCHANGE: &str =
        "no key exchange in common (the proxy speaks X25519MLKEM768, X25519, P-256 and P-384)";
    match error {
        E::PeerIncompatible(
            Lacks::ServerDoesNotSupportTls12Or13
            | Lacks::ServerTlsVersionIsDisabledByOurConfig
            | Lacks::SupportedVersionsExtensionRequired,
        )
        | E::AlertReceived(Alert::ProtocolVersion) => VERSION.into(),
        E::PeerIncompatible(Lacks::NoCipherSuitesInCommon)
        | E::PeerMisbehaved(Broke::SelectedUnofferedCipherSuite)
        | E::AlertReceived(Alert::InsufficientSecurity) => CIPHER.into(),
        E::PeerIncompatible(
            Lacks::NoKxGroupsInCommon
            | Lacks::NamedGroupsExtensionRequired
            | Lacks::KeyShareExtensionRequired,
        )
        | E::PeerMisbehaved(
            Broke::SelectedUnofferedKxGroup
            | Broke::IllegalHelloRetryRequestWithUnofferedNamedGroup,
        ) => EXCHANGE.into(),
        // A server has one alert for both.
        E::AlertReceived(Alert::HandshakeFailure) => format!("{CIPHER}, or {EXCHANGE}"),
        E::AlertReceived(alert) => format!("the portal sent the alert {alert:?}"),
        E::InvalidMessage(_) => "what it answers is no TLS".into(),
        E::PeerIncompatible(lacks) => format!("it lacks what TLS needs ({lacks:?})"),
        _ => "it broke the rules of TLS".into(),
    }
}

fn certificate_error(e: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as E;
    match e {
        E::Expired | E::ExpiredContext { .. } => "expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "not valid yet",
        E::UnknownIssuer => "unknown issuer",
        E::NotValidForName | E::NotValidForNameContext { .. } => "for another name",
        E::Revoked => "revoked",
        // The checker's own error is hidden in it.
        E::Other(why) if format!("{why:?}").contains("UnsupportedCertVersion") => {
            "it is of X.509 version 1 or 2, and only version 3 can be checked"
        }
        E::BadSignature => {
            "its signature does not fit, or its issuer's key is shorter than RSA 2048"
        }
        _ => "not trusted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Addresses of this machine: one that refuses, one that does not answer, one that takes connections; and what
    /// holds them.
    fn addresses() -> ([SocketAddr; 3], impl Sized) {
        use socket2::{Domain, Socket, Type};
        let bound = |backlog: Option<i32>| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            socket.bind(&any.into()).expect("a free port");
            if let Some(backlog) = backlog {
                socket.listen(backlog).expect("it listens");
            }
            let address = socket.local_addr().expect("an address");
            (address.as_socket().expect("an IP address"), socket)
        };
        let (refusing, deaf, open) = (bound(None), bound(Some(0)), bound(Some(9)));
        // The queue is full with these.
        let mut filling = Vec::new();
        while let Ok(one) =
            std::net::TcpStream::connect_timeout(&deaf.0, Duration::from_millis(100))
        {
            filling.push(one);
        }
        (
            [refusing.0, deaf.0, open.0],
            (refusing.1, deaf.1, open.1, filling),
        )
    }

    #[tokio::test]
    async fn the_next_address_is_dialled_when_one_does_not_answer() {
        let ([refusing, deaf, open], _held) = addresses();
        let limit = Duration::from_millis(900);
        let begun = Instant::now();
        let reached = connect_in_turn(&[refusing, deaf, open], None, limit).await;
        assert_eq!(reached.expect("the last").peer_addr().unwrap(), open);
        assert!(begun.elapsed() >= limit / 3 && begun.elapsed() < limit);
        let error = connect_in_turn(&[refusing, deaf], None, limit).await;
        assert_eq!(
            error.expect_err("neither").row().proxy_status,
            "connection_timeout"
        );
        let error = connect_in_turn(&[deaf, refusing], None, limit).await;
        assert_eq!(
            error.expect_err("neither").row().proxy_status,
            "connection_refused"
        );
    }
}
