//! How a portal reads a call: `docs/PROTOCOL.md` as code (pure).
pub mod answer;
pub mod target;
