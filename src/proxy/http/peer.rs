//! Who the peer says it speaks for: PROXY protocol v1 and v2, and the client in `X-Forwarded-For` (pure).

use crate::proxy::config::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the beginning of a connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// Not whole yet; at least so many bytes more belong to it.
    More { wanted: usize },
    /// A PROXY header of that many bytes; the source, unless the sender spoke for itself (`LOCAL`, `UNKNOWN`).
    Proxied {
        length: usize,
        source: Option<IpAddr>,
    },
    /// No PROXY header, or one that cannot be read.
    Bad,
}

const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A line of version 1 is at most this long, its end included (§2.1).
const V1_MOST: usize = 107;

/// Reads a PROXY header (HAProxy's PROXY protocol, §2.1 and §2.2).
pub fn preface(bytes: &[u8]) -> Preface {
    let begins = |with: &[u8]| {
        bytes.len() >= with.len() && &bytes[..with.len()] == with || with.starts_with(bytes)
    };
    if begins(V2) {
        return version2(bytes);
    }
    if begins(b"PROXY ") {
        return version1(bytes);
    }
    Preface::Bad
}

fn version1(bytes: &[u8]) -> Preface {
    let come = &bytes[..bytes.len().min(V1_MOST)];
    let Some(end) = memchr::memchr(b'\n', come) else {
        return if bytes.len() < V1_MOST {
            Preface::More { wanted: 1 }
        } else {
            Preface::Bad
        };
    };
    let Some(line) = bytes[..end]
        .strip_suffix(b"\r")
        .and_then(|line| std::str::from_utf8(line).ok())
    else {
        return Preface::Bad;
    };
    let mut words = line.split(' ').skip(1);
    let source = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4" | "TCP6") => match words.next().and_then(|w| w.parse::<IpAddr>().ok()) {
            Some(address) => Some(address.to_canonical()),
            None => return Preface::Bad,
        },
        _ => return Preface::Bad,
    };
    Preface::Proxied {
        length: end + 1,
        source,
    }
}

fn version2(bytes: &[u8]) -> Preface {
    if bytes.len() < 16 {
        return Preface::More {
            wanted: 16 - bytes.len(),
        };
    }
    let (version, command, family) = (bytes[12] >> 4, bytes[12] & 15, bytes[13] >> 4);
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if version != 2 || command > 1 || length > 4096 {
        return Preface::Bad;
    }
    if bytes.len() < length {
        return Preface::More {
            wanted: length - bytes.len(),
        };
    }
    let source = match (command, family) {
        (0, _) | (_, 0 | 3) => None,
        (_, 1) if length >= 28 => Some(IpAddr::V4(Ipv4Addr::new(
            bytes[16], bytes[17], bytes[18], bytes[19],
        ))),
        (_, 2) if length >= 52 => {
            let mut octets = [0u8; 16];
            octets.copy_from_slice(&bytes[16..32]);
            Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
        }
        _ => return Preface::Bad,
    };
    Preface::Proxied { length, source }
}

/// The client's address: behind a trusted peer the last one in `X-Forwarded-For` that is not itself trusted.
pub fn client_address<'a>(
    peer: Option<IpAddr>,
    trusted: bool,
    forwarded_for: impl Iterator<Item = &'a [u8]>,
    networks: &[Network],
) -> Option<IpAddr> {
    if !trusted {
        return peer;
    }
    let hops: Vec<&[u8]> = forwarded_for
        .flat_map(crate::proxy::http::fields::list_items)
        .collect();
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Some(address) = parse_address(hop) else {
            break;
        };
        client = Some(address);
        if !networks.iter().any(|network| network.contains(address)) {
            break;
        }
    }
    client
}

/// An address, possibly with a port or in brackets.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|a: IpAddr| a.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_names_its_source() {
        let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\nGET";
        assert_eq!(
            preface(header),
            Preface::Proxied {
                length: header.len() - 3,
                source: Some("192.0.2.7".parse().unwrap())
            }
        );
        assert_eq!(
            preface(b"PROXY UNKNOWN\r\n"),
            Preface::Proxied {
                length: 15,
                source: None
            }
        );
        assert_eq!(preface(b"PRO"), Preface::More { wanted: 1 });
        assert_eq!(preface(b"GET / HTTP/1.1\r\n"), Preface::Bad);
        assert_eq!(preface(b"PROXY TCP4 nobody\r\n"), Preface::Bad);
    }

    #[test]
    fn version_2_names_its_source() {
        let mut header = V2.to_vec();
        header.extend_from_slice(&[
            0x21, 0x11, 0, 12, 192, 0, 2, 9, 198, 51, 100, 1, 0, 80, 1, 187,
        ]);
        assert_eq!(
            preface(&header),
            Preface::Proxied {
                length: 28,
                source: Some("192.0.2.9".parse().unwrap())
            }
        );
        assert_eq!(preface(&header[..20]), Preface::More { wanted: 8 });
        assert_eq!(preface(&header[..4]), Preface::More { wanted: 12 });
    }

    #[test]
    fn an_ipv4_address_within_ipv6_is_the_ipv4_address() {
        let source = Some("192.0.2.7".parse().unwrap());
        let header = b"PROXY TCP6 ::ffff:192.0.2.7 ::1 5000 443\r\n";
        let length = header.len();
        assert_eq!(preface(header), Preface::Proxied { length, source });
        let mut header = V2.to_vec();
        header.extend_from_slice(&[0x21, 0x21, 0, 36]);
        let mapped: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
        header.extend_from_slice(&mapped.octets());
        header.extend_from_slice(&[0; 20]);
        let length = header.len();
        assert_eq!(preface(&header), Preface::Proxied { length, source });
    }

    #[test]
    fn only_a_trusted_peer_speaks_for_others() {
        let networks = [Network {
            address: "10.0.0.0".parse().unwrap(),
            prefix: 8,
        }];
        let forwarded = [&b"203.0.113.5, 198.51.100.7"[..], b"10.1.1.1"];
        let peer: Option<IpAddr> = Some("10.0.0.1".parse().unwrap());
        let of = |trusted| client_address(peer, trusted, forwarded.iter().copied(), &networks);
        assert_eq!(of(false), peer);
        assert_eq!(of(true), Some("198.51.100.7".parse().unwrap()));
    }
}
