//! Turns the portal's own origin in answers into the proxy's, so that browsers and redirects stay here (pure).

use crate::proxy::config::{Config, Portal};
use crate::proxy::http::fields::Name;
use std::net::IpAddr;

/// A name by which the portal is known, and its ports there. Portals know little of their own port and scheme behind a
/// proxy, so that 80 and 443 are alike.
#[derive(Debug)]
pub struct Own {
    host: String,
    port: u16,
    /// A further port; the same where there is none.
    dialled: u16,
}

/// The proxy as the client sees it.
pub struct Seen<'a> {
    pub scheme: &'a str,
    /// The `Host` that the client sent.
    pub authority: &'a [u8],
}

/// The names of the portal: those of `--upstream` and `--upstream-host`.
pub fn own(config: &Config) -> Vec<Own> {
    let mut names = Vec::new();
    let mut dialled = None;
    if let Portal::Tcp { host, port, .. } = &config.portal {
        dialled = Some(*port);
        names.push(Own {
            host: host.clone(),
            port: *port,
            dialled: *port,
        });
    }
    if let Some((host, port)) = config.upstream_host.as_deref().and_then(host_and_port) {
        let port = port.unwrap_or(443);
        names.push(Own {
            host: host.to_owned(),
            port,
            dialled: dialled.unwrap_or(port),
        });
    }
    names
}

impl Own {
    fn is_named(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.host)
            || host
                .parse::<IpAddr>()
                .is_ok_and(|a| self.host.parse() == Ok(a))
    }

    fn is_at(&self, port: u16) -> bool {
        port == self.port
            || port == self.dialled
            || matches!(port, 80 | 443) && matches!(self.port, 80 | 443)
    }

    /// Whether the domain is the name, or one that it lies in.
    fn lies_in(&self, domain: &str) -> bool {
        let Some(at) = self.host.len().checked_sub(domain.len()) else {
            return false;
        };
        let inside =
            at == 0 || self.host.as_bytes()[at - 1] == b'.' && self.host.parse::<IpAddr>().is_err();
        inside && self.host.as_bytes()[at..].eq_ignore_ascii_case(domain.as_bytes())
    }
}

/// The value of `Location`, `Refresh` or `Set-Cookie` with the portal's origin turned; `None` where there is none.
pub fn turn(name: Name, value: &[u8], own: &[Own], seen: &Seen<'_>) -> Option<Vec<u8>> {
    if seen.authority.is_empty() {
        return None;
    }
    match name {
        Name::Location => address(value, own, seen),
        Name::Refresh => {
            let at = refresh_address(value)?;
            let turned = address(&value[at..], own, seen)?;
            Some([&value[..at], &turned].concat())
        }
        Name::SetCookie => cookie(value, own, seen),
        _ => None,
    }
}

/// Where the address begins in a `Refresh`: `3; url=ADDRESS`, `3, ADDRESS`, `3;URL='ADDRESS'` (HTML, "shared
/// declarative refresh steps").
fn refresh_address(value: &[u8]) -> Option<usize> {
    let past =
        |at: usize, is: fn(u8) -> bool| at + value[at..].iter().take_while(|b| is(**b)).count();
    let space = |b: u8| b.is_ascii_whitespace();
    let time = past(0, space);
    let end = past(time, |b| b.is_ascii_digit() || b == b'.');
    let mut at = past(end, space);
    if matches!(value.get(at), Some(b';' | b',')) {
        at += 1;
    } else if at == end {
        return None;
    }
    at = past(at, space);
    if end == time || at == value.len() {
        return None;
    }
    if value[at..].len() > 3 && value[at..at + 3].eq_ignore_ascii_case(b"url") {
        let equals = past(at + 3, space);
        if value.get(equals) == Some(&b'=') {
            at = past(equals + 1, space);
        }
    }
    Some(at + usize::from(matches!(value.get(at), Some(b'"' | b'\''))))
}

/// A host without its brackets, and its port.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    Some(match rest.strip_prefix(':') {
        None if rest.is_empty() => (host, None),
        Some("") => (host, None),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => (host, Some(port.parse().ok()?)),
        _ => return None,
    })
}

/// An address that begins with the portal's origin.
fn address(value: &[u8], own: &[Own], seen: &Seen<'_>) -> Option<Vec<u8>> {
    let begins = |with: &str| {
        let begin = value.get(..with.len())?;
        begin
            .eq_ignore_ascii_case(with.as_bytes())
            .then_some(&value[with.len()..])
    };
    let (default, scheme, rest) = if let Some(rest) = begins("https://") {
        (443, seen.scheme, rest)
    } else if let Some(rest) = begins("http://") {
        (80, seen.scheme, rest)
    } else {
        (443, "", begins("//")?)
    };
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b' '))
        .unwrap_or(rest.len());
    let (host, port) = host_and_port(std::str::from_utf8(&rest[..end]).ok()?)?;
    let port = port.unwrap_or(default);
    if !own.iter().any(|own| own.is_named(host) && own.is_at(port)) {
        return None;
    }
    let mut turned = Vec::with_capacity(value.len() + seen.authority.len());
    if !scheme.is_empty() {
        turned.extend_from_slice(scheme.as_bytes());
        turned.push(b':');
    }
    turned.extend_from_slice(b"//");
    turned.extend_from_slice(seen.authority);
    turned.extend_from_slice(&rest[end..]);
    Some(turned)
}

/// A cookie for the portal's own name, or the domain that it lies in. No cookie can be for a domain where the client came
/// by an address.
fn cookie(value: &[u8], own: &[Own], seen: &Seen<'_>) -> Option<Vec<u8>> {
    let (host, _) = host_and_port(std::str::from_utf8(seen.authority).ok()?)?;
    let by_address = host.parse::<IpAddr>().is_ok();
    let mut turned = Vec::with_capacity(value.len() + host.len());
    let mut changed = false;
    for (i, part) in value.split(|b| *b == b';').enumerate() {
        if i > 0 && domain(part).is_some_and(|domain| own.iter().any(|own| own.lies_in(domain))) {
            changed = true;
            if !by_address {
                turned.extend_from_slice(b"; Domain=");
                turned.extend_from_slice(host.as_bytes());
            }
            continue;
        }
        if i > 0 {
            turned.push(b';');
        }
        turned.extend_from_slice(part);
    }
    changed.then_some(turned)
}

/// The domain that this attribute of a cookie names, without quotes and a dot before it.
fn domain(attribute: &[u8]) -> Option<&str> {
    let (name, value) = std::str::from_utf8(attribute).ok()?.split_once('=')?;
    let value = value.trim().trim_matches('"').trim_matches(['[', ']']);
    let value = value.strip_prefix('.').unwrap_or(value);
    (name.trim().eq_ignore_ascii_case("domain") && !value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16, dialled: u16) -> Own {
        let host = host.to_owned();
        Own {
            host,
            port,
            dialled,
        }
    }

    fn turned_by(own: &[Own], authority: &str, name: Name, value: &str) -> Option<String> {
        let seen = Seen {
            scheme: "http",
            authority: authority.as_bytes(),
        };
        turn(name, value.as_bytes(), own, &seen).map(|v| String::from_utf8(v).unwrap())
    }

    fn turned(name: Name, value: &str) -> Option<String> {
        let portal = [at("x.bitrix24.com", 443, 443)];
        turned_by(&portal, "proxy.local:8080", name, value)
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
    #[test]
    fn a_refresh_is_read_as_browsers_do() {
        for (value, wanted) in [
            (
                "3, https://x.bitrix24.com/a",
                "3, http://proxy.local:8080/a",
            ),
            (
                "3;URL = 'https://x.bitrix24.com/'",
                "3;URL = 'http://proxy.local:8080/'",
            ),
            (" 0.5 //x.bitrix24.com/", " 0.5 //proxy.local:8080/"),
        ] {
            assert_eq!(turned(Name::Refresh, value).as_deref(), Some(wanted));
        }
        for other in [
            "3",
            "3;",
            "; url=https://x.bitrix24.com/",
            "3; url=/a?url=https://x.bitrix24.com/",
            "",
        ] {
            assert_eq!(turned(Name::Refresh, other), None, "{other}");
        }
    }

    #[test]
    fn an_address_without_a_scheme_keeps_none() {
        assert_eq!(
            turned(Name::Location, "//X.bitrix24.com/y").as_deref(),
            Some("//proxy.local:8080/y")
        );
        assert_eq!(turned(Name::Location, "//other.example/y"), None);
    }

    #[test]
    fn the_portal_is_known_by_each_of_its_names() {
        let own = [at("10.0.0.7", 8080, 8080), at("crm.example", 443, 8080)];
        let of = |value: &str| turned_by(&own, "proxy.local", Name::Location, value).is_some();
        for its in [
            "http://10.0.0.7:8080/",
            "https://crm.example/",
            "http://crm.example/",
            "http://crm.example:8080/",
        ] {
            assert!(of(its), "{its}");
        }
        for other in [
            "http://10.0.0.7/",
            "//10.0.0.7/",
            "https://crm.example:8443/",
            "http://a@crm.example/",
        ] {
            assert!(!of(other), "{other}");
        }
        let six = [at("::1", 8080, 8080)];
        let cookie = turned_by(&six, "a.example", Name::SetCookie, "a=1; Domain=[::1]");
        assert_eq!(cookie.as_deref(), Some("a=1; Domain=a.example"));
        let of = |value: &str| turned_by(&six, "[::1]:80", Name::Location, value);
        assert_eq!(
            of("http://[0:0::1]:8080/").as_deref(),
            Some("http://[::1]:80/")
        );
        assert_eq!(of("http://[::1]/"), None);
    }

    #[test]
    fn a_cookie_for_a_client_by_address_has_no_domain() {
        let own = [at("x.bitrix24.com", 443, 443)];
        for (authority, wanted) in [
            ("10.0.0.1:8080", "a=b; Secure"),
            ("[::1]:8080", "a=b; Secure"),
            ("proxy.local:8080", "a=b; Domain=proxy.local; Secure"),
        ] {
            for value in [
                "a=b; Domain=x.bitrix24.com; Secure",
                "a=b; domain = \".bitrix24.com\"; Secure",
            ] {
                let turned = turned_by(&own, authority, Name::SetCookie, value);
                assert_eq!(turned.as_deref(), Some(wanted), "{authority} {value}");
            }
        }
    }
}
