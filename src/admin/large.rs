//! Answers that show all callers: long in the making, and large. They are made one at a time beside the thread that
//! answers probes, and a visitor that does not take his gives way to whoever comes next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Response;
use hyper::body::Body as _;
use hyper::header::{CONNECTION, HeaderValue};
use tokio::sync::{Notify, Semaphore};

use super::answer::Body;

/// A larger answer ends its connection, so that nobody has several of them on one.
const LARGE: u64 = 64 << 10;

/// So many bytes of large answers wait for their visitors; for one more, the oldest are given up. The last one may be larger.
const MOST_HELD: u64 = 32 << 20;

/// The large answers that are being made, and those on their way.
pub(super) struct Large {
    making: Arc<Semaphore>,
    held: Mutex<VecDeque<Held>>,
}

/// An answer on its way.
struct Held {
    visitor: Arc<Notify>,
    size: u64,
}

/// A visitor's connection. It is over once [`Visitor::has_to_go`].
pub(super) struct Visitor<'l> {
    large: &'l Large,
    gives_way: Arc<Notify>,
}

impl Large {
    pub(super) fn new() -> Self {
        Self {
            making: Arc::new(Semaphore::new(1)),
            held: Mutex::default(),
        }
    }

    pub(super) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            large: self,
            gives_way: Arc::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor<'_> {
    /// Makes an answer on a thread that may take its time; nothing where that thread broke down.
    pub(super) async fn make(
        &self,
        make: impl FnOnce() -> Response<Body> + Send + 'static,
    ) -> Option<Response<Body>> {
        let making = Arc::clone(&self.large.making).acquire_owned().await.ok()?;
        let made = tokio::task::spawn_blocking(move || {
            let made = make();
            drop(making);
            made
        });
        let mut answer = made.await.ok()?;
        let size = answer.body().size_hint().lower();
        if size > LARGE {
            let fields = answer.headers_mut();
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
            self.hold(size);
        }
        Some(answer)
    }

    /// Takes room for an answer on its way, from the oldest ones where there is none.
    fn hold(&self, size: u64) {
        let mut held = self.large.held();
        let mut sum = size + held.iter().map(|held| held.size).sum::<u64>();
        while sum > MOST_HELD
            && let Some(oldest) = held.pop_front()
        {
            sum -= oldest.size;
            oldest.visitor.notify_one();
        }
        let visitor = Arc::clone(&self.gives_way);
        held.push_back(Held { visitor, size });
    }

    /// Waits until somebody needs the room that this visitor holds.
    pub(super) async fn has_to_go(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        let mut held = self.large.held();
        held.retain(|held| !Arc::ptr_eq(&held.visitor, &self.gives_way));
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::super::answer::text;
    use super::*;

    async fn has_to_go(visitor: &Visitor<'_>) -> bool {
        tokio::select! {
            biased;
            () = visitor.has_to_go() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_oldest_answers_give_way_to_one_that_needs_their_room() {
        let large = Large::new();
        let visitors: Vec<Visitor<'_>> = (0..4).map(|_| large.visitor()).collect();
        let megabytes = |count: u64| count << 20;
        visitors[0].hold(megabytes(16));
        visitors[1].hold(megabytes(16));
        assert!(!has_to_go(&visitors[0]).await);
        visitors[2].hold(megabytes(1));
        assert!(has_to_go(&visitors[0]).await);
        assert!(!has_to_go(&visitors[1]).await);
        // One that is larger than all the room has it alone.
        visitors[3].hold(megabytes(100));
        assert!(has_to_go(&visitors[1]).await && has_to_go(&visitors[2]).await);
        assert!(!has_to_go(&visitors[3]).await);
        drop(visitors);
        assert!(large.held().is_empty());
    }

    #[tokio::test]
    async fn a_large_answer_ends_its_connection_and_a_small_one_does_not() {
        let large = Large::new();
        let visitor = large.visitor();
        for (length, closes) in [(10, false), (100_000, true)] {
            let answer = visitor
                .make(move || text(StatusCode::OK, "x".repeat(length)))
                .await
                .expect("an answer");
            assert_eq!(answer.headers().contains_key(CONNECTION), closes);
            assert_eq!(large.held().len(), usize::from(closes));
        }
    }
}
