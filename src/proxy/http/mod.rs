//! Reads and writes the heads and bodies of messages (pure).

pub mod chunked;
pub mod forward;
pub mod head;
pub mod origin;
pub mod peer;
