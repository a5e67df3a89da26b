//! A thread's buffer for reading, so that an idle connection holds none.

use crate::proxy::http::request_in::WITH_HEAD;
use std::cell::RefCell;

thread_local! {
    /// Heads are read into this buffer, so that an idle connection holds none.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; WITH_HEAD]);
}

/// Lends the thread's buffer for reading.
pub fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(scratch))
}
