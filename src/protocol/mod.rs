//! How a portal reads a call: `docs/PROTOCOL.md` as code (pure).
//!
//! A portal is a PHP application, so names and values are read by PHP's rules, not by those of the formats. Everything
//! here gives *spans* of the bytes that it was given, so that whoever changes a call can leave all other bytes alone.
pub mod address;
pub mod answer;
pub mod batch;
pub mod call;
pub mod credentials;
mod decoded;
pub mod flaw;
pub mod form;
pub mod hash;
pub mod head;
pub mod json;
mod layer;
mod mask;
pub mod multipart;
pub mod name;
mod neighbours;
mod place;
mod secret;
mod stops;
pub mod target;
pub mod unnamed;
pub mod urlrewrite;
pub mod usage;
mod utf8;
pub mod xml;

pub use head::Fields;
pub use layer::{Begin, Layer};
pub use secret::Secret;
