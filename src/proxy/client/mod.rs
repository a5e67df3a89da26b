//! The client's connection: bytes in, a call out.

pub mod admission;
pub mod frames;
pub mod greet;
pub mod handshake;
pub mod http1;
pub mod http2;
pub mod listener;
pub mod refuse;
pub mod registry;
pub mod sniff;
pub mod tunnel;
