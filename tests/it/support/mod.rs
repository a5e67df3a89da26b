//! What the tests over sockets stand on: a strict reader of HTTP, a scripted portal, a raw client and the built binary.

#![allow(
    dead_code,
    reason = "a toolbox: not every tool is in use at every moment"
)]

pub mod authority;
pub mod chromium;
pub mod client;
pub mod differential;
pub mod generated;
pub mod load;
pub mod ours;
pub mod portal;
pub mod proxy;
pub mod sandbox;
pub mod spoken;
pub mod strict;
pub mod time;
pub mod tls;
pub mod wire;

/// A small, seeded source of numbers (xorshift*): the same run for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Any seed will do; 0 becomes 1.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Says a figure that a test has shown; `--nocapture` lets it be read.
pub fn figure(what: &str, shown: impl std::fmt::Display) {
    eprintln!("figure: {what}: {shown}");
}

/// Bytes as a test's failure shows them.
pub fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(600)];
    format!(
        "{}{}",
        cut.escape_ascii(),
        if cut.len() < bytes.len() { "…" } else { "" }
    )
}
