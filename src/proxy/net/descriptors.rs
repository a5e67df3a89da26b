//! Descriptors that clients' connections leave free, so that the admin address answers and the logs are opened again
//! however many clients there are.
//!
//! The system gives out the lowest free number: a new descriptor's number says that all below it are in use.

use rustix::process::{Resource, getrlimit};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::LazyLock;

/// How many are kept back, where there are enough; else an eighth of all.
const KEPT: u64 = 32;

/// The lowest number among those that are kept back.
static FIRST_KEPT: LazyLock<u64> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    limit - KEPT.min(limit / 8)
});

/// Whether this descriptor is one of those that are kept back.
pub fn is_kept_back(descriptor: &impl AsFd) -> bool {
    u64::try_from(descriptor.as_fd().as_raw_fd()).is_ok_and(|number| number >= *FIRST_KEPT)
}

/// Whether another descriptor would be none of those that are kept back. Costs two calls of the system.
pub fn are_left(any: &impl AsFd) -> bool {
    let another = any.as_fd().try_clone_to_owned();
    another.is_ok_and(|another| !is_kept_back(&another))
}
