//! Every option of `serve`, declared once: the command line, the environment, the configuration file, `--help`,
//! `--print-config` and the documentation's table are all made from this list.
//!
//! An option `--x-y` is the variable `B24_PROXY_X_Y` and the key `x-y` of the file. What a value may look like is
//! said in [`super::values`], what it means in [`super::settings`].

use clap::{Arg, ArgAction, Command};

/// How many values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// On or off: `--x`, `--x=false`; `true` or `false` in the file.
    Switch,
    /// One value: a string in the file, or a number where it is a number.
    One,
    /// Repeatable; in the environment a list with commas, in the file an array (or one string).
    Many,
}

/// What a change of it at a reload (SIGHUP) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is applied without dropping a connection.
    Applied,
    /// It is named, and waits for the next start.
    NeedsRestart,
}

/// One option of `serve`.
#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub shape: Shape,
    /// What stands for the value in `--help`; empty for a switch.
    pub value: &'static str,
    /// The default as one would write it.
    pub default: Option<&'static str>,
    pub change: Change,
    /// The heading under which `--help` lists it.
    pub section: &'static str,
    /// One line for `-h`.
    pub help: &'static str,
    /// What `--help` says beyond that line.
    pub more: &'static str,
}

impl Spec {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!(
            "B24_PROXY_{}",
            self.name.to_ascii_uppercase().replace('-', "_")
        )
    }
}

use Change::{Applied, NeedsRestart};
use Shape::{Many, One, Switch};

const PORTAL: &str = "Portal";
const PACE: &str = "The portal's request limit";
const CLIENTS: &str = "Clients";
const TRANSLATION: &str = "Translation";
const CALLERS: &str = "Deprecation log and callers";
const OPERATIONS: &str = "Operations";
const TIME: &str = "Time limits (as 500ms, 2s, 5m, 1h)";
const LIMITS: &str = "Limits (sizes as 65536, 64KiB, 32MiB)";

const fn spec(
    section: &'static str,
    name: &'static str,
    shape: Shape,
    value: &'static str,
    default: Option<&'static str>,
    change: Change,
    texts: (&'static str, &'static str),
) -> Spec {
    Spec {
        name,
        shape,
        value,
        default,
        change,
        section,
        help: texts.0,
        more: texts.1,
    }
}

/// All of them, in the order in which help and documentation show them.
#[rustfmt::skip]
pub const OPTIONS: &[Spec] = &[
    spec(PORTAL, "upstream", One, "URL", None, NeedsRestart,
        ("The portal's origin, as https://example.bitrix24.com or unix:/path [required]",
         "A path, query, fragment or password in it is refused: the path comes from each call.")),
    spec(PORTAL, "upstream-host", One, "NAME", None, NeedsRestart,
        ("The Host to send to the portal, instead of the upstream's own",
         "Needed with a unix: upstream whose portal serves a name; else such a portal gets the client's Host.")),
    spec(PORTAL, "preserve-host", Switch, "", Some("false"), NeedsRestart,
        ("Send the client's Host to the portal instead of the upstream's", "")),
    spec(PORTAL, "upstream-connect", One, "HOST:PORT", None, NeedsRestart,
        ("Dial this address; name and certificate stay the upstream's",
         "For a portal inside the network whose public name leads elsewhere, often back to this proxy.")),
    spec(PORTAL, "upstream-ca", One, "FILE", None, NeedsRestart,
        ("Trust these certificate authorities (PEM) instead of the system's", "")),
    spec(PORTAL, "upstream-insecure", Switch, "", Some("false"), NeedsRestart,
        ("Accept ANY certificate of the portal: for a lab, never for a business",
         "Whoever stands between the proxy and the portal can then read and change every call. The \
          operational log warns of it at each start.")),
    spec(PORTAL, "upstream-http2", Switch, "", Some("false"), NeedsRestart,
        ("Speak HTTP/2 to the portal if it offers it", "")),
    spec(PORTAL, "upstream-source", Many, "ADDRESS", None, NeedsRestart,
        ("Connect to the portal from this address of this machine; repeatable",
         "The portal counts requests for each source address: two addresses carry twice the rate. A caller stays on its \
          address while there is room.")),
    spec(PORTAL, "rest-path", One, "PREFIX", Some("/rest/"), NeedsRestart,
        ("Where the portal mounts its REST addresses", "Self-hosted portals may mount them elsewhere.")),
    spec(PORTAL, "no-rewrite-origin", Switch, "", Some("false"), NeedsRestart,
        ("Leave Location, Refresh and cookie domains of answers as the portal sent them",
         "By default those that name the portal's own origin are turned to the proxy's address, so that a browser \
          stays with the proxy.")),

    spec(PACE, "portal-rate", One, "RATE", Some("auto"), Applied,
        ("The portal's request limit: auto, cloud, enterprise, DEPTH:PER_SECOND or off",
         "REST calls over it wait for their turn instead of being refused. cloud is 50 deep and 2 a second, enterprise 250 \
          and 5. auto holds nothing back until the portal refuses a call (QUERY_LIMIT_EXCEEDED). See docs/PACING.md.")),
    spec(PACE, "queue-timeout", One, "TIME", Some("5s"), Applied,
        ("How long a call waits for its turn before 503 QUERY_LIMIT_EXCEEDED",
         "A call whose wait would be longer is refused at once.")),
    spec(PACE, "queue-calls", One, "COUNT", Some("1000"), Applied,
        ("How many calls wait at most", "")),

    spec(PACE, "operating-limit", One, "TIME", None, NeedsRestart,
        ("Warn when a method has used 80 % of this portal time in ten minutes; the cloud's is 480s",
         "Answers tell it (time.operating). Over it the portal refuses the method: 429 OPERATION_TIME_LIMIT.")),
    spec(PACE, "rate-store", One, "URL", None, NeedsRestart,
        ("Share the limit with other replicas through Redis or Valkey",
         "redis://HOST:PORT[/DB], rediss://HOST:PORT[/DB] or unix:/path. For replicas that reach the portal from \
          one address. While it does not answer, each goes on with its own part. A user or password in it is refused.")),
    spec(PACE, "rate-store-user", One, "NAME", None, NeedsRestart,
        ("The user of the rate store", "")),
    spec(PACE, "rate-store-password-file", One, "FILE", None, NeedsRestart,
        ("The file with the password of the rate store", "")),
    spec(PACE, "egress", One, "NAME", Some("default"), NeedsRestart,
        ("The name of the address from which this replica reaches the portal",
         "Replicas with other names do not share: the portal counts for each source address.")),
    spec(PACE, "replicas", One, "COUNT", Some("1"), NeedsRestart,
        ("How many replicas share the limit, until the rate store knows", "")),

    spec(CLIENTS, "listen", Many, "ADDR", Some("127.0.0.1:8080"), NeedsRestart,
        ("Where clients are served: IP:PORT, http://IP:PORT or unix:/path; repeatable",
         "localhost:PORT is 127.0.0.1:PORT. [::]:PORT takes IPv4 too, unless an IPv4 address of the same port is listed. \
          With a certificate a listener speaks TLS unless it is written http://IP:PORT. Sockets passed by systemd \
          (LISTEN_FDS) are used instead.")),
    spec(CLIENTS, "tls-cert", One, "FILE", None, NeedsRestart,
        ("The certificate for clients, with its chain (PEM)",
         "The file is read again on SIGHUP and when it changes; a bad new pair is refused and the old one stays. Several \
          certificates, chosen by name: [[certificate]] in the configuration file.")),
    spec(CLIENTS, "tls-key", One, "FILE", None, NeedsRestart,
        ("The certificate's private key (PEM, RSA or ECDSA)", "")),
    spec(CLIENTS, "http2", Switch, "", Some("false"), NeedsRestart,
        ("Offer HTTP/2 to clients; it breaks calls with raw < > \" in their address",
         "Off by default: such bytes (?filter[>ID]=5 written by hand) cannot pass an HTTP/2 stack, and libcurl takes \
          HTTP/2 wherever a server offers it, so offering it breaks everyday calls.")),
    spec(CLIENTS, "trusted-proxy", Many, "CIDR", None, NeedsRestart,
        ("Believe X-Forwarded-* of peers in this network, as 10.0.0.0/8, or `unix`; repeatable",
         "`unix` means the peers of Unix sockets. From all others X-Forwarded-*, Forwarded and X-Real-IP are replaced or removed.")),
    spec(CLIENTS, "accept-proxy-protocol", Switch, "", Some("false"), NeedsRestart,
        ("Read the PROXY protocol (v1, v2) from trusted proxies", "Needs --trusted-proxy.")),

    spec(TRANSLATION, "mode", Many, "[METHOD=]MODE", Some("rewrite"), Applied,
        ("The mode of deprecated calls: observe, compare, rewrite, brownout, block; repeatable",
         "MODE alone sets all translated methods, METHOD=MODE one, which may have dates: 'METHOD=brownout until \
          2026-12-01T10:00Z', 'METHOD=block from 2027-03-01'. Watched methods take observe, brownout or block, and only \
          when named. A brownout without an end ends an hour after the start. [[mode]] in the configuration file sets it by caller and by time.")),
    spec(TRANSLATION, "rules", Many, "FILE", None, Applied,
        ("Rules of your own, added to the built-in ones; repeatable", "See docs/RULES.md and `rules check FILE`.")),
    spec(TRANSLATION, "no-deprecation-headers", Switch, "", Some("false"), NeedsRestart,
        ("Do not add Deprecation, Sunset and Link to answers of deprecated calls", "")),
    spec(TRANSLATION, "max-rewrite-body", One, "SIZE", Some("32MiB"), NeedsRestart,
        ("The largest body of a call to be rewritten; a larger one is refused (413)",
         "Calls that are only forwarded have no limit.")),
    spec(TRANSLATION, "rewrite-memory", One, "SIZE", Some("256MiB"), NeedsRestart,
        ("The memory for all bodies being rewritten; further ones wait", "While others wait, the bodies of one address get no more than half. Bodies up to 64 KiB never wait.")),
    spec(TRANSLATION, "rewrite-wait", One, "TIME", Some("10s"), NeedsRestart,
        ("How long a call waits for that room before 503 PROXY_BUSY", "")),

    spec(CALLERS, "deprecation-log", One, "PATH", Some("-"), NeedsRestart,
        ("Where each deprecated call is written as a JSON line; - is standard output",
         "The line is written before the client gets its answer. The file is opened again on SIGHUP and SIGUSR1, and \
          when it was moved.")),
    spec(CALLERS, "deprecation-log-sync", Switch, "", Some("false"), NeedsRestart,
        ("Have each line on disk (fdatasync) before the client gets its answer", "")),
    spec(CALLERS, "on-log-failure", One, "continue|refuse", Some("continue"), NeedsRestart,
        ("With a log that cannot be written: serve calls, or refuse those to be translated (503)",
         "continue keeps events in a bounded memory queue until the log works again; refuse lets no rewritten call go unlogged.")),
    spec(CALLERS, "watched-log", Many, "[METHOD=]each|hourly", Some("each"), Applied,
        ("Log each call of a watched method, or one line for each caller, method and hour",
         "hourly keeps the log of a busy portal small: most calls are of watched methods. Rewritten and refused calls \
          have a line each in any case. A kill loses up to an hour of sums; the counts of the heartbeats show it. A value \
          with METHOD= is for that method; repeatable.")),
    spec(CALLERS, "no-parameter-names", Switch, "", Some("false"), NeedsRestart,
        ("Do not log the names of the parameters that deprecated calls send",
         "By these names the advice to an owner is about the owner's own call. Names only, never values, at most 64 for \
          a caller and a method, from the first 16 calls and then one in 64.")),
    spec(CALLERS, "instance", One, "NAME", None, NeedsRestart,
        ("This replica's name in each line of the log [default: the host's name]",
         "Each replica needs its own name, also while it is replaced: the proof of zero counts by it.")),
    spec(CALLERS, "heartbeat-interval", One, "TIME", Some("1h"), NeedsRestart,
        ("How often the log gets a heartbeat, with the counts so far", "At least 1s.")),
    spec(CALLERS, "callers", One, "FILE", None, Applied,
        ("Names for callers (TOML, [[caller]]), for metrics, reports and the status page", "")),
    spec(CALLERS, "fingerprint-key-file", One, "FILE", None, NeedsRestart,
        ("The key of the hash that replaces a credential in logs",
         "Give all instances the same key. Without it a fixed, documented key is used, and anybody who knows a \
          credential can find it in the log.")),
    spec(CALLERS, "request-id-header", Switch, "", Some("false"), NeedsRestart,
        ("Send X-B24-Proxy-Request-Id, our id, to the portal and back to the client",
         "Without it the id is only in the log and in our own errors. A client's own X-Request-Id passes either \
          way and is logged beside ours.")),

    spec(OPERATIONS, "admin-listen", One, "ADDR", Some("127.0.0.1:9090"), NeedsRestart,
        ("Status page, metrics and health: IP:PORT, or off",
         "On any other address than loopback the page needs --admin-token-file.")),
    spec(OPERATIONS, "admin-token-file", One, "FILE", None, NeedsRestart,
        ("The token that the status page asks for", "")),
    spec(OPERATIONS, "protect-metrics", Switch, "", Some("false"), NeedsRestart,
        ("Ask for the token on /metrics too", "")),
    spec(OPERATIONS, "watch-config", Switch, "", Some("false"), NeedsRestart,
        ("Reload when the content of the configuration, rules or callers file changes",
         "The proxy compares the content twice a second, so a swapped symlink (a Kubernetes ConfigMap) counts. All or \
          nothing, as with SIGHUP: an error is logged once, and everything stays.")),
    spec(OPERATIONS, "access-log", One, "PATH", None, NeedsRestart,
        ("Write every request as a JSON line, secrets masked; - is standard output", "")),
    spec(OPERATIONS, "log-level", One, "LEVEL", Some("info"), NeedsRestart,
        ("The operational log on standard error: off, error, warn, info, debug, trace", "No level shows a secret.")),
    spec(OPERATIONS, "log-format", One, "text|json", Some("text"), NeedsRestart,
        ("How the operational log is written", "")),
    spec(OPERATIONS, "threads", One, "COUNT", None, NeedsRestart,
        ("Threads that serve clients [default: one per core]", "")),
    spec(OPERATIONS, "drain-delay", One, "TIME", Some("0s"), NeedsRestart,
        ("At SIGTERM, how long /readyz is 503 before listeners close", "For load balancers that need time.")),
    spec(OPERATIONS, "drain-timeout", One, "TIME", Some("75s"), NeedsRestart,
        ("How long calls in flight may take to end after that", "Then the rest is cut, and the exit status is 1.")),

    spec(TIME, "connect-timeout", One, "TIME", Some("5s"), NeedsRestart,
        ("To connect to the portal (503)", "")),
    spec(TIME, "tls-handshake-timeout", One, "TIME", Some("10s"), NeedsRestart,
        ("For a TLS handshake, on either side", "")),
    spec(TIME, "header-timeout", One, "TIME", Some("30s"), NeedsRestart,
        ("For a client's whole request head (408)", "A connection without a byte is closed silently after it.")),
    spec(TIME, "body-timeout", One, "TIME", Some("60s"), NeedsRestart,
        ("Without a byte of a client's body (408)", "A body that moves may take any time.")),
    spec(TIME, "response-timeout", One, "TIME", Some("75s"), NeedsRestart,
        ("From the last byte sent to the portal to the first of its answer (504)",
         "A cloud portal's call may take 60 s.")),
    spec(TIME, "upstream-body-timeout", One, "TIME", Some("75s"), NeedsRestart,
        ("Without a byte of the portal's answer", "")),
    spec(TIME, "keep-alive-timeout", One, "TIME", Some("75s"), NeedsRestart,
        ("For a client's idle connection", "")),
    spec(TIME, "pool-idle-timeout", One, "TIME", Some("4s"), NeedsRestart,
        ("For an idle connection to the portal", "Shorter than the portal's own limit: a call that meets the \
          portal's close cannot be saved, only made rare. A portal that says its limit (Keep-Alive: timeout=N) gets N less \
          1 s where that is shorter.")),
    spec(TIME, "tunnel-idle-timeout", One, "TIME", Some("1h"), NeedsRestart,
        ("For a tunnel (WebSocket) without a byte", "")),

    spec(LIMITS, "max-head-size", One, "SIZE", Some("64KiB"), NeedsRestart,
        ("A request's head (431)", "")),
    spec(LIMITS, "max-head-fields", One, "COUNT", Some("128"), NeedsRestart,
        ("Header fields of a request (431)", "")),
    spec(LIMITS, "max-target-size", One, "SIZE", Some("64KiB"), NeedsRestart,
        ("A request's address (414)", "")),
    spec(LIMITS, "max-connections", One, "COUNT", Some("20000"), NeedsRestart,
        ("Clients' connections in total (503); 0 is no limit",
         "Over HTTP/2 each call in flight counts as one.")),
    spec(LIMITS, "max-connections-per-client", One, "COUNT", Some("0"), NeedsRestart,
        ("Connections of one client address (503); 0 is no limit",
         "Over HTTP/2 each call in flight counts as one.")),
];

/// The option of that name.
pub fn find(name: &str) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.name == name)
}

/// Gives a command every option of `serve`, with the variable of each, and `--config`.
pub fn add_to(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("B24_PROXY_CONFIG")
        .hide_env_values(true)
        .help("Read a configuration file (TOML); options and variables win over it");
    OPTIONS.iter().fold(command.arg(config), |command, spec| {
        command.arg(argument(spec))
    })
}

fn argument(spec: &'static Spec) -> Arg {
    let arg = Arg::new(spec.name)
        .long(spec.name)
        .env(spec.variable())
        .hide_env_values(true)
        .help(spec.help)
        .help_heading(spec.section);
    let arg = if spec.more.is_empty() {
        arg
    } else {
        arg.long_help(format!("{}\n\n{}", spec.help, spec.more))
    };
    match spec.shape {
        Shape::Switch => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .hide_possible_values(true),
        Shape::One => with_default(arg.value_name(spec.value), spec),
        Shape::Many => with_default(arg.value_name(spec.value).action(ArgAction::Append), spec),
    }
}

fn with_default(arg: Arg, spec: &'static Spec) -> Arg {
    match spec.default {
        Some(default) => arg.default_value(default),
        None => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_made_of_the_name() {
        assert_eq!(
            find("max-rewrite-body").unwrap().variable(),
            "B24_PROXY_MAX_REWRITE_BODY"
        );
    }

    #[test]
    fn no_option_is_declared_twice() {
        for (at, spec) in OPTIONS.iter().enumerate() {
            assert!(
                OPTIONS[..at].iter().all(|other| other.name != spec.name),
                "{}",
                spec.name
            );
        }
    }

    #[test]
    fn every_help_line_fits_beside_its_option() {
        for spec in OPTIONS {
            assert!(
                spec.help.len() <= 90 && !spec.help.ends_with('.'),
                "{}",
                spec.name
            );
        }
    }
}
