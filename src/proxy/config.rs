//! What the data path is told: every address, limit and switch, resolved.

use crate::pace::desk::Rules;
use crate::protocol::Secret;
use crate::protocol::target::RestPath;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where clients are listened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and port. With a certificate it speaks TLS, unless `plain` (written `http://ADDR`).
    Tcp { address: SocketAddr, plain: bool },
    /// A socket in the file system, written `unix:/path`. Always without TLS.
    Unix(PathBuf),
}

/// The portal: an origin, nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Portal {
    /// A host name or IP address (an IPv6 address without its brackets), lower-cased.
    Tcp { tls: bool, host: String, port: u16 },
    /// A socket in the file system, written `unix:/path`. Always without TLS.
    Unix(PathBuf),
}

impl Portal {
    /// The `Host` that names it: with its port only where that is not the scheme's own. None for a Unix socket.
    pub fn host_field(&self) -> Option<String> {
        let Self::Tcp { tls, host, port } = self else {
            return None;
        };
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let usual = if *tls { 443 } else { 80 };
        Some(if *port == usual {
            host
        } else {
            format!("{host}:{port}")
        })
    }
}

/// A certificate chain and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Time limits, one for each phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub tls_handshake: Duration,
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// Of an idle client connection.
    pub keep_alive: Duration,
    /// Of an idle connection to the portal.
    pub pool_idle: Duration,
    /// Between two pieces of a client's body.
    pub body: Duration,
    /// From the last byte sent to the portal to the head of its answer.
    pub response: Duration,
    /// Between two pieces of an answer's body.
    pub upstream_body: Duration,
    /// Of a tunnel on which nothing moves.
    pub tunnel_idle: Duration,
    /// How long a deprecated call waits for room in the rewrite memory.
    pub rewrite_wait: Duration,
    pub drain_delay: Duration,
    pub drain: Duration,
}

/// A network of peers, for `--trusted-proxy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: std::net::IpAddr,
    pub prefix: u8,
}

impl Network {
    /// Whether the address lies in the network; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        match (self.address, address.to_canonical()) {
            (V4(net), V4(a)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix.min(32)))
                    .unwrap_or(0);
                u32::from(net) & mask == u32::from(a) & mask
            }
            (V6(net), V6(a)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix.min(128)))
                    .unwrap_or(0);
                u128::from(net) & mask == u128::from(a) & mask
            }
            _ => false,
        }
    }
}

/// Where the store is that replicas share the portal's limit through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    Tcp {
        tls: bool,
        host: String,
        port: u16,
        database: i64,
    },
    Unix(PathBuf),
}

/// The store, and who asks it.
#[derive(Clone, Debug)]
pub struct RateStore {
    pub address: StoreAddress,
    pub user: Option<String>,
    pub password: Option<Secret<'static>>,
    /// The name of the address that calls leave from: replicas with another do not share.
    pub egress: String,
    /// How many replicas run, until the store tells.
    pub replicas: usize,
}

/// The data path's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Vec<Listen>,
    pub portal: Portal,
    /// `Host` towards the portal when it is not the portal's own name.
    pub upstream_host: Option<String>,
    /// Keep the client's `Host`.
    pub preserve_host: bool,
    /// PEM file of authorities to trust instead of the system's.
    pub upstream_ca: Option<PathBuf>,
    /// Check no certificate of the portal: for a lab.
    pub upstream_insecure: bool,
    /// Dial this `HOST:PORT` instead of the portal's name.
    pub upstream_connect: Option<(String, u16)>,
    pub upstream_http2: bool,
    /// The addresses of ours that connections to the portal leave from. Empty: the system chooses.
    pub upstream_sources: Vec<IpAddr>,
    /// The portal's request limit, and how long calls wait for it.
    pub pace: Rules,
    /// The portal's time for a method in ten minutes: what comes near it is warned of.
    pub operating_limit: Option<Duration>,
    /// Where replicas share it.
    pub rate_store: Option<RateStore>,
    pub rest_path: RestPath,
    /// The largest body that is read whole to be translated.
    pub max_rewrite_body: u64,
    /// Bytes of bodies that may be held for translation at once.
    pub rewrite_memory: u64,
    pub certificates: Vec<CertificateFiles>,
    pub http2: bool,
    pub trusted_proxies: Vec<Network>,
    /// Whether peers of Unix sockets are trusted proxies.
    pub trusts_unix: bool,
    pub accept_proxy_protocol: bool,
    pub max_head: usize,
    pub max_fields: usize,
    pub max_target: usize,
    pub max_connections: usize,
    pub max_connections_per_client: usize,
    pub rewrite_origin: bool,
    pub deprecation_headers: bool,
    /// Look into calls for the names of their parameters.
    pub parameter_names: bool,
    /// Send our request id on, and return it.
    pub request_id_header: bool,
    pub threads: usize,
    pub timeouts: Timeouts,
}

impl Config {
    /// The `Host` for the portal; `None` keeps the client's.
    pub fn host_for_portal(&self) -> Option<Vec<u8>> {
        if self.preserve_host {
            return None;
        }
        if let Some(host) = &self.upstream_host {
            return Some(host.clone().into_bytes());
        }
        match &self.portal {
            Portal::Unix(_) => None,
            Portal::Tcp { tls, host, port } => {
                let default = if *tls { 443 } else { 80 };
                let host = if host.contains(':') {
                    &format!("[{host}]")
                } else {
                    host
                };
                Some(
                    if *port == default {
                        host.clone()
                    } else {
                        format!("{host}:{port}")
                    }
                    .into_bytes(),
                )
            }
        }
    }
}
