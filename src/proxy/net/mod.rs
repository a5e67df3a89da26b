//! Sockets, TLS, time limits, and work that goes on without its client.

pub mod background;
pub mod caught;
pub mod certificate;
pub mod descriptors;
pub mod executor;
pub mod footprint;
pub mod pem;
pub mod stream;
pub mod tls;
pub mod watch;
