//! Panics: counted, and logged with their place alone. A panic's message may repeat a piece of a call, and so a secret.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many there were in this process.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Counts and logs every panic of the process from now on, in place of the standard message.
pub fn watch() {
    std::panic::set_hook(Box::new(|panic| {
        SEEN.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(
            place = place.as_deref().unwrap_or("unknown"),
            thread = thread.name().unwrap_or("unnamed"),
            "a fault in the program (a panic): please report this place; what met it was ended, everything else goes on"
        );
    }));
}

/// How many panics there were since [`watch`] was called.
pub fn count() -> u64 {
    SEEN.load(Ordering::Relaxed)
}
