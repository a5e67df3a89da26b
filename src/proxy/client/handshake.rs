//! TLS handshakes of clients.

use crate::proxy::client::refuse;
use crate::proxy::client::registry::Registry;
use crate::proxy::client::sniff::begins_http;
use crate::proxy::net::stream::Stream;
use crate::telemetry::metrics::{ConnectionRefused, Handshake, Phase};
use std::io;

/// The connection behind its TLS handshake.
pub async fn handshake(registry: &Registry, stream: Stream) -> Option<Stream> {
    let (Stream::Tcp(tcp), Some(acceptor)) = (stream, registry.admission.acceptor.as_ref()) else {
        return None;
    };
    let limit = registry.context.config.timeouts.tls_handshake;
    let accepted = tokio::time::timeout(limit, async {
        let mut first = [0];
        if tcp.peek(&mut first).await.is_ok_and(|n| n == 1) && begins_http(first[0]) {
            return Err(tcp);
        }
        Ok(acceptor.accept(tcp).await)
    });
    let (result, why) = match accepted.await {
        Ok(Ok(Ok(accepted))) => {
            registry.context.local.handshake(Handshake::Ok);
            return Some(Stream::Tls(Box::new(accepted.into())));
        }
        Ok(Ok(Err(error))) => (Handshake::Failed, failure_of_client(&error)),
        Ok(Err(tcp)) => {
            refuse::plain_http(registry, Stream::Tcp(tcp)).await;
            (
                Handshake::Failed,
                "plain HTTP came to a port that speaks TLS",
            )
        }
        Err(_) => {
            registry.context.local.timeout(Phase::TlsHandshake);
            (Handshake::TimedOut, "they took too long")
        }
    };
    registry.context.local.handshake(result);
    registry
        .context
        .local
        .connection_refused(ConnectionRefused::Tls);
    registry
        .context
        .calls
        .telemetry
        .health
        .handshake_failed(why);
    None
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
