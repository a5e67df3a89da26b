//! The client's connection: bytes in, a call out.

pub mod frames;
pub mod greet;
pub mod http1;
pub mod http2;
pub mod listener;
pub mod refuse;
pub mod tunnel;
