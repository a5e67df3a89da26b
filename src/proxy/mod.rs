//! The data path: a request in, the portal's answer out.
//!
//! Each thread runs its own single-threaded runtime ([`worker`]) with its own pool of connections to the portal
//! ([`upstream`]); nothing is shared on the way of a request but counters and the log. [`handle`] is that way, read from
//! top to bottom.

mod address;
mod applications;
pub mod body;
mod caught;
mod certificate;
mod compare;
pub mod config;
mod connection;
mod deprecated;
mod descriptors;
pub mod error;
mod executor;
mod finish;
mod footprint;
mod frames;
mod greet;
mod handle;
pub mod headers;
mod http2;
mod listener;
pub mod origin;
pub mod peer;
pub mod pem;
mod preflight;
mod refuse;
mod reply;
mod room;
mod run;
mod span;
mod stream;
pub mod tls;
mod upgrade;
mod upstream;
mod watch;
pub mod wire;
mod worker;

pub use config::Config;
pub use run::{Cut, Listening, Server};
pub use worker::Shared;
