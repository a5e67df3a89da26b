//! Asks a portal for the names of its users, with a webhook that is given for one run. What goes wrong is said without it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde_json::{Value, json};

use super::failure::Failure;
use super::text::reason;
use crate::proxy::tls_client;

/// Where the webhook stands: not among the options, which other users of the machine can see.
const VARIABLE: &str = "B24_PROXY_ASK_WEBHOOK";

/// How long the portal may take for a step of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most users that one answer of `user.get` holds.
const AT_ONCE: usize = 50;

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 4 << 20;

/// A webhook's address. It has no `Debug` and no `Display`: its path is a credential.
pub struct Webhook {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// The webhook of the environment.
pub fn webhook() -> Result<Webhook, Failure> {
    let example = "as https://example.bitrix24.com/rest/1/CODE/";
    let text = std::env::var(VARIABLE).map_err(|_| {
        Failure::usage(format!(
            "--ask-portal needs a webhook in {VARIABLE}, {example}"
        ))
    })?;
    parse(text.trim()).ok_or_else(|| {
        Failure::usage(format!(
            "{VARIABLE} is not the address of a webhook; write it {example}"
        ))
    })
}

fn parse(text: &str) -> Option<Webhook> {
    let (tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://")?),
    };
    let (authority, path) = rest.split_once('/')?;
    let ok = |text: &str| !text.contains(|c: char| c.is_control() || " ?#\\@".contains(c));
    if authority.is_empty() || !ok(authority) || !ok(path) || path.split('/').count() < 3 {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, if tls { 443 } else { 80 }),
    };
    Some(Webhook {
        tls,
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        path: format!("/{}/", path.trim_end_matches('/')),
    })
}

/// The names of these users, as far as the portal knows them.
pub fn names(webhook: &Webhook, users: &[u64]) -> Result<BTreeMap<u64, String>, Failure> {
    let mut names = BTreeMap::new();
    for some in users.chunks(AT_ONCE) {
        let body = json!({ "FILTER": { "ID": some } }).to_string();
        let (status, answer) = ask(webhook, &body).map_err(|error| {
            Failure::usage(format!(
                "the portal {} does not answer: {}; check {VARIABLE}",
                webhook.host,
                reason(&error)
            ))
        })?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let Some(found) = answer["result"].as_array().filter(|_| status == 200) else {
            let code = answer["error"].as_str().unwrap_or("no list of users");
            return Err(Failure::usage(format!(
                "the portal {} refuses user.get ({status} {code}); the webhook needs the scope user",
                webhook.host
            )));
        };
        names.extend(found.iter().filter_map(named));
    }
    Ok(names)
}

/// A user's id and name.
fn named(user: &Value) -> Option<(u64, String)> {
    let id = match &user["ID"] {
        Value::String(id) => id.parse().ok()?,
        id => id.as_u64()?,
    };
    let part = |name: &str| user[name].as_str().unwrap_or_default().trim().to_owned();
    let name = format!("{} {}", part("NAME"), part("LAST_NAME"));
    let name = match name.trim() {
        "" => part("EMAIL"),
        name => name.to_owned(),
    };
    (!name.is_empty()).then_some((id, name))
}

/// One call. HTTP/1.0, so that the answer ends with the connection.
fn ask(webhook: &Webhook, body: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect((webhook.host.as_str(), webhook.port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "POST {}user.get HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n{body}",
        webhook.path,
        webhook.host,
        body.len()
    );
    let mut answer = Vec::new();
    if webhook.tls {
        let config = tls_client().map_err(io::Error::other)?;
        let name = ServerName::try_from(webhook.host.clone()).map_err(io::Error::other)?;
        let mut tls = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = rustls::Stream::new(&mut tls, &mut stream);
        stream.write_all(request.as_bytes())?;
        read(&mut stream, &mut answer)?;
    } else {
        stream.write_all(request.as_bytes())?;
        read(&mut stream, &mut answer)?;
    }
    let end = memchr::memmem::find(&answer, b"\r\n\r\n");
    let status = std::str::from_utf8(answer.get(9..12).unwrap_or_default())
        .ok()
        .and_then(|status| status.parse().ok());
    match (end, status) {
        (Some(end), Some(status)) => Ok((status, answer.split_off(end + 4))),
        _ => Err(io::Error::other("what came back is not an HTTP answer")),
    }
}

fn read(stream: &mut impl Read, answer: &mut Vec<u8>) -> io::Result<()> {
    match stream.take(LONGEST).read_to_end(answer) {
        // Many servers end a connection without TLS's own goodbye; JSON that was cut does not parse.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhooks_address_is_taken_apart_and_nothing_else_is_one() {
        let webhook = parse("https://x.bitrix24.com/rest/1/code").unwrap();
        assert_eq!(
            (
                webhook.tls,
                webhook.host.as_str(),
                webhook.port,
                webhook.path.as_str()
            ),
            (true, "x.bitrix24.com", 443, "/rest/1/code/")
        );
        let local = parse("http://127.0.0.1:8081/rest/1/code/").unwrap();
        assert_eq!((local.tls, local.port), (false, 8081));
        for wrong in [
            "",
            "x/rest/1/code/",
            "https://x.bitrix24.com",
            "https://x.bitrix24.com/rest/",
            "https://u@x/rest/1/c/",
            "https://x/rest/1/c?a",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_user_is_known_by_name_else_by_address() {
        let user = |text: &str| named(&serde_json::from_str(text).unwrap());
        assert_eq!(
            user(r#"{"ID":"7","NAME":"Ann","LAST_NAME":"Lee"}"#),
            Some((7, "Ann Lee".to_owned()))
        );
        assert_eq!(
            user(r#"{"ID":8,"NAME":"","EMAIL":"a@b.c"}"#),
            Some((8, "a@b.c".to_owned()))
        );
        assert_eq!(user(r#"{"ID":"9"}"#), None);
    }
}
