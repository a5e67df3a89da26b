//! Everything that `serve` is told, understood and checked: words in, one plain struct out.
//!
//! [`SettingsSource`] keeps the command line, so that the file can be read again at a reload.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use tracing::level_filters::LevelFilter;

use super::evidence;
use super::failure::Failure;
use super::file::File;
use super::inputs::unreadable;
use super::layers::Layers;
use super::options::Change;
use super::rate_store::StoreOptions;
use super::values::{self, HostPort, ModeSetting};
use crate::ladder::Entry;
use crate::pace::PortalRate;
use crate::pace::desk::Rules;
use crate::protocol::target::RestPath;
use crate::proxy::config::{CertificateFiles, Listen, Portal, Timeouts};
use crate::telemetry::log::{LogTarget, OnLogFailure};
use crate::telemetry::logging::WatchedLog;
use crate::telemetry::run::host_name;

/// Where settings come from: the command line and its environment, and the file that they name.
#[derive(Clone, Debug)]
pub struct SettingsSource {
    matches: ArgMatches,
    config: Option<PathBuf>,
}

impl SettingsSource {
    /// Of a command that was given the options of [`super::options::add_to`].
    pub fn new(matches: ArgMatches) -> Self {
        let config = matches
            .get_one::<String>("config")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        Self { matches, config }
    }

    /// Reads the file, now, and resolves everything. Called again, it sees what the file says by then.
    pub fn load(&self) -> Result<Settings, Failure> {
        let file = self.config.as_deref().map(File::read).transpose()?;
        let file = file.unwrap_or_default();
        let layers = Layers::stack(&self.matches, file.options());
        Settings::resolve(layers, file)
    }

    /// The configuration file, if one is used.
    pub fn config(&self) -> Option<&PathBuf> {
        self.config.as_ref()
    }
}

/// How the operational log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The limits of size and number. None is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// Bytes of a request's head.
    pub head_size: usize,
    /// Header fields of a request.
    pub head_fields: usize,
    /// Bytes of a request target.
    pub target_size: usize,
    pub connections: Option<usize>,
    pub connections_per_client: Option<usize>,
    /// Bytes of a body that is to be rewritten.
    pub rewrite_body: usize,
    /// Bytes that all bodies being rewritten may hold at once.
    pub rewrite_memory: usize,
}

impl SizeLimits {
    fn read(layers: &Layers) -> Result<Self, Failure> {
        Ok(Self {
            head_size: layers.one("max-head-size", values::at_least(1024))?,
            head_fields: layers.one("max-head-fields", values::count)?,
            target_size: layers.one("max-target-size", values::at_least(256))?,
            connections: layers.one("max-connections", values::limit)?,
            connections_per_client: layers.one("max-connections-per-client", values::limit)?,
            rewrite_body: layers.one("max-rewrite-body", values::at_least(1))?,
            rewrite_memory: layers.one("rewrite-memory", values::at_least(1))?,
        })
    }
}

/// Everything that `serve` is told, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    pub upstream: Portal,
    /// The `Host` for the portal; None is the upstream's own.
    pub upstream_host: Option<String>,
    pub preserve_host: bool,
    /// What is dialled instead of the upstream's host and port.
    pub upstream_connect: Option<HostPort>,
    pub upstream_ca: Option<PathBuf>,
    pub upstream_insecure: bool,
    pub upstream_http2: bool,
    /// Addresses of this machine to connect to the portal from. Empty: the system chooses.
    pub upstream_sources: Vec<IpAddr>,
    /// The portal's request limit, and how long calls wait for it.
    pub pace: Rules,
    /// The portal's time for a method in ten minutes.
    pub operating_limit: Option<Duration>,
    /// The store that replicas share the limit through.
    pub rate_store: StoreOptions,
    pub rest_path: RestPath,
    /// Turn the portal's origin in answers to the proxy's.
    pub rewrite_origin: bool,

    /// At least one.
    pub listen: Vec<Listen>,
    /// For clients; not empty means that listeners speak TLS. The first serves names that no other has.
    pub certificates: Vec<CertificateFiles>,
    pub http2: bool,
    pub trusted_proxies: Vec<values::TrustedProxy>,
    pub accept_proxy_protocol: bool,

    /// Later ones win over earlier ones.
    pub modes: Vec<ModeSetting>,
    /// The file's `[[mode]]` tables: the first that matches wins over all of `modes`.
    pub entries: Vec<Entry>,
    /// The same as they could stand in a file, each without its heading.
    pub entry_texts: Vec<String>,
    pub rules: Vec<PathBuf>,
    /// Add Deprecation, Sunset and Link to answers.
    pub deprecation_headers: bool,
    pub parameter_names: bool,

    pub deprecation_log: LogTarget,
    pub deprecation_log_sync: bool,
    pub on_log_failure: OnLogFailure,
    /// How calls of watched methods are logged: for all, and for some.
    pub watched_logs: Vec<(Option<String>, WatchedLog)>,
    /// This replica's name.
    pub instance: String,
    pub heartbeat_interval: Duration,
    pub callers: Option<PathBuf>,
    pub fingerprint_key_file: Option<PathBuf>,
    /// Our request id is sent on and returned.
    pub request_id_header: bool,

    /// None: no admin address.
    pub admin_listen: Option<SocketAddr>,
    pub admin_token_file: Option<PathBuf>,
    pub protect_metrics: bool,
    pub watch_config: bool,
    pub access_log: Option<LogTarget>,
    pub log_level: LevelFilter,
    pub log_format: LogFormat,
    /// At least one.
    pub threads: usize,

    pub time: Timeouts,
    pub limits: SizeLimits,

    layers: Layers,
}

impl Settings {
    /// Understands and checks all values; the first that is wrong is the failure.
    fn resolve(layers: Layers, file: File) -> Result<Self, Failure> {
        let on = |name: &str| match layers.get(name) {
            Some(_) => layers.one(name, values::switch),
            None => Ok(false),
        };
        let upstream = layers.maybe("upstream", values::upstream)?.ok_or_else(|| {
            Failure::usage("--upstream is missing; give the portal's address, as --upstream https://example.bitrix24.com")
        })?;
        let settings = Self {
            upstream,
            upstream_host: layers.maybe("upstream-host", values::host_field)?,
            preserve_host: on("preserve-host")?,
            upstream_connect: layers.maybe("upstream-connect", values::host_port)?,
            upstream_ca: layers.maybe("upstream-ca", values::path)?,
            upstream_insecure: on("upstream-insecure")?,
            upstream_http2: on("upstream-http2")?,
            upstream_sources: layers.many("upstream-source", values::source)?,
            pace: Rules {
                rate: layers.one("portal-rate", PortalRate::parse)?,
                timeout: layers.one("queue-timeout", values::time_limit)?,
                calls: layers.one("queue-calls", values::count)?,
            },
            operating_limit: layers.maybe("operating-limit", values::time_limit)?,
            rate_store: StoreOptions::read(&layers)?,
            rest_path: layers.one("rest-path", RestPath::new)?,
            rewrite_origin: !on("no-rewrite-origin")?,
            listen: layers.many("listen", values::listen)?,
            certificates: certificates(&layers, file.certificates)?,
            http2: on("http2")?,
            trusted_proxies: layers.many("trusted-proxy", values::trusted_proxy)?,
            accept_proxy_protocol: on("accept-proxy-protocol")?,
            modes: layers.many("mode", values::mode)?,
            entries: file.modes,
            entry_texts: file.mode_texts,
            rules: layers.many("rules", values::path)?,
            deprecation_headers: !on("no-deprecation-headers")?,
            parameter_names: !on("no-parameter-names")?,
            deprecation_log: layers.one("deprecation-log", values::output)?,
            deprecation_log_sync: on("deprecation-log-sync")?,
            on_log_failure: layers.one("on-log-failure", |text| {
                values::choice(
                    text,
                    &[
                        ("continue", OnLogFailure::Continue),
                        ("refuse", OnLogFailure::Refuse),
                    ],
                )
            })?,
            watched_logs: layers.many("watched-log", evidence::watched_log)?,
            instance: layers
                .maybe("instance", evidence::instance)?
                .unwrap_or_else(host_name),
            heartbeat_interval: layers.one("heartbeat-interval", evidence::interval)?,
            callers: layers.maybe("callers", values::path)?,
            fingerprint_key_file: layers.maybe("fingerprint-key-file", values::path)?,
            request_id_header: on("request-id-header")?,
            admin_listen: layers.one("admin-listen", values::address_or_off)?,
            admin_token_file: layers.maybe("admin-token-file", values::path)?,
            protect_metrics: on("protect-metrics")?,
            watch_config: on("watch-config")?,
            access_log: layers.maybe("access-log", values::output)?,
            log_level: layers.one("log-level", |text| values::choice(text, LEVELS))?,
            log_format: layers.one("log-format", |text| {
                values::choice(
                    text,
                    &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                )
            })?,
            threads: layers
                .maybe("threads", values::count)?
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get)),
            time: timeouts(&layers)?,
            limits: SizeLimits::read(&layers)?,
            layers,
        };
        settings.check()?;
        Ok(settings)
    }

    /// The defaults with these options set, whatever the environment says: for a command that needs a proxy of its own.
    pub fn with(options: &[(&'static str, &str)]) -> Result<Self, Failure> {
        Self::resolve(Layers::given(options), File::default())
    }

    /// What each option was set to, and where.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Options whose value differs in `new` and that take effect only at the next start.
    pub fn needs_restart<'a>(&'a self, new: &'a Self) -> impl Iterator<Item = &'static str> + 'a {
        let waits = |change| change == Change::NeedsRestart;
        let of_file = |settings: &'a Self| settings.layers.get("tls-cert").is_some().into();
        let same = self.certificates[of_file(self)..] == new.certificates[of_file(new)..];
        let certificates = (!same).then_some("certificate");
        self.layers
            .changed(&new.layers)
            .filter(move |spec| waits(spec.change))
            .map(|spec| spec.name)
            .chain(certificates)
    }

    /// The failure of an option whose value does not go with the others.
    pub fn wrong(&self, name: &str, why: &str) -> Result<(), Failure> {
        Err(match self.layers.get(name) {
            Some(layered) => layered.wrong(name, why),
            None => Failure::usage(format!("--{name}: {why}")),
        })
    }

    /// The same for the portal's request limit and the addresses that calls leave from.
    fn check_pace(&self) -> Result<(), Failure> {
        let wrong = |name: &str, why: &str| self.wrong(name, why);
        if !self.upstream_sources.is_empty() && matches!(self.upstream, Portal::Unix(_)) {
            return wrong(
                "upstream-source",
                "a unix: upstream is reached from no address; leave one of them away",
            );
        }
        if let Some((name, why)) = self.rate_store.fault(&self.layers, self.pace.rate) {
            return wrong(name, why);
        }
        let twice = |(at, source): (usize, &IpAddr)| self.upstream_sources[..at].contains(source);
        if self.upstream_sources.iter().enumerate().any(twice) {
            return wrong(
                "upstream-source",
                "it names an address twice, but the portal counts it once; name each once",
            );
        }
        Ok(())
    }

    /// What no value shows by itself: values that do not go together.
    fn check(&self) -> Result<(), Failure> {
        let wrong = |name: &str, why: &str| self.wrong(name, why);
        if self.listen.is_empty() {
            return wrong("listen", "it names no address; give one, as 127.0.0.1:8080");
        }
        if self.preserve_host && self.upstream_host.is_some() {
            return wrong(
                "preserve-host",
                "it contradicts --upstream-host; leave one of them away",
            );
        }
        if self.upstream_connect.is_some() && matches!(self.upstream, Portal::Unix(_)) {
            return wrong(
                "upstream-connect",
                "a unix: upstream is dialled at its path; leave one of them away",
            );
        }
        self.check_pace()?;
        if self.accept_proxy_protocol && self.trusted_proxies.is_empty() {
            return wrong(
                "accept-proxy-protocol",
                "nobody is trusted to speak it; name the proxies with --trusted-proxy",
            );
        }
        if self.limits.rewrite_memory < self.limits.rewrite_body {
            return wrong(
                "rewrite-memory",
                "it is less than --max-rewrite-body, so that the largest body never fits",
            );
        }
        if self.protect_metrics && self.admin_token_file.is_none() {
            return wrong(
                "protect-metrics",
                "there is no token to ask for; name its file with --admin-token-file",
            );
        }
        if is_own(self, |_| false) {
            let why = "it is the proxy's own --listen address, so that calls would go round for ever; give the portal's";
            return wrong("upstream", why);
        }
        if self
            .listen
            .iter()
            .any(|listen| same_address(listen, self.admin_listen))
        {
            return wrong(
                "admin-listen",
                "it is also a --listen address; choose another port",
            );
        }
        Ok(())
    }
}

const LEVELS: &[(&str, LevelFilter)] = &[
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

fn timeouts(layers: &Layers) -> Result<Timeouts, Failure> {
    let limit = |name: &str| layers.one(name, values::time_limit);
    Ok(Timeouts {
        connect: limit("connect-timeout")?,
        tls_handshake: limit("tls-handshake-timeout")?,
        header: limit("header-timeout")?,
        body: limit("body-timeout")?,
        response: limit("response-timeout")?,
        upstream_body: limit("upstream-body-timeout")?,
        keep_alive: limit("keep-alive-timeout")?,
        pool_idle: limit("pool-idle-timeout")?,
        tunnel_idle: limit("tunnel-idle-timeout")?,
        rewrite_wait: layers.one("rewrite-wait", values::duration)?,
        drain_delay: layers.one("drain-delay", values::duration)?,
        drain: layers.one("drain-timeout", values::duration)?,
    })
}
fn certificates(
    layers: &Layers,
    of_file: Vec<CertificateFiles>,
) -> Result<Vec<CertificateFiles>, Failure> {
    let certificate = layers.maybe("tls-cert", values::path)?;
    let key = layers.maybe("tls-key", values::path)?;
    let lacks = |given: &str, missing: &str| {
        let origin = layers
            .get(given)
            .map_or_else(|| format!("--{given}"), |layered| layered.origin.of(given));
        Err(Failure::usage(format!(
            "{origin}: it needs --{missing} beside it"
        )))
    };
    let first = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return lacks("tls-cert", "tls-key"),
        (None, Some(_)) => return lacks("tls-key", "tls-cert"),
    };
    let all: Vec<_> = first.into_iter().chain(of_file).collect();
    for CertificateFiles { certificate, key } in &all {
        for (what, path) in [("certificate", certificate), ("private key", key)] {
            std::fs::File::open(path).map_err(|error| unreadable(what, path, &error))?;
        }
    }
    Ok(all)
}

fn same_address(listen: &Listen, admin: Option<SocketAddr>) -> bool {
    matches!((listen, admin), (Listen::Tcp { address, .. }, Some(admin)) if *address == admin && admin.port() != 0)
}

/// Whether what is dialled is a listener of ours. `is_here` says which addresses beside loopback are this machine's.
pub fn is_own(settings: &Settings, is_here: impl Fn(IpAddr) -> bool) -> bool {
    let dialled = settings.upstream_connect.as_ref();
    let is_here = |ip: IpAddr| ip.is_loopback() || is_here(ip);
    let mut listeners = settings.listen.iter();
    listeners.any(|listen| is_dialled(&settings.upstream, dialled, listen, &is_here))
}

/// Whether what is dialled is this listener. Names other than `localhost` are not looked up: a loop through them is
/// seen at run time.
fn is_dialled(
    upstream: &Portal,
    connect: Option<&HostPort>,
    listen: &Listen,
    is_here: &impl Fn(IpAddr) -> bool,
) -> bool {
    let (host, port) = match (upstream, connect, listen) {
        (Portal::Unix(there), _, Listen::Unix(here)) => return there == here,
        (_, Some(dialled), _) => (dialled.host.as_str(), dialled.port),
        (Portal::Tcp { host, port, .. }, None, _) => (host.as_str(), *port),
        (Portal::Unix(_), ..) => return false,
    };
    let Listen::Tcp { address, .. } = listen else {
        return false;
    };
    let candidates: Vec<IpAddr> = match host {
        "localhost" => vec![
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ],
        _ => host.parse().into_iter().collect(),
    };
    let everywhere = address.ip().is_unspecified();
    address.port() == port
        && candidates
            .into_iter()
            .any(|ip| ip == address.ip() || ip.is_unspecified() || everywhere && is_here(ip))
}

#[cfg(test)]
mod tests;
