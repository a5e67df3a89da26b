//! The first bytes of a connection: a PROXY header, TLS, HTTP/2 or HTTP/1.

use crate::proxy::http::peer::{Preface, preface};
use crate::proxy::net::stream::Prefix;
use std::io;
use std::net::IpAddr;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of HTTP/2 (RFC 9113 §3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether a connection that begins so speaks HTTP and not TLS: methods are letters, TLS begins with 22.
pub fn begins_http(first: u8) -> bool {
    first.is_ascii_alphabetic()
}

/// Reads a PROXY header and not one byte more.
pub async fn read_preface(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
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
