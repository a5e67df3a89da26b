//! Time limits of a connection, kept by one lazy timer for all its phases.
//!
//! A timer for each request would be set and cleared thousands of times for nothing. Here the connection's own task
//! looks at the facts that it holds whenever the timer fires, and sets it to the next
//! moment that can matter; nothing is touched while requests flow. A limit may therefore be noticed late, by at most
//! the smallest of the connection's limits.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// What a look at the facts says.
pub enum Look {
    /// Nothing is limited now: look again within the interval.
    Idle,
    /// The present phase ends at that moment.
    Until(Instant),
    /// A limit has passed and has been dealt with: the connection is polled again.
    Acted,
    /// The connection ends now.
    End,
}

/// Drives `connection` to its end; `None` if the watch ended it.
pub async fn watched<F: Future + Unpin>(
    connection: &mut F,
    interval: Duration,
    mut look: impl FnMut(Instant) -> Look,
) -> Option<F::Output> {
    let mut sleep: Pin<&mut Sleep> = pin!(tokio::time::sleep(interval));
    poll_fn(move |cx| {
        loop {
            if let Poll::Ready(output) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(Some(output));
            }
            if !is_over(sleep.as_mut(), cx) {
                return Poll::Pending;
            }
            let now = Instant::now();
            let next = match look(now) {
                Look::Idle | Look::Acted => now + interval,
                Look::Until(at) => at.min(now + interval),
                Look::End => return Poll::Ready(None),
            };
            sleep.as_mut().reset(next.into());
        }
    })
    .await
}

/// Whether a timer has fired; it wakes the task otherwise. A peer that sends without end uses up the turn's budget, and a
/// timer that shares it would never be asked.
pub fn is_over(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> bool {
    pin!(tokio::task::coop::unconstrained(timer))
        .poll(cx)
        .is_ready()
}

/// The limit of a phase that began at `since`.
pub fn limit(since: Option<Instant>, length: Duration) -> Option<Instant> {
    since.map(|since| since + length)
}
