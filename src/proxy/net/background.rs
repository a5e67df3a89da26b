//! Work that is finished even if nobody waits for it any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that, dropped before its end, goes on in a task of its own: hyper drops a request's future when its client
/// leaves, but the portal may have executed the call, and that must be logged.
pub struct Finish<T: 'static>(Option<Pin<Box<dyn Future<Output = T>>>>);

impl<T> Finish<T> {
    pub fn new(work: impl Future<Output = T> + 'static) -> Self {
        Finish(Some(Box::pin(work)))
    }
}

impl<T> Future for Finish<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it runs: work that panics is not finished by anybody.
        let Some(mut work) = self.0.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<T: 'static> Drop for Finish<T> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            crate::proxy::worker::finish(async move {
                work.await;
            });
        }
    }
}
