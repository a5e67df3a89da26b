//! Waiting in tests: for what is to become so, or, with a reason, for time alone. The test `house` refuses every other sleep.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::wire::PATIENCE;

/// How often it is looked whether what is waited for has come.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until it is so; where it does not become so, fails with these words, which say what is wrong.
pub fn wait_until(what: impl Display, is_so: impl FnMut() -> bool) {
    wait_until_or(is_so, || what.to_string());
}

/// As [`wait_until`], with words that are found when it has not become so.
pub fn wait_until_or(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let found = wait_for_within(PATIENCE, || is_so().then_some(()));
    assert!(found.is_some(), "{} (in {PATIENCE:?})", what());
}

/// Waits until there is something, and gives it; fails with these words where nothing comes.
pub fn wait_for<T>(what: impl Display, find: impl FnMut() -> Option<T>) -> T {
    wait_for_within(PATIENCE, find).unwrap_or_else(|| panic!("{what} (in {PATIENCE:?})"))
}

/// As [`wait_for`], for as long; `None` where nothing has come.
pub fn wait_for_within<T>(wait: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + wait;
    loop {
        if let Some(found) = find() {
            return Some(found);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits for this long, because of this.
pub fn pause(time: Duration, _because: &'static str) {
    std::thread::sleep(time);
}

/// Waits for this moment, because of this.
pub async fn pause_until(when: tokio::time::Instant, _because: &'static str) {
    tokio::time::sleep_until(when).await;
}

/// Waits for so many milliseconds, because of this.
pub fn pause_ms(time: u64, because: &'static str) {
    pause(Duration::from_millis(time), because);
}
