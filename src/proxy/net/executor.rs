//! hyper's tasks for HTTP/2, run on the thread that they belong to.

use std::future::Future;

/// Runs tasks on this thread.
#[derive(Clone)]
pub struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
