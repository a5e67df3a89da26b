//! Turns of comparisons, of all threads: one at a time, and not too often.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A portal gives its callers two requests a second: at most half of them go to comparisons.
const EVERY: Duration = Duration::from_secs(1);

/// Whose turn it is to compare, of all threads.
#[derive(Default)]
pub struct Turns(Mutex<Last>);

/// The last comparison.
#[derive(Clone, Copy, Default)]
enum Last {
    /// There was none.
    #[default]
    Never,
    GoingOn,
    Ended(Instant),
}

/// A comparison going on; the next may begin a while after its end.
pub struct Turn<'t>(&'t Turns);

impl Turns {
    /// The turn to compare: one at a time, and not too often.
    pub fn take(&self) -> Option<Turn<'_>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Last::GoingOn => return None,
            Last::Ended(at) if at.elapsed() < EVERY => return None,
            Last::Never | Last::Ended(_) => {}
        }
        *last = Last::GoingOn;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Last::Ended(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_compares_at_a_time_and_a_while_lies_between() {
        let turns = Turns::default();
        let turn = turns.take();
        assert!(turn.is_some());
        assert!(turns.take().is_none(), "one is going on");
        drop(turn);
        assert!(turns.take().is_none(), "one has just ended");
        *turns.0.lock().unwrap() = Last::Ended(Instant::now() - EVERY);
        assert!(turns.take().is_some());
    }
}
