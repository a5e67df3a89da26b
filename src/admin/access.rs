//! Who may see what on the admin address (pure).
//!
//! On loopback whoever is on the machine may look, as long as the request names a loopback host: else a web page anywhere
//! could point a name of its own at 127.0.0.1 and read along (DNS rebinding). On any other address the token is asked for,
//! except for health and, unless protected, metrics. What changes something asks for the token everywhere and comes from a
//! page of ours.

use std::net::IpAddr;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};

use crate::protocol::Secret;

/// The name of the cookie that stands for the token in a browser.
const COOKIE_NAME: &str = "b24_proxy_admin";

/// How long a browser stays let in.
pub const SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// What a session's proof is derived for; part of its meaning, never to be changed.
const SESSION_CONTEXT: &str = "b24-migration-proxy 2026-11 admin session";

/// What a request asks for, as far as access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Health: for probes, which have no credentials.
    Health,
    /// The metrics.
    Metrics,
    /// The page, its data, and all else.
    Inside,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// On loopback, and the request's host is no loopback name or address.
    ForeignHost,
    /// A token is needed, and none is set up.
    NoTokenConfigured,
    /// A token is needed, and the request brings none.
    NoToken,
    /// The token is not the right one, or the session has ended.
    WrongToken,
    /// A change that does not surely come from our own page.
    ForeignOrigin,
}

impl Denied {
    /// What is wrong and what to do, for people.
    pub fn hint(self) -> &'static str {
        match self {
            Self::ForeignHost => {
                "On a loopback address the host must be localhost, 127.0.0.1 or [::1]. Behind a reverse proxy, or under \
                 another name, set --admin-token-file and send the token."
            }
            Self::NoTokenConfigured => {
                "Here the token of --admin-token-file is required, and the proxy was started without one. Set it, or use \
                 the admin address on loopback, for instance through an SSH tunnel."
            }
            Self::NoToken => {
                "The token of --admin-token-file is required: as Authorization: Bearer TOKEN, as the password of HTTP \
                 Basic, or in the form at /."
            }
            Self::WrongToken => {
                "This is not the token of --admin-token-file, or the session has ended."
            }
            Self::ForeignOrigin => "A change is accepted only from the status page itself.",
        }
    }
}

/// The rules of one admin address.
#[derive(Debug)]
pub struct Gate {
    loopback: bool,
    token: Option<Secret<'static>>,
    protect_metrics: bool,
}

impl Gate {
    /// `loopback` is whether the address that is listened on is one.
    pub fn new(loopback: bool, token: Option<Secret<'static>>, protect_metrics: bool) -> Self {
        Self {
            loopback,
            token,
            protect_metrics,
        }
    }

    /// Whether a token can be given at all.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request may read an area. `now` is the time since 1970.
    ///
    /// # Errors
    /// Why not.
    pub fn may_read(&self, area: Area, fields: &HeaderMap, now: Duration) -> Result<(), Denied> {
        match area {
            Area::Health => return Ok(()),
            Area::Metrics if self.protect_metrics => return self.knows_token(fields, now),
            Area::Metrics if !self.loopback => return Ok(()),
            Area::Metrics | Area::Inside => {}
        }
        if self.loopback && names_loopback(fields) {
            return Ok(());
        }
        match self.knows_token(fields, now) {
            Err(Denied::NoToken | Denied::NoTokenConfigured) if self.loopback => {
                Err(Denied::ForeignHost)
            }
            other => other,
        }
    }

    /// Whether a POST may change something: it brings the token, on loopback too, and comes from our own page. A bearer
    /// token needs no page: no browser sends one by itself.
    ///
    /// # Errors
    /// Why not.
    pub fn may_change(&self, fields: &HeaderMap, now: Duration) -> Result<(), Denied> {
        self.knows_token(fields, now)?;
        if bearer(fields).is_some() {
            return Ok(());
        }
        same_origin(fields)
            .then_some(())
            .ok_or(Denied::ForeignOrigin)
    }

    /// A token typed into the form, from a page of ours → the `Set-Cookie` that stands for it.
    ///
    /// # Errors
    /// It is not the token, there is none, or the form is not ours.
    pub fn let_in(&self, typed: &str, fields: &HeaderMap, now: Duration) -> Result<String, Denied> {
        let token = self.token.as_ref().ok_or(Denied::NoTokenConfigured)?;
        if !same_origin(fields) {
            return Err(Denied::ForeignOrigin);
        }
        if !equal(typed, token.expose()) {
            return Err(Denied::WrongToken);
        }
        let ends = now.saturating_add(SESSION).as_secs();
        let proof = session_proof(token, ends);
        Ok(format!(
            "{COOKIE_NAME}={ends:x}.{proof}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict",
            SESSION.as_secs()
        ))
    }

    /// The `Set-Cookie` that ends a session.
    pub fn let_out() -> String {
        format!("{COOKIE_NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    fn knows_token(&self, fields: &HeaderMap, now: Duration) -> Result<(), Denied> {
        let token = self.token.as_ref().ok_or(Denied::NoTokenConfigured)?;
        if let Some(given) = bearer(fields)
            .map(str::to_owned)
            .or_else(|| basic_password(fields))
        {
            return equal(&given, token.expose())
                .then_some(())
                .ok_or(Denied::WrongToken);
        }
        let session = cookie(fields).ok_or(Denied::NoToken)?;
        session_holds(token, session, now)
            .then_some(())
            .ok_or(Denied::WrongToken)
    }
}

/// Whether two texts are equal, in a time that does not tell how far they are.
fn equal(one: &str, other: &str) -> bool {
    blake3::hash(one.trim().as_bytes()) == blake3::hash(other.trim().as_bytes())
}

fn session_proof(token: &Secret<'_>, ends: u64) -> String {
    let key = blake3::derive_key(SESSION_CONTEXT, token.expose().trim().as_bytes());
    blake3::keyed_hash(&key, &ends.to_be_bytes())
        .to_hex()
        .to_string()
}

fn session_holds(token: &Secret<'_>, session: &str, now: Duration) -> bool {
    let Some((ends, proof)) = session.split_once('.') else {
        return false;
    };
    let Ok(ends) = u64::from_str_radix(ends, 16) else {
        return false;
    };
    ends > now.as_secs() && equal(proof, &session_proof(token, ends))
}

fn text(fields: &HeaderMap, name: HeaderName) -> Option<&str> {
    fields.get(name)?.to_str().ok()
}

/// The credentials of an `Authorization` of the given scheme.
fn authorization<'f>(fields: &'f HeaderMap, scheme: &str) -> Option<&'f str> {
    let (given, rest) = text(fields, AUTHORIZATION)?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn bearer(fields: &HeaderMap) -> Option<&str> {
    authorization(fields, "bearer")
}

fn basic_password(fields: &HeaderMap) -> Option<String> {
    let pair = base64(authorization(fields, "basic")?)?;
    let (_, password) = pair.split_once(':')?;
    Some(password.to_owned())
}

/// Decodes what HTTP Basic sends. Nothing for what is no base64 of UTF-8.
fn base64(text: &str) -> Option<String> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFF_FFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

fn cookie(fields: &HeaderMap) -> Option<&str> {
    fields
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

/// Whether `Host` names this machine to itself.
fn names_loopback(fields: &HeaderMap) -> bool {
    let mut hosts = fields.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(is_loopback_host)
}

fn is_loopback_host(host: &str) -> bool {
    let name = without_port(host);
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    if let Ok(address) = address.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// Whether a browser says that a request comes from a page of this very address.
fn same_origin(fields: &HeaderMap) -> bool {
    if let Some(site) = text(fields, HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (text(fields, ORIGIN), text(fields, HOST)) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const NOW: Duration = Duration::from_secs(1_764_000_000);

    fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in pairs {
            fields.append(*name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    fn with_token(loopback: bool) -> Gate {
        Gate::new(loopback, Some(Secret::new("correct horse")), false)
    }

    #[test]
    fn on_loopback_only_a_loopback_host_may_look() {
        let access = Gate::new(true, None, false);
        for host in [
            "localhost",
            "LOCALHOST:9090",
            "a.localhost:1",
            "127.0.0.1:9090",
            "127.9.9.9",
            "[::1]:9090",
            "[::1]",
            "localhost.",
            "[::ffff:127.0.0.1]:9",
        ] {
            let fields = fields(&[("host", host)]);
            assert_eq!(
                access.may_read(Area::Inside, &fields, NOW),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "attacker.example",
            "localhost.attacker.example:9090",
            "127.0.0.1.attacker.example",
            "10.0.0.1:9090",
            "[::2]",
            "",
            "127.0.0.1@attacker.example",
            "localhost:x",
        ] {
            let fields = fields(&[("host", host)]);
            let said = access.may_read(Area::Inside, &fields, NOW);
            assert_eq!(said, Err(Denied::ForeignHost), "{host}");
            assert_eq!(
                access.may_read(Area::Metrics, &fields, NOW),
                Err(Denied::ForeignHost),
                "{host}"
            );
            assert_eq!(
                access.may_read(Area::Health, &fields, NOW),
                Ok(()),
                "{host}"
            );
        }
        let two = fields(&[("host", "localhost"), ("host", "attacker.example")]);
        assert!(access.may_read(Area::Inside, &two, NOW).is_err());
        assert!(access.may_read(Area::Inside, &fields(&[]), NOW).is_err());
    }

    #[test]
    fn behind_a_reverse_proxy_on_loopback_the_token_opens() {
        let access = with_token(true);
        let given = fields(&[
            ("host", "status.example.com"),
            ("authorization", "Bearer correct horse"),
        ]);
        assert_eq!(access.may_read(Area::Inside, &given, NOW), Ok(()));
    }

    #[test]
    fn elsewhere_nothing_but_health_and_metrics_is_open_without_the_token() {
        let access = with_token(false);
        let none = fields(&[("host", "localhost")]);
        assert_eq!(access.may_read(Area::Health, &none, NOW), Ok(()));
        assert_eq!(access.may_read(Area::Metrics, &none, NOW), Ok(()));
        assert_eq!(
            access.may_read(Area::Inside, &none, NOW),
            Err(Denied::NoToken)
        );
        let protected = Gate::new(false, Some(Secret::new("t")), true);
        assert_eq!(
            protected.may_read(Area::Metrics, &none, NOW),
            Err(Denied::NoToken)
        );
        let without = Gate::new(false, None, false);
        assert_eq!(
            without.may_read(Area::Inside, &none, NOW),
            Err(Denied::NoTokenConfigured)
        );
    }

    #[test]
    fn the_token_opens_as_bearer_and_as_basic_password() {
        let access = with_token(false);
        // `curl -u ops:'correct horse'` and `curl -u :'correct horse'`
        for given in [
            "Bearer correct horse",
            "bearer  correct horse",
            "Basic b3BzOmNvcnJlY3QgaG9yc2U=",
            "basic OmNvcnJlY3QgaG9yc2U=",
        ] {
            let fields = fields(&[("authorization", given)]);
            assert_eq!(
                access.may_read(Area::Inside, &fields, NOW),
                Ok(()),
                "{given}"
            );
        }
        for given in [
            "Bearer correct hors",
            "Bearer ",
            "Basic b3BzOmNvcnJlY3QgaG9yc2",
            "Basic %%%",
            "Basic b3Bz",
        ] {
            let fields = fields(&[("authorization", given)]);
            let said = access.may_read(Area::Inside, &fields, NOW);
            assert!(said.is_err(), "{given}");
        }
    }

    fn session(access: &Gate) -> String {
        let form = fields(&[("host", "proxy:9090"), ("sec-fetch-site", "same-origin")]);
        let cookie = access.let_in("correct horse", &form, NOW).unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        assert!(!cookie.contains("correct horse"));
        cookie.split(';').next().unwrap().to_owned()
    }

    #[test]
    fn the_form_gives_a_session_that_ends() {
        let access = with_token(false);
        let session = session(&access);
        let with = fields(&[("cookie", &format!("other=1; {session}"))]);
        assert_eq!(access.may_read(Area::Inside, &with, NOW), Ok(()));
        let later = NOW + SESSION + Duration::from_secs(1);
        assert_eq!(
            access.may_read(Area::Inside, &with, later),
            Err(Denied::WrongToken)
        );
        let (name, value) = session.split_once('=').unwrap();
        let (ends, proof) = value.split_once('.').unwrap();
        let longer = u64::from_str_radix(ends, 16).unwrap() + 1;
        let forged = fields(&[("cookie", &format!("{name}={longer:x}.{proof}"))]);
        assert_eq!(
            access.may_read(Area::Inside, &forged, NOW),
            Err(Denied::WrongToken)
        );
        let other = Gate::new(false, Some(Secret::new("another token")), false);
        assert!(other.may_read(Area::Inside, &with, NOW).is_err());
    }

    #[test]
    fn the_form_must_be_ours_and_the_token_right() {
        let access = with_token(false);
        let foreign = fields(&[
            ("host", "proxy:9090"),
            ("origin", "http://attacker.example"),
        ]);
        assert_eq!(
            access.let_in("correct horse", &foreign, NOW),
            Err(Denied::ForeignOrigin)
        );
        let ours = fields(&[("host", "proxy:9090"), ("origin", "http://proxy:9090")]);
        assert_eq!(access.let_in("wrong", &ours, NOW), Err(Denied::WrongToken));
        assert!(access.let_in("correct horse", &ours, NOW).is_ok());
    }

    #[test]
    fn a_change_needs_the_token_even_on_loopback_and_a_page_of_ours() {
        let access = with_token(true);
        let local = fields(&[
            ("host", "localhost:9090"),
            ("sec-fetch-site", "same-origin"),
        ]);
        assert_eq!(access.may_change(&local, NOW), Err(Denied::NoToken));
        let session = session(&access);
        let ours = fields(&[
            ("host", "localhost:9090"),
            ("cookie", &session),
            ("origin", "http://localhost:9090"),
        ]);
        assert_eq!(access.may_change(&ours, NOW), Ok(()));
        for foreign in [
            fields(&[("host", "localhost:9090"), ("cookie", &session)]),
            fields(&[
                ("host", "localhost:9090"),
                ("cookie", &session),
                ("origin", "null"),
            ]),
            fields(&[
                ("host", "localhost:9090"),
                ("cookie", &session),
                ("origin", "http://localhost:9090"),
                ("sec-fetch-site", "same-site"),
            ]),
        ] {
            assert_eq!(access.may_change(&foreign, NOW), Err(Denied::ForeignOrigin));
        }
        let bearer = fields(&[("authorization", "Bearer correct horse")]);
        assert_eq!(access.may_change(&bearer, NOW), Ok(()));
        let without = Gate::new(true, None, false);
        assert_eq!(
            without.may_change(&local, NOW),
            Err(Denied::NoTokenConfigured)
        );
    }
}
