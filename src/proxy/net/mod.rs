//! Sockets, TLS, time limits, and work that goes on without its client.

pub mod background;
pub mod caught;
pub mod certificate;
pub mod client_io;
pub mod descriptors;
pub mod executor;
pub mod fault;
pub mod footprint;
pub mod link;
pub mod listening;
pub mod own_ends;
pub mod pem;
pub mod scratch;
#[cfg(test)]
pub mod scripted;
pub mod stall;
pub mod stream;
pub mod tls;
pub mod watch;
