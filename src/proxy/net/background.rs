//! Work of a thread that goes on without its client, and word of its end.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// A future that, dropped before its end, goes on in a task of its own: a request's future is dropped when its client
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
            finish(async move {
                work.await;
            });
        }
    }
}

thread_local! {
    /// Work that goes on without its client.
    static UNFINISHED: Cell<usize> = const { Cell::new(0) };
    /// Told when a connection has gone, or such work has ended.
    static GONE: Rc<Notify> = Rc::default();
}

/// Lets work go on in a task of its own. Outside of a thread of the proxy (at its end) it is dropped.
pub fn finish(work: impl std::future::Future<Output = ()> + 'static) {
    if tokio::runtime::Handle::try_current().is_err() {
        return;
    }
    let unfinished = Unfinished::new();
    tokio::task::spawn_local(async move {
        work.await;
        drop(unfinished);
    });
}

/// Work that goes on without its client, counted for as long as this is held.
struct Unfinished(());

impl Unfinished {
    fn new() -> Self {
        UNFINISHED.set(UNFINISHED.get() + 1);
        Unfinished(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // At a thread's end there is nobody to tell.
        let _ = UNFINISHED.try_with(|count| count.set(count.get() - 1));
        let _ = GONE.try_with(|gone| gone.notify_waiters());
    }
}

/// How much work goes on without its client.
pub fn unfinished() -> usize {
    UNFINISHED.get()
}

/// Notified whenever a connection of this thread has gone or work without a client has ended.
pub fn gone() -> Rc<Notify> {
    GONE.with(Rc::clone)
}

/// Counted for as long as it is held; [`gone`] is notified of its end.
pub struct InWork(Rc<Cell<usize>>);

impl InWork {
    pub fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        InWork(count.clone())
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
        // At a thread's end there is nobody to tell.
        let _ = GONE.try_with(|gone| gone.notify_waiters());
    }
}

/// Word that what is in flight is to end now.
#[derive(Debug, Default)]
pub struct CutOff(Notify);

impl CutOff {
    /// Ends what waits with [`CutOff::unless_cut`].
    pub fn cut(&self) {
        self.0.notify_waiters();
    }

    /// Resolves when what is in flight is cut.
    pub async fn cut_off(&self) {
        self.0.notified().await;
    }

    /// Drives work to its end; `None` if it is cut before. Takes a pin: moving the future in would double its size.
    pub async fn unless_cut<T>(&self, work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.cut_off() => None,
        }
    }
}
