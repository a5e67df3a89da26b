//! From what `serve` was told to what each layer is given: the data path's configuration and its sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use super::admin;
use super::failure::Failure;
use super::settings::Settings;
use super::text::reason;
use super::values::TrustedProxy;
use super::{evidence, inputs, policy, rule_files, sockets};
use crate::admin::ReloadRequest;
use crate::catalogue::{Catalogue, Rule};
use crate::ladder::Policy;
use crate::proxy::config::{Config, Network};
use crate::proxy::{Listening, Server, Shared};
use crate::telemetry::Telemetry;
use crate::telemetry::caller::Fingerprints;
use crate::telemetry::callers::Callers;
use crate::telemetry::log::{LogConfig, LogTarget};
use crate::telemetry::logging::{Logging, RulesKnown};
use crate::telemetry::reader::{START, STOP};
use crate::telemetry::run::Run;

/// A proxy that serves.
pub struct Running {
    pub server: Server,
    pub shared: Arc<Shared>,
    /// Where clients are served, as one would write it in a log.
    pub addresses: Vec<String>,
    /// The TCP addresses among them, each with whether it speaks TLS.
    pub listeners: Vec<(SocketAddr, bool)>,
    /// The first TCP address among them.
    pub address: Option<SocketAddr>,
    /// The admin address, where one is served.
    pub admin: Option<crate::admin::Handle>,
    /// What the admin address is asked for; nothing where there is none.
    pub reloads: mpsc::Receiver<ReloadRequest>,
}

/// Opens everything, sockets first, and begins to serve. What is wrong in rules and modes is said before that.
pub fn start(settings: &Settings) -> Result<Running, Failure> {
    let mut config = proxy_config(settings);
    config.rate_store = settings.rate_store.open()?;
    let catalogue = rule_files::catalogue(&settings.rules)?;
    let policy = policy_of(settings, &catalogue, None)?;
    let logging = Arc::clone(policy.logging());
    let sockets = sockets::open(&config)?;
    let admin_socket = admin::socket(settings)?;
    let telemetry = telemetry(settings, catalogue.rules(), logging)?;
    rebuild(&telemetry, settings);
    let shared = Shared::new(config, telemetry, policy)
        .map_err(|why| Failure::usage(format!("cannot start: {why}")))?;
    let (reload, reloads) = mpsc::channel(1);
    let admin = admin_socket
        .map(|socket| admin::serve(socket, settings, &shared, reload))
        .transpose()?;
    let addresses = sockets.iter().map(Listening::address).collect();
    let has_certificate = !shared.config.certificates.is_empty();
    let listeners: Vec<_> = sockets
        .iter()
        .filter_map(|socket| Some((socket.tcp_address()?, has_certificate && !socket.is_plain())))
        .collect();
    let address = listeners.first().map(|(address, _)| *address);
    // Before any call can have a line.
    shared.telemetry.mark(START, SystemTime::now());
    let server = Server::start(sockets, Arc::clone(&shared)).map_err(|error| {
        shared.telemetry.mark(STOP, SystemTime::now());
        Failure::machine(format!("cannot start: {}", reason(&error)))
    })?;
    Ok(Running {
        server,
        shared,
        addresses,
        listeners,
        address,
        admin,
        reloads,
    })
}

/// Brings back what the status page showed before a restart. A log that cannot be read costs the past, not the start.
fn rebuild(telemetry: &Arc<Telemetry>, settings: &Settings) {
    match &settings.deprecation_log {
        LogTarget::Stdout => telemetry.live.set_note(
            "The deprecation log goes to standard output, so this page shows only what came since the proxy's start.",
        ),
        LogTarget::Path(path) => {
            let (done, ended) = std::sync::mpsc::channel();
            let (telemetry, path) = (Arc::clone(telemetry), path.clone());
            telemetry.live.set_note(READING);
            std::thread::spawn(move || {
                let rebuilt = telemetry.rebuild_from(&path);
                telemetry.live.take_note(READING);
                if let Err(error) = rebuilt {
                    tracing::warn!(%error, "a deprecation log cannot be read; the status page knows no more than the others tell");
                }
                let _ = done.send(());
            });
            // What takes longer goes on while calls are served.
            let _ = ended.recv_timeout(REBUILD);
        }
    }
}

/// What the page says meanwhile.
const READING: &str = "The logs of earlier days are still being read: counts and times of first use grow until that is done.";

/// How long the start waits for what earlier runs have logged.
const REBUILD: Duration = Duration::from_secs(1);

/// The data path's configuration.
pub fn proxy_config(settings: &Settings) -> Config {
    let limits = &settings.limits;
    let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    let network = |peer: &TrustedProxy| match peer {
        TrustedProxy::Network(network) => Some(Network {
            address: network.network(),
            prefix: network.prefix_len(),
        }),
        TrustedProxy::Unix => None,
    };
    Config {
        listen: settings.listen.clone(),
        portal: settings.upstream.clone(),
        upstream_host: settings.upstream_host.clone(),
        preserve_host: settings.preserve_host,
        upstream_ca: settings.upstream_ca.clone(),
        upstream_insecure: settings.upstream_insecure,
        upstream_connect: settings
            .upstream_connect
            .clone()
            .map(|dialled| (dialled.host, dialled.port)),
        upstream_http2: settings.upstream_http2,
        upstream_sources: settings.upstream_sources.clone(),
        pace: settings.pace,
        operating_limit: settings.operating_limit,
        rate_store: None,
        rest_path: settings.rest_path.clone(),
        max_rewrite_body: bytes(limits.rewrite_body),
        rewrite_memory: bytes(limits.rewrite_memory),
        certificates: settings.certificates.clone(),
        http2: settings.http2,
        trusted_proxies: settings
            .trusted_proxies
            .iter()
            .filter_map(network)
            .collect(),
        trusts_unix: settings.trusted_proxies.contains(&TrustedProxy::Unix),
        accept_proxy_protocol: settings.accept_proxy_protocol,
        max_head: limits.head_size,
        max_fields: limits.head_fields,
        max_target: limits.target_size,
        max_connections: limits.connections.unwrap_or(usize::MAX),
        max_connections_per_client: limits.connections_per_client.unwrap_or(usize::MAX),
        rewrite_origin: settings.rewrite_origin,
        deprecation_headers: settings.deprecation_headers,
        parameter_names: settings.parameter_names,
        request_id_header: settings.request_id_header,
        threads: settings.threads,
        timeouts: settings.time,
    }
}

/// In which mode each rule is, for whom and when. What stood in `previous` already keeps its counts.
pub fn policy_of(
    settings: &Settings,
    catalogue: &Catalogue,
    previous: Option<&Policy>,
) -> Result<Policy, Failure> {
    let entries = settings.entries.clone();
    let policy = policy::build(settings.layers(), entries, catalogue, previous)?;
    let watched =
        evidence::watched_logs(&settings.watched_logs, catalogue).map_err(Failure::usage)?;
    let logging = Logging {
        callers: callers(settings)?,
        watched,
        rules: RulesKnown::of(catalogue),
    };
    Ok(policy.with_logging(Arc::new(logging)))
}

/// Opens the logs, and reads what tells callers apart.
pub fn telemetry(
    settings: &Settings,
    rules: &[Arc<Rule>],
    logging: Arc<Logging>,
) -> Result<Arc<Telemetry>, Failure> {
    let log = LogConfig {
        sync: settings.deprecation_log_sync,
        on_failure: settings.on_log_failure,
        ..LogConfig::deprecation(settings.deprecation_log.clone())
    };
    let access_log = settings.access_log.clone().map(LogConfig::access);
    let fingerprints = fingerprints(settings)?;
    let run = Run::now(&settings.instance, settings.heartbeat_interval);
    Telemetry::open(log, access_log, rules, fingerprints, logging, run).map_err(|(log, error)| {
        match &log.target {
            LogTarget::Path(path) => cannot_open(log.name, path, &error),
            LogTarget::Stdout => cannot_open(log.name, Path::new("on standard output"), &error),
        }
    })
}

/// Why a log cannot be opened, and what to do about it.
pub fn cannot_open(log: &str, path: &Path, error: &std::io::Error) -> Failure {
    let option = match log {
        "access log" => "--access-log",
        _ => "--deprecation-log",
    };
    Failure::machine(format!(
        "cannot open the {log} {}: {}; make its folder and let this user write there, or choose another with {option}",
        path.display(),
        reason(error)
    ))
}

/// What stands for credentials in logs: hashes under the given key.
pub fn fingerprints(settings: &Settings) -> Result<Fingerprints, Failure> {
    let fingerprints = match &settings.fingerprint_key_file {
        None => Fingerprints::default(),
        Some(path) => inputs::fingerprints(path)?,
    };
    let host = settings
        .upstream_host
        .clone()
        .or_else(|| settings.upstream.host_field());
    Ok(fingerprints.of_portal(host.as_deref().unwrap_or_default()))
}

/// The names of callers; none without a file.
pub fn callers(settings: &Settings) -> Result<Callers, Failure> {
    settings
        .callers
        .as_deref()
        .map_or_else(|| Ok(Callers::default()), inputs::callers)
}
