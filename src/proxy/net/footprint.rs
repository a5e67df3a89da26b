//! What many connections held goes back to the system when they have gone or fallen silent.

use crate::memory;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// So many must have gone before it is worth the while.
const MANY: usize = 256;

/// How long others that go at the same time are waited for.
const SETTLE: Duration = Duration::from_millis(50);

/// Counts who holds memory on this thread: connections, and once more those that have buffers.
#[derive(Default)]
pub struct Footprint {
    held: Cell<usize>,
    /// The most there were since memory was last given back.
    most: Cell<usize>,
    due: Cell<bool>,
}

/// Counted for as long as it is held.
pub struct Holding(Rc<Footprint>);

impl Footprint {
    /// Counts one more.
    pub fn hold(self: &Rc<Self>) -> Holding {
        let held = self.held.get() + 1;
        self.held.set(held);
        self.most.set(self.most.get().max(held));
        Holding(self.clone())
    }

    /// Whether at least half of them have gone, and many.
    fn is_due(&self) -> bool {
        let gone = self.most.get() - self.held.get();
        gone >= MANY && gone >= self.held.get()
    }
}

/// Gives back what large bodies leave free, once their last bytes have gone too.
///
/// Blocks below 1 MiB are not given back when they are freed: 16 bodies of 3 MiB at once left up to 9 MiB behind, with this 1.
pub fn give_back_soon() {
    // At a thread's end there is no runtime any more, and no need.
    if tokio::runtime::Handle::try_current().is_ok() {
        tokio::task::spawn_local(async {
            tokio::time::sleep(SETTLE).await;
            memory::give_back_free_pages();
        });
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let footprint = &self.0;
        footprint.held.set(footprint.held.get() - 1);
        // At a thread's end there is no runtime any more, and no need.
        if footprint.due.get()
            || !footprint.is_due()
            || tokio::runtime::Handle::try_current().is_err()
        {
            return;
        }
        footprint.due.set(true);
        let footprint = footprint.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(SETTLE).await;
            footprint.due.set(false);
            footprint.most.set(footprint.held.get());
            memory::give_back_free_pages();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_due_when_most_of_many_have_gone() {
        let footprint = Rc::<Footprint>::default();
        let mut held: Vec<Holding> = (0..3 * MANY).map(|_| footprint.hold()).collect();
        assert!(!footprint.is_due());
        held.truncate(2 * MANY);
        assert!(!footprint.is_due(), "most are still there");
        held.truncate(MANY);
        assert!(footprint.is_due());

        let footprint = Rc::<Footprint>::default();
        drop(footprint.hold());
        assert!(!footprint.is_due(), "one is not many");
    }
}
