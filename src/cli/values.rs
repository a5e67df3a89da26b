//! What a value may look like, whichever of option, environment or file it came from: durations, sizes, addresses.
//!
//! Each reader says what it expects and how to write it, and leaves it to its caller to say where the value stood.
//! A value that may hold a secret (an upstream is often pasted with its webhook) is never repeated.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::SignedDuration;

use super::text::nearest;
use crate::ladder::Step;
use crate::proxy::config::{Listen, Portal, StoreAddress};
use crate::telemetry::log::LogTarget;

/// A name or address with a port, to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A host name, or an IP address without brackets.
    pub host: String,
    pub port: u16,
}

/// `500ms`, `2s`, `5m`, `1h30m`; never negative.
pub fn duration(text: &str) -> Result<Duration, String> {
    let hint = || "it is not a duration; write it with its unit, as 500ms, 2s, 5m or 1h".to_owned();
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let read: SignedDuration = text.trim().parse().map_err(|_| hint())?;
    Duration::try_from(read).map_err(|_| hint())
}

/// As [`duration`], but zero, which would end everything at once, is refused.
pub fn time_limit(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => {
            Err("a time limit of zero would end every call; give it a length, as 5s".to_owned())
        }
        some => Ok(some),
    }
}

/// Bytes: `65536`, `64k`, `64KiB`, `32MiB`, `1G`. Units are powers of 1024, in any case.
pub fn size(text: &str) -> Result<usize, String> {
    let hint = || {
        "it is not a size; write bytes, or with a unit, as 65536, 64k, 64KiB or 32MiB".to_owned()
    };
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(hint()),
    };
    let number: usize = number.parse().map_err(|_| hint())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "it is larger than this machine can count".to_owned())
}

/// A count of at least one.
pub fn count(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(0) | Err(_) => Err("it is not a count; write a whole number of 1 or more".to_owned()),
        Ok(some) => Ok(some),
    }
}

/// A count, where `0` means that there is no limit.
pub fn limit(text: &str) -> Result<Option<usize>, String> {
    match text.trim().parse::<usize>() {
        Ok(0) => Ok(None),
        Ok(some) => Ok(Some(some)),
        Err(_) => Err("it is not a count; write a whole number, or 0 for no limit".to_owned()),
    }
}

/// `true` or `false`, and what people write instead.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("it is a switch; write true or false".to_owned()),
    }
}

/// A file's name.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        Err("it needs the name of a file".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

/// A file's name, or `-`.
pub fn output(text: &str) -> Result<LogTarget, String> {
    path(text).map(|_| LogTarget::parse(text))
}

/// A peer whose `X-Forwarded-*` is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    Network(IpNet),
    /// Whoever connects to a Unix socket.
    Unix,
}

/// `unix`, an IP address or a network: `10.0.0.0/8`, `192.0.2.1`, `2001:db8::/32`.
pub fn trusted_proxy(text: &str) -> Result<TrustedProxy, String> {
    let text = text.trim();
    if text == "unix" {
        return Ok(TrustedProxy::Unix);
    }
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(TrustedProxy::Network(network.trunc()));
    }
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.map(TrustedProxy::Network).map_err(|_| {
        "it is not an IP address or network; write it as 192.0.2.1 or 10.0.0.0/8, or unix for the peers of Unix sockets"
            .to_owned()
    })
}

/// `redis://HOST:PORT[/DB]`, `rediss://HOST:PORT[/DB]` or `unix:/path`. No error repeats the text: it may hold a password.
pub fn rate_store(text: &str) -> Result<StoreAddress, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(StoreAddress::Unix);
    }
    let shape = "write it as redis://127.0.0.1:6379, with /1 behind it for another database, or as unix:/run/redis.sock";
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("it has no redis:// or rediss://; {shape}"))?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "redis" => false,
        "rediss" => true,
        _ => {
            return Err(format!(
                "only redis://, rediss:// and unix: are understood; {shape}"
            ));
        }
    };
    if rest.contains('@') {
        return Err(
            "it has a user or password (…@), which others on this machine could read; use --rate-store-user and --rate-store-password-file"
                .to_owned(),
        );
    }
    if rest.contains(['?', '#']) {
        return Err(format!("it has a query or fragment; {shape}"));
    }
    let (authority, database) = match rest.split_once('/') {
        None | Some((_, "")) => (rest.trim_end_matches('/'), 0),
        Some((authority, number)) => {
            let number = number
                .parse()
                .ok()
                .filter(|number: &i64| (0..=65_535).contains(number));
            (
                authority,
                number.ok_or_else(|| format!("its database is not a number; {shape}"))?,
            )
        }
    };
    let (host, port) = host_and_port(authority).map_err(|why| format!("{why}; {shape}"))?;
    Ok(StoreAddress::Tcp {
        tls,
        host,
        port: port.unwrap_or(6379),
        database,
    })
}

/// A name of letters, digits, dots, dashes and underscores.
pub fn word(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let text = text.trim();
    if text.is_empty() || text.len() > 100 || !text.chars().all(is_plain) {
        return Err(
            "not a name; use up to 100 letters, digits, dots, dashes and underscores".to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// An address of this machine to connect from.
pub fn source(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .trim()
        .parse()
        .map_err(|_| "not an IP address; write it as 192.0.2.1 or 2001:db8::1".to_owned())?;
    if address.is_unspecified() {
        return Err("it is not a single address; name one of this machine's".to_owned());
    }
    Ok(address)
}

/// An IP address and port, or `localhost:PORT`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Some(port) = text
        .strip_prefix("localhost:")
        .and_then(|port| port.parse().ok())
    {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        "it is not an IP address with a port; write it as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080".to_owned()
    })
}

/// As [`address`]; `off` listens nowhere.
pub fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.trim() == "off" {
        Ok(None)
    } else {
        address(text).map(Some)
    }
}

/// `ADDR`, `http://ADDR` or `unix:/path`.
pub fn listen(text: &str) -> Result<Listen, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(Listen::Unix);
    }
    if text.starts_with("https://") {
        return Err(
            "leave https:// away; with --tls-cert and --tls-key a listener speaks TLS".to_owned(),
        );
    }
    let (address_text, plain) = match text.strip_prefix("http://") {
        Some(rest) => (rest.strip_suffix('/').unwrap_or(rest), true),
        None => (text, false),
    };
    Ok(Listen::Tcp {
        address: address(address_text)?,
        plain,
    })
}

/// `https://host[:port]`, `http://host[:port]` or `unix:/path`. No error repeats the text.
pub fn upstream(text: &str) -> Result<Portal, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(Portal::Unix);
    }
    let origin_only = "give the portal's address alone, as https://example.bitrix24.com";
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("it has no http:// or https://; {origin_only}"))?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => {
            return Err(format!(
                "only http:// and https:// addresses can be forwarded to; {origin_only}"
            ));
        }
    };
    if rest.contains('#') {
        return Err(format!("it has a fragment (#…); {origin_only}"));
    }
    if rest.contains('?') {
        return Err(format!("it has a query (?…); {origin_only}"));
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '\\']) {
        let why = "it has a path, which may hold a webhook's secret and is not shown; the path comes from each call";
        return Err(format!("{why}; {origin_only}"));
    }
    if authority.contains('@') {
        return Err(format!(
            "it has a user name or password (…@); {origin_only}"
        ));
    }
    let (host, port) = host_and_port(authority).map_err(|why| format!("{why}; {origin_only}"))?;
    let usual = if tls { 443 } else { 80 };
    Ok(Portal::Tcp {
        tls,
        host,
        port: port.unwrap_or(usual),
    })
}

/// `HOST:PORT`, the port required.
pub fn host_port(text: &str) -> Result<HostPort, String> {
    let hint = "write it as portal.internal:8443 or [2001:db8::1]:443";
    match host_and_port(text.trim()).map_err(|why| format!("{why}; {hint}"))? {
        (host, Some(port)) if port != 0 => Ok(HostPort { host, port }),
        _ => Err(format!("it lacks a port; {hint}")),
    }
}

/// A value for the `Host` field: a name or address, with a port or without.
pub fn host_field(text: &str) -> Result<String, String> {
    host_and_port(text.trim()).map(|_| text.trim().to_owned())
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("its IPv6 address lacks the closing ]")?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| "the text in its brackets is not an IPv6 address")?;
        let port = match rest {
            "" => None,
            _ => Some(
                rest.strip_prefix(':')
                    .ok_or("there is something between its ] and its port")?,
            ),
        };
        (host, port)
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address must stand in brackets".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    if !host.is_ascii() {
        return Err(
            "its host is not ASCII (write an international name in its xn-- form)".to_owned(),
        );
    }
    if !host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
    {
        return Err("its host has a character that no host name has".to_owned());
    }
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port != 0 => Some(port),
            _ => return Err("its port is not a number from 1 to 65535".to_owned()),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn unix_path(path: &str) -> Result<PathBuf, String> {
    // sun_path of Linux holds 108 bytes with the closing NUL.
    match path.strip_prefix("//").unwrap_or(path) {
        path if !path.starts_with('/') => {
            Err("a Unix socket is written with its whole path, as unix:/run/x.sock".to_owned())
        }
        path if path.len() > 107 => {
            Err("a Unix socket's path can be at most 107 bytes long".to_owned())
        }
        path => Ok(PathBuf::from(path)),
    }
}

/// `--mode MODE` (no method: all translated ones) or `--mode METHOD=MODE`, with its days where it has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeSetting {
    /// Lower-cased.
    pub method: Option<String>,
    pub step: Step,
}

/// Reads `MODE` or `METHOD=MODE`; a mode may have days, as `block from 2027-03-01`.
pub fn mode(text: &str) -> Result<ModeSetting, String> {
    let (method, mode) = match text.split_once('=') {
        Some((method, _)) if method.trim().is_empty() => {
            return Err("it names no method before its =".to_owned());
        }
        Some((method, mode)) => (Some(method.trim().to_ascii_lowercase()), mode),
        None => (None, text),
    };
    Ok(ModeSetting {
        method,
        step: Step::parse(mode)?,
    })
}

/// One word of a list.
pub fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let wanted = text.trim().to_ascii_lowercase();
    choices
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let list = names.join(", ");
            match nearest(&wanted, names.into_iter()) {
                Some(name) => format!("it is one of {list}; did you mean {name}?"),
                None => format!("it is one of {list}"),
            }
        })
}

/// A size of at least so many bytes.
pub fn at_least(least: usize) -> impl Fn(&str) -> Result<usize, String> {
    move |text| match size(text)? {
        size if size < least => Err(format!("it is too little; give {least} bytes or more")),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "5", "s", "-2s", "5 parsecs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(time_limit("0s").is_err());
    }

    #[test]
    fn sizes_take_the_units_that_people_write() {
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("64k"), Ok(65536));
        assert_eq!(size("32MiB"), Ok(32 << 20));
        assert_eq!(size("1 GiB"), Ok(1 << 30));
        for wrong in ["", "k", "-1", "1.5M", "64q", "99999999999999999999"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_upstream_is_an_origin() {
        let https = |host: &str, port| Portal::Tcp {
            tls: true,
            host: host.to_owned(),
            port,
        };
        assert_eq!(
            upstream("https://Example.bitrix24.com"),
            Ok(https("example.bitrix24.com", 443))
        );
        assert_eq!(
            upstream("HTTPS://example.bitrix24.com:8443/"),
            Ok(https("example.bitrix24.com", 8443))
        );
        assert_eq!(upstream("https://[::1]:9"), Ok(https("::1", 9)));
        assert_eq!(
            upstream("unix:/run/portal.sock"),
            Ok(Portal::Unix("/run/portal.sock".into()))
        );
    }

    #[test]
    fn an_upstream_with_more_than_an_origin_is_refused_without_repeating_it() {
        for (wrong, said) in [
            ("https://x.bitrix24.com/rest/1/s3cretc0de/", "path"),
            ("https://x.bitrix24.com?auth=s3cretc0de", "query"),
            ("https://x.bitrix24.com/?auth=s3cretc0de", "query"),
            ("https://x.bitrix24.com#s3cretc0de", "fragment"),
            ("https://admin:s3cretc0de@x.bitrix24.com", "user name"),
            ("x.bitrix24.com/rest/1/s3cretc0de", "http://"),
            ("ftp://s3cretc0de", "only http://"),
            ("https://", "no host"),
            ("https://s3cretc0de:port", "port"),
            ("https://s3cretc0de:0", "port"),
            ("https://a:b:c", "brackets"),
            ("https://s3cret c0de", "character"),
            ("https://[::1", "]"),
            ("", "http://"),
        ] {
            let why = upstream(wrong).expect_err(wrong);
            assert!(why.contains(said), "{wrong}: {why}");
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn the_host_field_names_a_port_only_where_it_is_not_the_usual_one() {
        assert_eq!(
            upstream("https://a.example:443")
                .unwrap()
                .host_field()
                .as_deref(),
            Some("a.example")
        );
        assert_eq!(
            upstream("http://a.example:443")
                .unwrap()
                .host_field()
                .as_deref(),
            Some("a.example:443")
        );
        assert_eq!(
            upstream("http://[::1]").unwrap().host_field().as_deref(),
            Some("[::1]")
        );
        assert_eq!(upstream("unix:/x").unwrap().host_field(), None);
    }

    #[test]
    fn a_listener_is_an_address_plain_by_wish_or_a_socket_file() {
        let tcp = |text: &str, plain| Listen::Tcp {
            address: text.parse().unwrap(),
            plain,
        };
        assert_eq!(listen("127.0.0.1:8080"), Ok(tcp("127.0.0.1:8080", false)));
        assert_eq!(listen("http://0.0.0.0:80"), Ok(tcp("0.0.0.0:80", true)));
        assert_eq!(listen("localhost:0"), Ok(tcp("127.0.0.1:0", false)));
        assert_eq!(
            listen("unix:/run/b24.sock"),
            Ok(Listen::Unix("/run/b24.sock".into()))
        );
        for wrong in [
            "8080",
            ":8080",
            "https://127.0.0.1:1",
            "example.com:80",
            "unix:run",
            "127.0.0.1",
        ] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_is_an_address_or_a_range() {
        let network = |text: &str| TrustedProxy::Network(text.parse().unwrap());
        assert_eq!(trusted_proxy("10.1.2.3/8").unwrap(), network("10.0.0.0/8"));
        assert_eq!(trusted_proxy("::1").unwrap(), network("::1/128"));
        assert_eq!(trusted_proxy("unix").unwrap(), TrustedProxy::Unix);
        assert!(trusted_proxy("10.0.0.0/33").is_err());
        assert!(trusted_proxy("unix:/run/x.sock").is_err());
    }
}
