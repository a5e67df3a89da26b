//! The time, as the page counts it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in milliseconds since 1970.
pub(super) fn now() -> u64 {
    since_1970(SystemTime::now())
}

/// Milliseconds from 1970 to a moment.
pub(super) fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
