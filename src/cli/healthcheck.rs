//! `healthcheck`: asks a running proxy whether it works; for containers that have no shell and no curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;
use super::text::reason;
use super::values;

/// A container's probe is repeated soon; waiting longer would only hide a stall.
const PATIENCE: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy healthcheck
  b24-migration-proxy healthcheck --ready --admin-listen 127.0.0.1:9090";

pub fn command() -> Command {
    Command::new("healthcheck")
        .about("Ask a running proxy whether it works (exit status 0 or 1)")
        .long_about(
            "Asks /healthz on the admin address of a proxy that runs on this machine: exit status 0 when it answers \
             200, else 1. With --ready it asks /readyz. Made for the HEALTHCHECK of a container image without a shell.",
        )
        .examples(EXAMPLES)
        .arg(
            Arg::new("admin-listen")
                .long("admin-listen")
                .value_name("ADDR")
                .env("B24_PROXY_ADMIN_LISTEN")
                .hide_env_values(true)
                .default_value("127.0.0.1:9090")
                .help("The admin address of the running proxy"),
        )
        .arg(Arg::new("ready").long("ready").action(ArgAction::SetTrue).help("Ask whether it serves, not only lives"))
}

pub fn run(matches: &ArgMatches) -> Exit {
    let text = matches
        .get_one::<String>("admin-listen")
        .map(String::as_str)
        .unwrap_or_default();
    let address =
        values::address(text).map_err(|why| Failure::usage(format!("--admin-listen: {why}")))?;
    let path = if matches.get_flag("ready") {
        "/readyz"
    } else {
        "/healthz"
    };
    let (status, said) = ask(reachable(address), path).map_err(|error| {
        Failure::found(format!(
            "no answer from {address}{path}: {}",
            reason(&error)
        ))
    })?;
    print(&format!("{status} {}\n", said.trim()))?;
    Ok(if status == 200 { 0 } else { 1 })
}

/// Where to dial a listener: one on all addresses is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status =
        status.ok_or_else(|| std::io::Error::other("what came back is not an HTTP answer"))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_by_loopback() {
        assert_eq!(
            reachable("0.0.0.0:9".parse().unwrap()),
            "127.0.0.1:9".parse().unwrap()
        );
        assert_eq!(
            reachable("[::]:9".parse().unwrap()),
            "[::1]:9".parse().unwrap()
        );
        assert_eq!(
            reachable("192.0.2.1:9".parse().unwrap()),
            "192.0.2.1:9".parse().unwrap()
        );
    }
}
