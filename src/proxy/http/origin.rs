//! Turns the portal's own origin in answers into the proxy's, so that browsers and redirects stay here (pure).

use crate::proxy::http::head::Name;

/// The portal's host and port, and the schemes' default ports.
pub struct Portal<'a> {
    pub host: &'a str,
    pub port: u16,
}

/// The proxy as the client sees it.
pub struct Seen<'a> {
    pub scheme: &'a str,
    /// The `Host` that the client sent.
    pub authority: &'a [u8],
}

/// The value of `Location`, `Refresh` or `Set-Cookie` with the portal's origin turned; `None` where there is none.
pub fn turn(name: Name, value: &[u8], portal: &Portal<'_>, seen: &Seen<'_>) -> Option<Vec<u8>> {
    if seen.authority.is_empty() {
        return None;
    }
    match name {
        Name::Location => address(value, portal, seen),
        Name::Refresh => {
            let at = find(value, b"url=")? + 4;
            let quote = usize::from(matches!(value.get(at), Some(b'"' | b'\'')));
            let turned = address(&value[at + quote..], portal, seen)?;
            Some([&value[..at + quote], &turned].concat())
        }
        Name::SetCookie => cookie(value, portal, seen),
        _ => None,
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len())
        .position(|w| w.eq_ignore_ascii_case(word))
}

/// An address that begins with the portal's origin.
fn address(value: &[u8], portal: &Portal<'_>, seen: &Seen<'_>) -> Option<Vec<u8>> {
    let (default, rest) = if value.len() >= 8 && value[..8].eq_ignore_ascii_case(b"https://") {
        (443, &value[8..])
    } else if value.len() >= 7 && value[..7].eq_ignore_ascii_case(b"http://") {
        (80, &value[7..])
    } else {
        return None;
    };
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b' '))
        .unwrap_or(rest.len());
    let authority = std::str::from_utf8(&rest[..end]).ok()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (host, port.parse().ok()?)
        }
        _ => (authority, default),
    };
    let own_port =
        port == portal.port || matches!(port, 80 | 443) && matches!(portal.port, 80 | 443);
    if !host.eq_ignore_ascii_case(portal.host) || !own_port {
        return None;
    }
    let mut turned = Vec::with_capacity(value.len() + seen.authority.len());
    turned.extend_from_slice(seen.scheme.as_bytes());
    turned.extend_from_slice(b"://");
    turned.extend_from_slice(seen.authority);
    turned.extend_from_slice(&rest[end..]);
    Some(turned)
}

/// A cookie for the portal's own name, or the domain that it lies in.
fn cookie(value: &[u8], portal: &Portal<'_>, seen: &Seen<'_>) -> Option<Vec<u8>> {
    let mut turned = Vec::with_capacity(value.len());
    let mut changed = false;
    for (i, part) in value.split(|b| *b == b';').enumerate() {
        let trimmed = part.trim_ascii();
        if i > 0 && trimmed.len() > 7 && trimmed[..7].eq_ignore_ascii_case(b"domain=") {
            let domain = trimmed[7..].strip_prefix(b".").unwrap_or(&trimmed[7..]);
            let host = portal.host.as_bytes();
            let covers = host.eq_ignore_ascii_case(domain)
                || host.len() > domain.len() + 1
                    && host[host.len() - domain.len()..].eq_ignore_ascii_case(domain)
                    && host[host.len() - domain.len() - 1] == b'.';
            if covers {
                changed = true;
                turned.extend_from_slice(b"; Domain=");
                turned.extend_from_slice(without_port(seen.authority));
                continue;
            }
        }
        if i > 0 {
            turned.push(b';');
        }
        turned.extend_from_slice(part);
    }
    changed.then_some(turned)
}

fn without_port(authority: &[u8]) -> &[u8] {
    if authority.starts_with(b"[") {
        return authority;
    }
    authority.split(|b| *b == b':').next().unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(name: Name, value: &str) -> Option<String> {
        let portal = Portal {
            host: "x.bitrix24.com",
            port: 443,
        };
        let seen = Seen {
            scheme: "http",
            authority: b"proxy.local:8080",
        };
        turn(name, value.as_bytes(), &portal, &seen).map(|v| String::from_utf8(v).unwrap())
    }

    #[test]
    fn the_portals_own_addresses_become_the_proxys() {
        assert_eq!(
            turned(Name::Location, "https://X.bitrix24.com/a?b#c").as_deref(),
            Some("http://proxy.local:8080/a?b#c")
        );
        assert_eq!(
            turned(Name::Location, "http://x.bitrix24.com:443").as_deref(),
            Some("http://proxy.local:8080")
        );
        assert_eq!(
            turned(Name::Refresh, "0; url=https://x.bitrix24.com/").as_deref(),
            Some("0; url=http://proxy.local:8080/")
        );
        assert_eq!(
            turned(Name::SetCookie, "a=b; Path=/; Domain=.bitrix24.com; Secure").as_deref(),
            Some("a=b; Path=/; Domain=proxy.local; Secure")
        );
    }

    #[test]
    fn other_addresses_stay() {
        assert_eq!(turned(Name::Location, "/relative"), None);
        assert_eq!(
            turned(Name::Location, "https://x.bitrix24.com.evil.example/"),
            None
        );
        assert_eq!(turned(Name::Location, "https://x.bitrix24.com:8443/"), None);
        assert_eq!(
            turned(Name::SetCookie, "domain=x; Path=/; Domain=other.example"),
            None
        );
    }
}
