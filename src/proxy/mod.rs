//! The data path: a request in, the portal's answer out. Five floors; imports run down only (ARCHITECTURE.md).
//!
//! - [`client`] the client's connection: bytes in, a call out
//! - [`call`] one call, from its head to the head of its answer
//! - [`portal`] the connections to the portal: a request out, an answer in
//! - [`net`] sockets, TLS, time and work under all of them
//! - [`http`] reads and writes of messages (pure)
//!
//! Each thread runs its own single-threaded runtime ([`server`]) with its own pool of connections to the portal; nothing
//! is shared on the way of a request but counters and the log.

mod body;
mod call;
mod client;
pub mod config;
mod error;
mod http;
mod net;
mod pacing;
mod portal;
mod server;
mod shared;

pub use config::Config;
pub use net::listening::Listening;
pub use net::pem;
pub use net::tls::plain_client as tls_client;
pub use net::tls::{check as check_tls, check_authorities};
pub use portal::probe::{Answered, probe};
pub use server::{Cut, Server};
pub use shared::Shared;

/// The readers of messages, for the fuzz targets.
#[doc(hidden)]
pub mod readers {
    pub use super::http::{body_in, chunked, forward, head, peer, read, request_in};
}
