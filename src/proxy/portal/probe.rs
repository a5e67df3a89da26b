//! One question to the portal by itself, before anything is served.

use crate::proxy::config::Config;
use crate::proxy::http::fields::Name;
use crate::proxy::http::head::Limits;
use crate::proxy::http::read::read_response;
use crate::proxy::net::tls;
use crate::proxy::portal::dial::dial;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// So much of an answer is read.
const LONGEST: u64 = 64 * 1024;

/// Who answers where the portal should be.
#[derive(Debug)]
pub struct Answered {
    /// Where it was reached; nothing for a Unix socket.
    pub address: Option<SocketAddr>,
    /// The version of TLS that was agreed on, where it is spoken.
    pub tls: Option<&'static str>,
    pub status: u16,
    /// Where it sends its clients instead.
    pub location: Option<String>,
    /// Whether a field bears Bitrix's name.
    pub is_marked: bool,
    pub body: Vec<u8>,
}

/// Asks for a method that changes nothing, without a credential, as a call would go: same address, name and trust.
///
/// # Errors
/// Why it cannot be reached, or that what comes back is not HTTP.
pub async fn probe(config: &Config) -> Result<Answered, String> {
    let connector = tls::client(config)?.map(TlsConnector::from);
    let from = config.upstream_sources.first().copied();
    let mut stream = dial(config, connector.as_ref(), from)
        .await
        .map_err(|error| error.cause().to_owned())?;
    let (address, tls) = (stream.peer_address(), stream.tls_version());
    let mut request = format!(
        "GET {}scope.json HTTP/1.0\r\nHost: ",
        config.rest_path.as_str()
    )
    .into_bytes();
    let host = config.host_for_portal();
    request.extend_from_slice(host.as_deref().unwrap_or(b"localhost"));
    // HTTP/1.0, so that the answer ends with the connection.
    request.extend_from_slice(b"\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(&request).await?;
        stream.flush().await?;
        match (&mut stream).take(LONGEST).read_to_end(&mut answer).await {
            // Many servers end a connection without TLS's own goodbye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            other => other.map(drop),
        }
    };
    match tokio::time::timeout(config.timeouts.response, exchange).await {
        Err(_) => return Err("it does not answer in time".into()),
        Ok(Err(_)) if answer.is_empty() => return Err("it broke off without an answer".into()),
        Ok(_) => {}
    }
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or("what it answers is not HTTP")?;
    let body = answer.split_off(end + 4);
    let limits = Limits {
        head: 64 * 1024,
        target: 0,
        fields: 512,
    };
    let head = read_response(Bytes::from(answer), &limits, false)
        .map_err(|_| "what it answers is not HTTP")?;
    let location = head.fields.first(Name::Location);
    Ok(Answered {
        address,
        tls,
        status: head.status,
        location: location.map(|value| String::from_utf8_lossy(value).into_owned()),
        is_marked: head.fields.list().iter().any(|field| {
            let name = head.fields.name(field);
            name.len() > 8 && name[..8].eq_ignore_ascii_case(b"x-bitrix")
        }),
        body,
    })
}
