//! How a portal reads a call: `docs/PROTOCOL.md` as code (pure).
//!
//! A portal is a PHP application, so names and values are read by PHP's rules, not by those of the formats. Everything
//! here gives *spans* of the bytes that it was given, so that whoever changes a call can leave all other bytes alone.
pub mod answer;
pub mod credentials;
pub mod head;
mod secret;
pub mod target;

pub use head::Fields;
pub use secret::Secret;
