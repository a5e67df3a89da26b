//! A limit on the time between two pieces of a body, where the connection does not watch it.

use crate::proxy::net::watch::is_over;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

/// A limit between two pieces of a body, for connections that do not watch that themselves.
pub struct Stall {
    limit: Duration,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Stall {
    pub fn new(limit: Duration) -> Self {
        Stall {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
        }
    }

    /// A piece has come: the limit begins anew.
    pub fn moved(&mut self) {
        self.sleep
            .as_mut()
            .reset(tokio::time::Instant::now() + self.limit);
    }

    /// Whether the limit has passed since the last piece; wakes the task otherwise.
    pub fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        is_over(self.sleep.as_mut(), cx)
    }
}
